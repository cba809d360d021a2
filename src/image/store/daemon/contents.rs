//! What the containerd image store really has of an image. It hands images out as OCI layouts whose blobs are as they
//! are stored.
//!
//! That it knows an image says little: it pulls no blob of a layer that it has unpacked before, out of whatever blob,
//! and it takes an archive without blobs just the same. Such an image runs, and can be neither pushed nor built on. So
//! only what comes out counts as there.

use super::Shared;
use super::fetch::archive;
use crate::oci::{Config, Descriptor, DiffId, Digest, Document, MAX_CONFIG, read_bounded};
use lifecycle_core::error::Result;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// The blobs of one image.
pub(super) struct Contents {
    /// Their sizes in bytes.
    blobs: BTreeMap<Digest, u64>,
    /// Those that may be manifests and configurations.
    documents: BTreeMap<Digest, Vec<u8>>,
}

impl Contents {
    /// Reads the image `id` out of the daemon.
    ///
    /// # Errors
    /// The daemon fails, or sends no archive.
    pub(super) fn read(shared: &Shared, id: &str) -> Result<Self> {
        let (mut blobs, mut documents) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = archive(shared, id);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(digest) = digest_of(&entry.path()?) else {
                continue;
            };
            let size = entry.size();
            blobs.insert(digest, size);
            let mut first = [0];
            if size <= MAX_CONFIG && entry.read(&mut first)? == 1 && first == *b"{" {
                let document = read_bounded(first.chain(entry), MAX_CONFIG)?;
                documents.insert(digest, document);
            }
        }
        // Padding that is not read costs the connection.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        Ok(Self { blobs, documents })
    }

    /// Whether the blob is there, of the right size.
    pub(super) fn holds(&self, blob: &Descriptor) -> bool {
        self.blobs.get(&blob.digest) == Some(&blob.size)
    }

    /// The layers that are there, as the image's manifest names them.
    pub(super) fn layers(&self) -> BTreeMap<DiffId, Descriptor> {
        let manifests = self.documents.values().filter_map(|document| {
            // There are configurations and indexes as well.
            match Document::parse(document, "") {
                Ok(Document::Manifest(manifest)) => Some(manifest),
                _ => None,
            }
        });
        let layers = manifests.flat_map(|manifest| {
            let config = self.documents.get(&manifest.config.digest);
            let config = config.and_then(|config| Config::parse(config).ok());
            let diff_ids = config.and_then(|config| config.diff_ids().ok());
            diff_ids
                .unwrap_or_default()
                .into_iter()
                .zip(manifest.layers)
        });
        layers.filter(|(_, blob)| self.holds(blob)).collect()
    }
}

/// The digest that a blob of a layout is named after.
fn digest_of(path: &Path) -> Option<Digest> {
    let hex = path.strip_prefix("blobs/sha256").ok()?.to_str()?;
    Digest::parse(&format!("sha256:{hex}")).ok()
}
