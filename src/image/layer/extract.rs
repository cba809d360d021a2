//! Unpacking a layer's tar below its own directory, whatever the tar says and whatever links are on disk.

use crate::oci::DiffId;
use lifecycle_core::error::Result;
use std::io::Read;
use std::path::PathBuf;

/// Unpacks a layer into `roots`, the absolute paths at or below which its entries may lie (`<layers>/<buildpack>/<layer>`). Ancestors of a root
/// that the tar lists are skipped. Nothing of the layer stays when it fails.
///
/// # Errors
/// Kind `Corrupt`: the tar does not have the digest `diff_id`, is malformed, or has an entry elsewhere or of another
/// kind than file, directory, symbolic link, or hard link to an earlier entry of the same layer.
pub fn extract(tar: impl Read, diff_id: DiffId, roots: &[PathBuf]) -> Result<()> {
    let _ = (tar, diff_id, roots);
    todo!()
}
