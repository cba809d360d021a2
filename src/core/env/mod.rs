//! Environments as values, and the rules by which layers and platforms modify them (FACTS 7.2-7.4, 12.3).

use crate::error::Result;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Environment variables. Later assignments of a name replace earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(std::collections::BTreeMap<OsString, OsString>);

/// What a file without suffix in an env directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// Replaces the value (layers).
    Override,
    /// Sets it only if empty or unset (build configuration).
    Default,
}

impl Env {
    /// From pairs, e.g. the process environment that the command read.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The value of `name`.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// Sets `name`.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        self.0.remove(name.as_ref());
    }

    /// Variables sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str()))
    }

    /// Of `process_env`, what modules may see at build time (FACTS 7.2).
    pub fn for_build(process_env: &Self) -> Self {
        let _ = process_env;
        todo!()
    }

    /// Of `process_env`, what a launched process starts from (FACTS 12.3).
    pub fn for_launch(process_env: &Self, process_dir: &Path, lifecycle_dir: &Path) -> Self {
        let _ = (process_env, process_dir, lifecycle_dir);
        todo!()
    }

    /// Applies the files of an env directory by their suffixes (FACTS 7.4). A missing directory changes nothing.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn apply_env_dir(&mut self, dir: &Path, default: DefaultAction) -> Result<()> {
        let _ = (dir, default);
        todo!()
    }

    /// Adds `<platform>/env` (FACTS 7.2 a): path variables keep their old value behind the user's, others are set.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn apply_platform_dir(&mut self, dir: &Path) -> Result<()> {
        let _ = dir;
        todo!()
    }

    /// Prepends the build-time directories of a layer (`bin`, `lib`, `include`, `pkgconfig`) that exist (FACTS 7.3).
    pub fn add_build_paths(&mut self, layer: &Path) {
        let _ = layer;
        todo!()
    }

    /// Prepends the launch-time directories of a layer (`bin`, `lib`) that exist (FACTS 12.3).
    pub fn add_launch_paths(&mut self, layer: &Path) {
        let _ = layer;
        todo!()
    }
}
