//! Writes an OCI image layout: blobs first, `index.json` last.

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image layout that is being written.
pub(crate) struct Writer {
    root: PathBuf,
}

/// A finished layer.
pub(crate) struct Layer {
    descriptor: Value,
    diff_id: String,
}

impl Layer {
    /// The digest of the uncompressed tar.
    pub(crate) fn diff_id(&self) -> &str {
        &self.diff_id
    }
}

impl Writer {
    /// Makes the layout's directories.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join("blobs/sha256"))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Writes a layer from the tar bytes that `fill` produces.
    pub(crate) fn layer(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Layer> {
        let part = self.root.join("blobs/layer.part");
        let compressed = Hashing::new(File::create(&part)?);
        let mut tar = Hashing::new(GzEncoder::new(compressed, Compression::default()));
        fill(&mut tar)?;
        let (gzip, diff_id, _) = tar.finish();
        let (_, digest, size) = gzip.finish()?.finish();
        fs::rename(&part, self.blob(&digest))?;
        let descriptor =
            json!({ "mediaType": LAYER, "digest": format!("sha256:{digest}"), "size": size });
        Ok(Layer {
            descriptor,
            diff_id: format!("sha256:{diff_id}"),
        })
    }

    /// Writes configuration and manifest over the layers, bottom first. Returns the manifest's descriptor.
    pub(crate) fn manifest(&self, layers: &[Layer], mut config: Value) -> io::Result<Value> {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        if let Value::Object(config) = &mut config {
            config.insert(
                "rootfs".to_owned(),
                json!({ "type": "layers", "diff_ids": diff_ids }),
            );
        }
        let descriptors: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let config = self.document(CONFIG, &config)?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors });
        self.document(MANIFEST, &manifest)
    }

    /// Makes manifests of architectures the layout's image: the only one itself, several as an index, which most readers
    /// do not look for in index.json itself. Returns the digest of manifest or index.
    pub(crate) fn finish(self, manifests: &[(&str, Value)]) -> io::Result<String> {
        let image = match manifests {
            [(_, only)] => only.clone(),
            several => {
                let manifests = several.iter().map(|(architecture, manifest)| {
                    let mut manifest = manifest.clone();
                    manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
                    manifest
                });
                let manifests: Vec<Value> = manifests.collect();
                let index =
                    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
                self.document(INDEX, &index)?
            }
        };
        let digest = image["digest"].as_str().unwrap_or_default().to_owned();
        let index = json!({ "schemaVersion": 2, "manifests": [image] });
        fs::write(
            self.root.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        fs::write(self.root.join("index.json"), index.to_string())?;
        Ok(digest)
    }

    /// Writes a JSON blob and returns its descriptor.
    fn document(&self, media_type: &str, document: &Value) -> io::Result<Value> {
        let text = document.to_string();
        let digest = hex(&Sha256::digest(&text));
        fs::write(self.blob(&digest), &text)?;
        Ok(
            json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": text.len() }),
        )
    }

    fn blob(&self, hex: &str) -> PathBuf {
        self.root.join("blobs/sha256").join(hex)
    }
}

/// Hashes and counts what passes through.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// The writer below, the SHA-256 in hexadecimal digits, the number of bytes.
    fn finish(self) -> (W, String, u64) {
        (self.out, hex(&self.hash.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
