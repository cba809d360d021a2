//! Caches of layers between builds: a directory, an image, or a directory beside a daemon.
//!
//! A damaged, truncated or mismatching entry is a miss, never an error or a wrong layer.

use crate::oci::DiffId;
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::Result;
use std::io::Read;

/// A cache as restoration sees it.
pub trait Cache: Send + Sync {
    /// What the cache holds; `None` if there is no such cache, empty if its metadata cannot be read.
    ///
    /// # Errors
    /// The cache cannot be reached.
    fn metadata(&self) -> Result<Option<CacheMetadata>>;

    /// Opens the uncompressed tar of a layer. Its content is not checked yet.
    ///
    /// # Errors
    /// Kind `NotFound`, with the contract's text, if there is none or it may not be read; any other kind if the cache fails.
    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>>;
}
