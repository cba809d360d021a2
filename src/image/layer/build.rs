//! One pass over a layer: tar, hash, compress.

use super::{LayerRecipe, SpooledBlob, Workers};
use crate::oci::DiffId;
use lifecycle_core::error::Result;
use std::io::Write;
use std::path::Path;

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip: one member of fixed blocks; the bytes do not depend on the number of workers.
    Gzip,
}

/// A compressed copy in a temporary file.
#[derive(Clone, Copy, Debug)]
pub struct Spool<'a> {
    /// How.
    pub compression: Compression,
    /// The directory in which the temporary file is made.
    pub directory: &'a Path,
}

/// What a pass makes besides the [`DiffId`].
#[derive(Default)]
pub struct Outputs<'a> {
    /// A compressed blob.
    pub blob: Option<Spool<'a>>,
    /// The tar itself.
    pub tar: Option<&'a mut dyn Write>,
}

/// What a pass made.
#[derive(Debug)]
pub struct Built {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The size of the tar in bytes.
    pub size: u64,
    /// The compressed blob, if [`Outputs::blob`] asked for one.
    pub blob: Option<SpooledBlob>,
}

/// Makes the layer's tar, reading every file once.
///
/// # Errors
/// A file cannot be read, is of a kind that layers do not hold, or changes its size meanwhile; an output fails.
pub fn build(recipe: &LayerRecipe, outputs: Outputs<'_>, workers: &Workers) -> Result<Built> {
    let _ = (recipe, outputs, workers);
    todo!()
}

/// The digest of the layer's tar, which is not kept.
///
/// # Errors
/// As [`build`].
pub fn diff_id(recipe: &LayerRecipe, workers: &Workers) -> Result<DiffId> {
    Ok(build(recipe, Outputs::default(), workers)?.diff_id)
}
