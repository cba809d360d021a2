//! What an export wrote, for comparison with what another lifecycle wrote.

use crate::Result;
use serde_json::Value;
use spec_tests::layout::Image;
use std::path::Path;
use std::process::Command;

/// The label that also says which lifecycle wrote the image.
const BUILD_METADATA: &str = "io.buildpacks.build.metadata";
/// The label that also says where the run image is: in a layout the reference gives it the same digest whatever it is.
const LIFECYCLE_METADATA: &str = "io.buildpacks.lifecycle.metadata";

/// An image that was exported.
#[derive(Clone)]
pub(crate) struct Exported {
    /// The configuration, without what may differ between lifecycles: version of the lifecycle, where the run image is.
    pub(crate) config: String,
    /// The size of all compressed layers.
    pub(crate) gzip_bytes: u64,
}

impl Exported {
    /// The image of a layout.
    pub(crate) fn in_layout(layout: &Path) -> Result<Self> {
        let image = Image::open(layout)?;
        Ok(Self {
            config: comparable(image.config)?,
            gzip_bytes: image.layers.iter().map(|layer| layer.size).sum(),
        })
    }

    /// The image `name` in the registry at `address`.
    pub(crate) fn in_registry(address: &str, name: &str) -> Result<Self> {
        let config = inspect(address, name, &["--config"])?;
        let manifest = inspect(address, name, &[])?;
        let layers = manifest["layers"].as_array().ok_or("no layers")?;
        Ok(Self {
            config: comparable(config)?.replace(address, "registry"),
            gzip_bytes: layers
                .iter()
                .filter_map(|layer| layer["size"].as_u64())
                .sum(),
        })
    }
}

fn inspect(address: &str, name: &str, args: &[&str]) -> Result<Value> {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .args(args)
        .arg(format!("docker://{address}/{name}"))
        .output()?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(format!("skopeo: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn comparable(mut config: Value) -> Result<String> {
    for (label, pointer) in [
        (BUILD_METADATA, "/launcher"),
        (LIFECYCLE_METADATA, "/runImage/reference"),
    ] {
        let label = &mut config["config"]["Labels"][label];
        let mut metadata: Value = serde_json::from_str(label.as_str().unwrap_or("null"))?;
        if let Some(part) = metadata.pointer_mut(pointer) {
            *part = Value::Null;
        }
        *label = metadata;
    }
    Ok(config.to_string())
}
