//! Reads images from OCI layouts, independently of the code that wrote them.

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How a gzip file begins. No tar does: its first bytes are a name.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An image in a layout of one image.
pub struct Image {
    layout: PathBuf,
    /// The manifest's digest.
    pub digest: String,
    /// The image's configuration document.
    pub config: Value,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

/// A layer, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob.
    pub digest: String,
    /// The digest of the tar.
    pub diff_id: String,
    /// The blob's size in bytes.
    pub size: u64,
    /// The history's `created_by`.
    pub created_by: String,
}

/// A process of the image.
pub struct Process {
    /// Its type.
    pub name: String,
    /// Command and arguments.
    pub command: Vec<String>,
    /// Whether the image starts it.
    pub default: bool,
}

impl Image {
    /// Opens the image of a layout; manifest and configuration are checked against their digests.
    ///
    /// # Errors
    /// A file is missing or malformed, or the layout doesn't hold exactly one image.
    pub fn open(layout: &Path) -> io::Result<Self> {
        let index = parse(&fs::read(layout.join("index.json"))?)?;
        // An image with several names is listed under each.
        let digests = list(&index, "manifests").iter();
        let mut digests: Vec<_> = digests.map(|one| string(one, "digest")).collect();
        digests.dedup();
        let (Some(digest), true) = (digests.pop(), digests.is_empty()) else {
            return Err(io::Error::other(
                "index.json does not name exactly one manifest",
            ));
        };
        let manifest = parse(&blob(layout, &digest)?)?;
        let config = parse(&blob(layout, &string(&manifest["config"], "digest"))?)?;
        let diff_ids = list(&config["rootfs"], "diff_ids");
        let blobs = list(&manifest, "layers");
        if diff_ids.len() != blobs.len() {
            return Err(io::Error::other(
                "manifest and configuration disagree about the layers",
            ));
        }
        let history: Vec<&Value> = list(&config, "history")
            .iter()
            .filter(|entry| entry["empty_layer"] != Value::Bool(true))
            .collect();
        let layers = blobs
            .iter()
            .zip(diff_ids)
            .enumerate()
            .map(|(index, (blob, diff_id))| Layer {
                digest: string(blob, "digest"),
                diff_id: diff_id.as_str().unwrap_or_default().to_owned(),
                size: blob["size"].as_u64().unwrap_or_default(),
                created_by: history
                    .get(index)
                    .map(|entry| string(entry, "created_by"))
                    .unwrap_or_default(),
            });
        let layers = layers.collect();
        Ok(Self {
            layout: layout.to_owned(),
            digest,
            config,
            layers,
        })
    }

    /// A label of the image.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config["config"]["Labels"]
            .get(name)
            .and_then(Value::as_str)
    }

    /// Strings of a list of the configuration: `Env`, `Entrypoint`, `Cmd`.
    pub fn strings(&self, key: &str) -> Vec<String> {
        strings(&self.config["config"], key)
    }

    /// The user that the image runs as, `uid:gid`.
    pub fn user(&self) -> String {
        string(&self.config["config"], "User")
    }

    /// The processes of the label `io.buildpacks.build.metadata`.
    ///
    /// # Errors
    /// The label is malformed.
    pub fn processes(&self) -> io::Result<Vec<Process>> {
        let label = parse(
            self.label("io.buildpacks.build.metadata")
                .unwrap_or("{}")
                .as_bytes(),
        )?;
        let entrypoint = self.strings("Entrypoint").pop().unwrap_or_default();
        let processes = list(&label, "processes").iter().map(|process| {
            let name = string(process, "type");
            let default = entrypoint == format!("/cnb/process/{name}");
            let command = [strings(process, "command"), strings(process, "args")].concat();
            Process {
                name,
                command,
                default,
            }
        });
        Ok(processes.collect())
    }

    /// Unpacks every layer, bottom first, into the directory `root`; each is checked against its digest.
    ///
    /// # Errors
    /// A layer is missing or corrupt, or files cannot be written.
    pub fn unpack(&self, root: &Path) -> io::Result<()> {
        for layer in &self.layers {
            let tar = self.tar(layer)?;
            let mut archive = tar::Archive::new(tar.as_slice());
            archive.set_preserve_permissions(true);
            archive.unpack(root)?;
        }
        Ok(())
    }

    /// Compares every layer with all that manifest and configuration say of it: digest, size, diffID.
    ///
    /// # Errors
    /// A layer is missing or another one.
    pub fn verify(&self) -> io::Result<()> {
        for layer in &self.layers {
            let blob = blob(&self.layout, &layer.digest)?;
            if blob.len() as u64 != layer.size {
                let sizes = format!(
                    "{} has {} bytes, not {}",
                    layer.digest,
                    blob.len(),
                    layer.size
                );
                return Err(io::Error::other(sizes));
            }
            self.tar(layer)?;
        }
        Ok(())
    }

    /// A layer's content, checked against its diffID.
    fn tar(&self, layer: &Layer) -> io::Result<Vec<u8>> {
        let blob = fs::read(path(&self.layout, &layer.digest))?;
        let tar = match blob.starts_with(&GZIP) {
            true => {
                let mut tar = Vec::new();
                MultiGzDecoder::new(blob.as_slice()).read_to_end(&mut tar)?;
                tar
            }
            false => blob,
        };
        verify(&tar, &layer.diff_id)?;
        Ok(tar)
    }
}

fn blob(layout: &Path, digest: &str) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path(layout, digest))?;
    verify(&bytes, digest)?;
    Ok(bytes)
}

fn path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn verify(bytes: &[u8], digest: &str) -> io::Result<()> {
    let found = sha256(bytes);
    match digest.strip_prefix("sha256:") {
        Some(expected) if expected == found => Ok(()),
        _ => Err(io::Error::other(format!(
            "content of {digest} has sha256 {found}"
        ))),
    }
}

fn parse(bytes: &[u8]) -> io::Result<Value> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn string(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    list(value, key)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Writes the documents of an image of one layer, without the layer, as a restorer leaves images that are extended: a layout in
/// `layouts` that is named after the manifest's digest, which is returned.
///
/// # Errors
/// A file cannot be written.
pub fn write_documents(layouts: &Path, config: &Value) -> io::Result<String> {
    let config = config.to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{}", "2".repeat(64)),
            "size": 1,
        }],
    });
    let manifest = manifest.to_string();
    let named = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    let digest = string(&named, "digest");
    let layout = layouts.join(&digest);
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    let index = json!({"schemaVersion": 2, "manifests": [named]});
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(
        layout.join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )?;
    for blob in [&config, &manifest] {
        fs::write(
            layout.join("blobs/sha256").join(sha256(blob.as_bytes())),
            blob,
        )?;
    }
    Ok(digest)
}

fn descriptor(media_type: &str, content: &str) -> Value {
    let digest = format!("sha256:{}", sha256(content.as_bytes()));
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files below a directory of layouts that are neither blobs named by their digest nor the two documents of a layout.
///
/// # Errors
/// A directory cannot be read.
pub fn leftovers(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            found.extend(leftovers(&path)?);
        } else if name.len() != 64 && name != "index.json" && name != "oci-layout" {
            found.push(path);
        }
    }
    Ok(found)
}
