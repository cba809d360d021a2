//! The plan of one module as a file, for the time that the module's program runs.

use lifecycle_core::data::plan::BuildpackPlan;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A plan in a directory of its own, which goes when the value drops.
pub(super) struct PlanFile {
    _dir: TempDir,
    path: PathBuf,
}

impl PlanFile {
    /// Writes `plan` below `temp_dir` for the module with the escaped id `id` (FACTS 3.6: where it is).
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(temp_dir: &Path, id: &str, plan: &BuildpackPlan) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{id}-"))
            .tempdir_in(temp_dir)
            .context(|| "create a plan directory")?;
        let path = dir.path().join(id).join("plan.toml");
        file::write_unsynced(&path, plan.to_toml())?;
        Ok(Self { _dir: dir, path })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
