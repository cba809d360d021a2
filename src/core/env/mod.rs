//! Environments as values, and the rules by which layers and platforms modify them (FACTS 7.2-7.4, 12.3).

mod dir;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

pub use dir::{DefaultAction, MAX_VALUE_LENGTH};

/// Environment variables. Later assignments of a name replace earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<OsString, OsString>);

/// What buildpacks see of the lifecycle's own environment (FACTS 7.2).
const BUILD_VARIABLES: [&str; 14] = [
    "CNB_STACK_ID",
    "HOSTNAME",
    "HOME",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "PATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "PKG_CONFIG_PATH",
];

/// What launched processes do not see of the launcher's environment (FACTS 12.3).
const LAUNCHER_VARIABLES: [&str; 5] = [
    "CNB_LAYERS_DIR",
    "CNB_APP_DIR",
    "CNB_PROCESS_TYPE",
    "CNB_PLATFORM_API",
    "CNB_DEPRECATION_MODE",
];

/// The variables to which directories of a layer belong at build time (FACTS 7.3).
const BUILD_PATHS: [(&str, &str); 5] = [
    ("bin", "PATH"),
    ("lib", "LD_LIBRARY_PATH"),
    ("lib", "LIBRARY_PATH"),
    ("include", "CPATH"),
    ("pkgconfig", "PKG_CONFIG_PATH"),
];

impl Env {
    /// From pairs, e.g. the process environment that the command read.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut env = Self::default();
        for (name, value) in pairs {
            env.set(name, value);
        }
        env
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
    #[must_use]
    pub fn for_build(process_env: &Self) -> Self {
        Self::from_pairs(
            BUILD_VARIABLES
                .iter()
                .filter_map(|name| Some((name, process_env.get(name)?))),
        )
    }

    /// Of `process_env`, what a launched process starts from (FACTS 12.3): without the launcher's own inputs, and
    /// without the launcher's own directories in `PATH`.
    #[must_use]
    pub fn for_launch(process_env: Self, process_dir: &Path, lifecycle_dir: &Path) -> Self {
        let mut env = process_env;
        for name in LAUNCHER_VARIABLES {
            env.remove(name);
        }
        let own = [
            process_dir.as_os_str().as_bytes(),
            lifecycle_dir.as_os_str().as_bytes(),
        ];
        if let Some(path) = env.0.get_mut(OsStr::new("PATH")) {
            let kept: Vec<_> = path
                .as_bytes()
                .split(|byte| *byte == b':')
                .filter(|dir| !own.contains(dir))
                .collect();
            *path = OsString::from_vec(kept.join(&b':'));
        }
        env
    }

    /// Puts `dir` in front of the list of directories that `name` holds.
    pub fn prepend_path(&mut self, name: &str, dir: &Path) {
        self.prepend(OsStr::new(name), dir.as_os_str(), OsStr::new(":"));
    }

    /// Prepends the build-time directories of a layer (`bin`, `lib`, `include`, `pkgconfig`) that exist (FACTS 7.3).
    pub fn add_build_paths(&mut self, layer: &Path) {
        for (dir, name) in BUILD_PATHS {
            let dir = layer.join(dir);
            if dir.exists() {
                self.prepend_path(name, &dir);
            }
        }
    }

    fn is_empty_or_unset(&self, name: &OsStr) -> bool {
        self.get(name).is_none_or(OsStr::is_empty)
    }

    fn append(&mut self, name: &OsStr, value: &OsStr, delimiter: &OsStr) {
        match self.0.get_mut(name).filter(|old| !old.is_empty()) {
            Some(old) => {
                old.push(delimiter);
                old.push(value);
            }
            None => self.set(name, value),
        }
    }

    fn prepend(&mut self, name: &OsStr, value: &OsStr, delimiter: &OsStr) {
        let mut joined = value.to_owned();
        if let Some(old) = self.get(name).filter(|old| !old.is_empty()) {
            joined.push(delimiter);
            joined.push(old);
        }
        self.set(name, joined);
    }
}

#[cfg(test)]
mod tests;
