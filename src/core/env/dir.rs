//! Directories in which every file modifies one variable.

use super::Env;
use crate::error::{ErrorKind, Result, ResultExt};
use crate::file;
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
    /// Applies the files of an env directory by their suffixes (FACTS 7.4), in byte order of their names. A missing
    /// directory changes nothing.
    ///
    /// # Errors
    /// A file cannot be read, is not a regular file or is longer than [`MAX_VALUE_LENGTH`].
    pub fn apply_env_dir(&mut self, dir: &Path, default: DefaultAction) -> Result<()> {
        for_each_file(dir, |name, value| {
            let (variable, suffix) = split_name(name);
            let (variable, value) = (OsStr::from_bytes(variable), value.as_os_str());
            match suffix {
                Some(b"append") => self.append(variable, value, &delimiter(dir, variable, "")?),
                Some(b"prepend") => self.prepend(variable, value, &delimiter(dir, variable, "")?),
                // The reference takes `VAR.` for a prepend to a path list.
                Some(b"") => self.prepend(variable, value, &delimiter(dir, variable, ":")?),
                Some(b"override") => self.set(variable, value),
                Some(b"default") => self.set_default(variable, value),
                None if default == DefaultAction::Override => self.set(variable, value),
                None => self.set_default(variable, value),
                Some(_) => {}
            }
            Ok(())
        })
    }

    /// Adds `<platform>/env` (FACTS 7.2 a): path variables keep their old value behind the user's, others are set.
    ///
    /// # Errors
    /// As [`Env::apply_env_dir`].
    pub fn apply_platform_dir(&mut self, dir: &Path) -> Result<()> {
        for_each_file(dir, |name, value| {
            if PLATFORM_PATHS.iter().any(|path| name == *path) {
                self.prepend(name, &value, OsStr::new(":"));
            } else {
                self.set(name, value);
            }
            Ok(())
        })
    }

    fn set_default(&mut self, name: &OsStr, value: &OsStr) {
        if self.is_empty_or_unset(name) {
            self.set(name, value);
        }
    }
}

/// Variable and suffix, apart at the first dot.
fn split_name(name: &OsStr) -> (&[u8], Option<&[u8]>) {
    let name = name.as_bytes();
    match name.iter().position(|byte| *byte == b'.') {
        Some(dot) => {
            let (variable, rest) = name.split_at(dot);
            (variable, rest.get(1..))
        }
        None => (name, None),
    }
}

fn delimiter(dir: &Path, variable: &OsStr, default: &str) -> Result<OsString> {
    let mut name = variable.to_owned();
    name.push(".delim");
    match file::read_bytes(&dir.join(name), MAX_VALUE_LENGTH) {
        Ok(content) => Ok(OsString::from_vec(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(default.into()),
        Err(error) => Err(error),
    }
}

fn for_each_file(dir: &Path, mut apply: impl FnMut(&OsStr, OsString) -> Result<()>) -> Result<()> {
    let context = || format!("apply env files from dir '{}'", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.context(context)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.context(context)?;
        let kind = entry.file_type().context(context)?;
        let links_to_dir =
            || kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|target| target.is_dir());
        if !kind.is_dir() && !links_to_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort_unstable();
    for name in names {
        let value = file::read_bytes(&dir.join(&name), MAX_VALUE_LENGTH).context(context)?;
        apply(&name, OsString::from_vec(value)).context(context)?;
    }
    Ok(())
}
