//! Paths as a process sees them whose root is some directory: links in them never lead out of it.

use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many links a path may have, as for the kernel.
const MAX_LINKS: usize = 40;

/// What `path` names below `root`, absolute from there and without links. Nothing but this process may change the files
/// meanwhile.
///
/// # Errors
/// Kind `NotFound`, or another of the kernel's: a part is missing, is no directory, or there are too many links.
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut waiting: VecDeque<OsString> = VecDeque::new();
    push_front(&mut waiting, path);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = waiting.pop_front() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(part);
        let full = below(root, &next);
        let metadata = fs::symlink_metadata(&full)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = fs::read_link(full)?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            push_front(&mut waiting, &target);
            continue;
        }
        if !metadata.is_dir() && !waiting.is_empty() {
            return Err(Errno::NOTDIR.into());
        }
        real = next;
    }
    Ok(real)
}

/// Where `path` is, its links not followed.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn push_front(waiting: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        if matches!(part, Component::Normal(_) | Component::ParentDir) {
            waiting.push_front(part.as_os_str().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("usr/bin")).unwrap();
        fs::write(path("usr/bin/tool"), "").unwrap();
        for (target, link) in [
            ("usr/bin", "bin"),
            ("/usr", "absolute"),
            ("../../..", "usr/up"),
            ("/loop", "loop"),
            ("none", "dangling"),
            ("/bin/tool", "usr/bin/again"),
        ] {
            symlink(target, path(link)).unwrap();
        }
        let check = |name: &str, expected: &str| {
            let found = resolve(root.path(), Path::new(name));
            let found = found.map_or_else(
                |error| error.kind().to_string(),
                |path| path.display().to_string(),
            );
            assert_eq!(found, expected, "{name}");
        };
        check("/", "/");
        check("/bin/tool", "/usr/bin/tool");
        check("bin/../bin", "/usr/bin");
        check("/absolute/bin/tool", "/usr/bin/tool");
        check("/usr/up/usr/bin/again", "/usr/bin/tool");
        check("../../usr", "/usr");
        check(
            "/loop",
            "filesystem loop or indirection limit (e.g. symlink loop)",
        );
        check("/dangling", "entity not found");
        check("/usr/bin/tool/x", "not a directory");
    }
}
