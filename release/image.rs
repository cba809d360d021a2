//! The lifecycle image: what platforms start analyzer, restorer and exporter from when they don't trust a builder.

use crate::descriptor;
use crate::files::Files;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::time::rfc3339;
use lifecycle_image::image::Image;
use lifecycle_image::layer::Workers;
use lifecycle_image::oci::{Config, History, Platform};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::layout::LayoutStore;
use std::path::Path;

/// Makes the image for an `architecture` (Go's word), of the entries of a release archive. Its base are files alone: no
/// shell, no libraries, but root certificates. `epoch` is its time of creation, `work` a directory that has to stay until the
/// image was saved.
///
/// # Errors
/// A file cannot be read or written.
pub fn image(files: Files, architecture: &str, epoch: i64, work: &Path) -> Result<Image> {
    let created = rfc3339(epoch);
    let layout = work.join(format!("base-{architecture}"));
    let platform = stacks::Platform {
        architecture,
        rootfs: None,
    };
    stacks::make(include_str!("image.toml"), vec![platform], &layout)
        .context(|| "make the base of the lifecycle image")?;
    let base = open_layout(&layout, architecture)?;
    // Platforms take this image's last layer as the lifecycle, so nothing may come after it.
    let history = History {
        created: created.clone(),
        created_by: format!("lifecycle {}", descriptor::VERSION),
        ..History::default()
    };
    let layer = files
        .below("cnb")
        .layer(history, work, &Workers::for_machine())?;
    let labels = descriptor::labels();
    let config = labels.iter().fold(
        base.config.clone().with_working_dir("/layers"),
        |config: Config, (key, value)| config.with_label(key, value),
    );
    Ok(base
        .with_config(config.with_created(&created))
        .append([layer]))
}

/// The image for Linux on an `architecture` (Go's word) in the layout at `path`.
///
/// # Errors
/// There is none, or it is malformed.
pub fn open_layout(path: &Path, architecture: &str) -> Result<Image> {
    let path = std::path::absolute(path)?;
    let store = LayoutStore {
        root: path.clone(),
        platform: Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
        },
    };
    let opened = store.open(&path.display().to_string())?;
    let image = opened.map(|opened| opened.image);
    // The only image of a layout is opened whatever it is for.
    image
        .filter(|image| image.config.architecture() == architecture)
        .ok_or_else(|| {
            let cause = format!("no image for {architecture} in {}", path.display());
            Error::new(ErrorKind::NotFound, cause)
        })
}
