//! Directories in which every file modifies one variable.

use super::Env;
use crate::error::{Result, ResultExt};
use crate::file;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The longest content of a file in an env directory, in bytes. Linux passes at most 128 KiB per variable.
pub const MAX_VALUE_LENGTH: u64 = 1024 * 1024;

/// Path lists that a platform's variables extend rather than replace (FACTS 7.2).
const PLATFORM_PATHS: [&str; 5] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "PKG_CONFIG_PATH",
];

/// What a file without suffix in an env directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// Replaces the value (layers).
    Override,
    /// Sets it only if empty or unset (build configuration).
    Default,
}

impl Env {
    /// Applies the files of an env directory (FACTS 7.4). A missing directory changes nothing.
    ///
    /// # Errors
    /// A file cannot be read, is not a regular file or is longer than [`MAX_VALUE_LENGTH`].
    pub fn apply_env_dir(&mut self, dir: &Path, default: DefaultAction) -> Result<()> {
        self.apply_files(&read_files(dir)?, default);
        Ok(())
    }

    /// Applies the files of an env directory, given as contents by name, by their suffixes (FACTS 7.4), in byte order
    /// of their names.
    pub fn apply_files(&mut self, files: &BTreeMap<OsString, OsString>, default: DefaultAction) {
        for (name, value) in files {
            let (variable, suffix) = split_name(name);
            let delimiter = |default: &'static str| {
                let mut name = variable.to_owned();
                name.push(".delim");
                files
                    .get(&name)
                    .map_or(OsStr::new(default), OsString::as_os_str)
            };
            match suffix {
                Some(b"append") => self.append(variable, value, delimiter("")),
                Some(b"prepend") => self.prepend(variable, value, delimiter("")),
                // The reference takes `VAR.` for a prepend to a path list.
                Some(b"") => self.prepend(variable, value, delimiter(":")),
                Some(b"override") => self.set(variable, value),
                Some(b"default") => self.set_default(variable, value),
                None if default == DefaultAction::Override => self.set(variable, value),
                None => self.set_default(variable, value),
                Some(_) => {}
            }
        }
    }

    /// Adds the files of `dir`, which is `<platform>/env` (FACTS 7.2 a): path variables keep their old value behind the
    /// user's, others are set.
    ///
    /// # Errors
    /// As [`Env::apply_env_dir`].
    pub fn apply_platform_dir(&mut self, dir: &Path) -> Result<()> {
        for (name, value) in read_files(dir)? {
            if PLATFORM_PATHS.iter().any(|path| name == *path) {
                self.prepend(&name, &value, OsStr::new(":"));
            } else {
                self.set(name, value);
            }
        }
        Ok(())
    }

    fn set_default(&mut self, name: &OsStr, value: &OsStr) {
        if self.is_empty_or_unset(name) {
            self.set(name, value);
        }
    }
}

/// Variable and suffix, apart at the first dot.
fn split_name(name: &OsStr) -> (&OsStr, Option<&[u8]>) {
    let bytes = name.as_bytes();
    match bytes.iter().position(|byte| *byte == b'.') {
        Some(dot) => {
            let (variable, rest) = bytes.split_at(dot);
            (OsStr::from_bytes(variable), rest.get(1..))
        }
        None => (name, None),
    }
}

/// Contents by name; directories and links to directories are no files.
fn read_files(dir: &Path) -> Result<BTreeMap<OsString, OsString>> {
    let context = || format!("apply env files from dir '{}'", dir.display());
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        entries => entries.context(context)?,
    };
    for entry in entries {
        let entry = entry.context(context)?;
        let kind = entry.file_type().context(context)?;
        let links_to_dir =
            || kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|target| target.is_dir());
        if !kind.is_dir() && !links_to_dir() {
            let value = file::read_bytes(&entry.path(), MAX_VALUE_LENGTH).context(context)?;
            files.insert(entry.file_name(), OsString::from_vec(value));
        }
    }
    Ok(files)
}
