//! Finding a program and becoming it.

use crate::sys;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file that `command` names: itself if it has a slash, else the first executable of that name in the
/// directories of `path` (FACTS 12.5). Programs found relative to the current directory are refused.
///
/// # Errors
/// There is no such executable.
pub(crate) fn look_up(command: &OsStr, path: &OsStr) -> Result<PathBuf> {
    find(command, path)
        .map_err(|cause| Error::other(format_args!("exec: \"{}\": {cause}", command.display())))
}

fn find(command: &OsStr, path: &OsStr) -> Result<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return check_executable(&path).map(|()| path);
    }
    if !command.is_empty() {
        for directory in path.as_bytes().split(|byte| *byte == b':') {
            let candidate = Path::new(OsStr::from_bytes(directory)).join(command);
            if check_executable(&candidate).is_ok() {
                if candidate.is_absolute() {
                    return Ok(candidate);
                }
                return Err(Error::other(
                    "cannot run executable found relative to current directory",
                ));
            }
        }
    }
    Err(Error::other("executable file not found in $PATH"))
}

fn check_executable(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path)
        .map_err(|error| Error::from(error).in_context(format!("stat {}", path.display())))?;
    if metadata.is_dir() {
        return Err(Error::other("is a directory"));
    }
    if !sys::is_executable(path) {
        return Err(Error::other("permission denied"));
    }
    Ok(())
}

/// Replaces this process by `program`.
///
/// # Errors
/// The kernel refuses, or an argument or variable has a NUL byte.
pub(crate) fn replace(program: &Path, arguments: &[OsString], env: &Env) -> Result<Infallible> {
    let program = c_string(program.as_os_str().as_bytes())?;
    let arguments = arguments
        .iter()
        .map(|argument| c_string(argument.as_bytes()))
        .collect::<Result<Vec<_>>>()?;
    let variable = |(name, value): (&OsStr, &OsStr)| {
        let mut variable = Vec::with_capacity(name.len() + value.len() + 2);
        variable.extend(name.as_bytes());
        variable.push(b'=');
        variable.extend(value.as_bytes());
        c_string(variable)
    };
    let variables = env.iter().map(variable).collect::<Result<Vec<_>>>()?;
    let error = sys::execve(&program, &arguments, &variables);
    if error.kind() == io::ErrorKind::ArgumentListTooLong {
        return Err(Error::other(what_is_too_long(&arguments, &variables))
            .in_context(Error::from(error).to_string()));
    }
    Err(error.into())
}

/// The longest argument or `NAME=value` that Linux passes to a program, in bytes (execve(2)).
const MAX_TEXT_LENGTH: usize = 128 * 1024 - 1;

fn what_is_too_long(arguments: &[CString], variables: &[CString]) -> String {
    let length = |text: &CString| text.as_bytes().len();
    let is_too_long = |text: &&CString| length(text) > MAX_TEXT_LENGTH;
    if let Some(variable) = variables.iter().find(is_too_long) {
        let name = variable.as_bytes().split(|byte| *byte == b'=').next();
        let name = String::from_utf8_lossy(name.unwrap_or_default());
        let length = length(variable);
        return format!("{name} has {length} bytes, the kernel takes {MAX_TEXT_LENGTH}");
    }
    if let Some(argument) = arguments.iter().find(is_too_long) {
        let length = length(argument);
        return format!("an argument has {length} bytes, the kernel takes {MAX_TEXT_LENGTH}");
    }
    let sum: usize = arguments.iter().chain(variables).map(length).sum();
    let (arguments, variables) = (arguments.len(), variables.len());
    format!(
        "{arguments} arguments and {variables} variables have {sum} bytes, more than the kernel takes"
    )
}

fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(bytes).map_err(|error| {
        let bytes = error.into_vec();
        let start = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Error::other(format_args!(
            "'{}' is followed by a NUL byte",
            String::from_utf8_lossy(start)
        ))
    })
}

/// Makes `directory` the current one.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn change_directory(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory).map_err(|error: io::Error| {
        Error::from(error).in_context(format!("chdir {}", directory.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Looks `command` up in a `PATH` in which `D` stands for a directory with `tool`, `plain` (not executable) and
    /// the directory `dir`.
    #[track_caller]
    fn check(command: &str, path: &str, expected: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        for (name, mode) in [("tool", 0o755), ("plain", 0o644)] {
            fs::write(directory.path().join(name), "").unwrap();
            fs::set_permissions(
                directory.path().join(name),
                fs::Permissions::from_mode(mode),
            )
            .unwrap();
        }
        fs::create_dir(directory.path().join("dir")).unwrap();
        let found = look_up(
            OsStr::new(&command.replace('D', &root)),
            OsStr::new(&path.replace('D', &root)),
        )
        .map(|path| path.display().to_string().replace(&root, "D"))
        .map_err(|error| error.to_string().replace(&root, "D"));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn programs_are_looked_up() {
        let missing = |name: &str| format!("exec: \"{name}\": executable file not found in $PATH");
        check("tool", "/nowhere:D", Ok("D/tool"));
        check("none", "/nowhere:D", Err(&missing("none")));
        check("plain", "D", Err(&missing("plain")));
        check("dir", "D", Err(&missing("dir")));
        check("", "D", Err(&missing("")));
        check("D/tool", "", Ok("D/tool"));
        check(
            "D/none",
            "",
            Err("exec: \"D/none\": stat D/none: no such file or directory"),
        );
        check("D/plain", "", Err("exec: \"D/plain\": permission denied"));
        check("D/dir", "", Err("exec: \"D/dir\": is a directory"));
        let here = "exec: \"main.rs\": executable file not found in $PATH";
        check("main.rs", ":.", Err(here));
    }

    #[test]
    fn nul_bytes_are_refused() {
        let env = Env::from_pairs([("A", "b\0c")]);
        let error = replace(Path::new("/nowhere"), &[], &env).unwrap_err();
        assert_eq!(error.to_string(), "'A=b' is followed by a NUL byte");
        let error = replace(Path::new("/nowhere"), &[], &Env::default()).unwrap_err();
        assert_eq!(error.to_string(), "no such file or directory");
    }
}
