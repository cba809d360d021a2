//! The app directory as layers (FACTS 5.3).

use super::LayerRecipe;
use lifecycle_core::error::Result;
use std::path::Path;

/// One recipe per slice, in order, and a last one for what no slice took. A slice is a list of patterns.
///
/// # Errors
/// The app directory cannot be read, or a pattern is malformed.
pub fn slices(
    app_dir: &Path,
    slices: &[Vec<String>],
    uid: u32,
    gid: u32,
) -> Result<Vec<LayerRecipe>> {
    let _ = (app_dir, slices, uid, gid);
    todo!()
}
