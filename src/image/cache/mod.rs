//! Caches of layers between builds: a directory, an image, or a directory beside a daemon.
//!
//! A damaged, truncated or mismatching entry is a miss, never an error or a wrong layer.

mod image;
mod launch;
mod volume;

pub use image::{ImageCache, METADATA_LABEL, OldImage};
pub use launch::LaunchCache;
pub use volume::VolumeCache;

use crate::layer::SpooledBlob;
use crate::oci::DiffId;
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, Result};
use std::io::Read;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Layers of the last build, and what they are.
pub trait Cache: Send + Sync {
    /// What the cache holds; `None` if there is no cache yet. Malformed metadata counts as an empty cache.
    ///
    /// # Errors
    /// The cache cannot be reached.
    fn metadata(&self) -> Result<Option<CacheMetadata>>;

    /// Opens the uncompressed tar of a layer. Its content is not checked yet.
    ///
    /// # Errors
    /// Kind `NotFound`, with the contract's text, if there is none or it may not be read; any other kind if the cache fails.
    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>>;

    /// Removes a layer whose tar turned out to be another one, so that the next update stores it again.
    fn discard(&self, diff_id: &DiffId);

    /// Leaves a note to the export of the same build, where buildpacks cannot write. Only a cache on disk has room for
    /// one; a note that is lost costs time, nothing else.
    fn leave_note(&self, note: &str) {
        let _ = note;
    }

    /// Takes the note that the restoration of this build left.
    fn take_note(&self) -> Option<String> {
        None
    }

    /// How many bytes of blobs have left so far, for who wants to show progress.
    fn bytes_sent(&self) -> u64 {
        0
    }

    /// Begins to make the cache of this build. Until the commit the old one stays as it is; dropping the update
    /// instead leaves nothing behind.
    ///
    /// # Errors
    /// The cache cannot be written.
    fn update(&self) -> Result<Box<dyn CacheUpdate>>;
}

/// The cache of this build in the making. It holds only what is added or reused.
pub trait CacheUpdate: Send + Sync {
    /// In what form layers are to be added.
    fn form(&self) -> CacheForm;

    /// Says that a layer in this form will be added when everything else has gone well.
    fn announce(&self, blob: &Arc<SpooledBlob>) {
        let _ = blob;
    }

    /// A new file for a layer's tar, on the file system where the cache keeps it.
    ///
    /// # Errors
    /// The file cannot be made.
    fn new_tar(&self) -> Result<NamedTempFile>;

    /// Adds a layer in the form that [`CacheUpdate::form`] says; its content is trusted to be `diff_id`'s.
    ///
    /// # Errors
    /// The layer cannot be stored; others are not affected.
    fn add(&mut self, diff_id: &DiffId, layer: CachedLayer) -> Result<()>;

    /// Whether the old cache holds the layer.
    fn holds(&self, diff_id: &DiffId) -> bool;

    /// Takes a layer over from the old cache, without reading it.
    ///
    /// # Errors
    /// It is not there, or cannot be taken over.
    fn reuse(&mut self, diff_id: &DiffId) -> Result<()>;

    /// Replaces the old cache. What could not be cleaned up behind it comes back as a value: the new cache is good.
    ///
    /// # Errors
    /// The old cache is still there then.
    fn commit(self: Box<Self>, metadata: &CacheMetadata) -> Result<Option<Error>>;
}

/// How a cache keeps layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheForm {
    /// As plain tars.
    Tar,
    /// As compressed blobs.
    Blob,
}

/// A layer for a cache.
pub enum CachedLayer {
    /// The tar, in a file from [`CacheUpdate::new_tar`].
    Tar(NamedTempFile),
    /// The compressed blob.
    Blob(Arc<SpooledBlob>),
}
