//! What a layer never holds: mounts, and places that belong to the lifecycle and its platform.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names by the directory that they are in; paths are relative to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>);

impl Ignored {
    /// The kernel's file systems, the mounts that `mountinfo` (`/proc/self/mountinfo`) lists, and `paths`, absolute.
    pub fn new<'a>(mountinfo: &[u8], paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut ignored = Self::default();
        for path in ["dev", "proc", "sys", "var/run", "etc/mtab"] {
            ignored.add(path.as_bytes());
        }
        for line in mountinfo.split(|byte| *byte == b'\n') {
            // The fifth field is where it is mounted.
            if let Some(place) = line.split(|byte| *byte == b' ').nth(4) {
                ignored.add(&unescape(place));
            }
        }
        for path in paths {
            ignored.add(path.as_os_str().as_encoded_bytes());
        }
        ignored
    }

    fn add(&mut self, path: &[u8]) {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if let Some((directory, name)) = split(path) {
            let names = self.0.entry(directory.to_vec()).or_default();
            names.insert(name.to_vec());
        }
    }

    /// What is ignored in `directory`.
    pub(super) fn within(&self, directory: &[u8]) -> Option<&BTreeSet<Vec<u8>>> {
        self.0.get(directory)
    }

    /// Whether `path` or a directory that it is in is ignored.
    pub fn covers(&self, path: &[u8]) -> bool {
        let listed = |path: &[u8]| {
            split(path).is_some_and(|(directory, name)| {
                self.0
                    .get(directory)
                    .is_some_and(|names| names.contains(name))
            })
        };
        let is_slash = |(at, byte): (usize, &u8)| (*byte == b'/').then_some(at);
        let mut parents = path.iter().enumerate().filter_map(is_slash);
        listed(path) || parents.any(|at| path.get(..at).is_some_and(listed))
    }
}

/// The directory and the name of a relative path; nothing for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            let (directory, name) = path.split_at(slash);
            (directory, name.get(1..).unwrap_or_default())
        }
        None => (b"", path),
    })
}

/// Undoes the kernel's `\040` for white space and backslashes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        };
        match after.get(..3).and_then(octal).filter(|_| byte == b'\\') {
            Some(value) => {
                result.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                result.push(byte);
                rest = after;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_paths_are_ignored_with_what_is_in_them() {
        let mountinfo = b"1 0 0:1 / / rw - overlay o rw\n\
            2 1 0:2 / /etc/hosts rw - ext4 /dev/sda rw\n\
            3 1 0:3 / /a\\040b rw - tmpfs t rw\n";
        let paths = ["/layers", "/x/y/"].map(Path::new);
        let ignored = Ignored::new(mountinfo, paths);
        let check = |path: &str, expected: bool| {
            assert_eq!(ignored.covers(path.as_bytes()), expected, "{path}");
        };
        for path in [
            "proc",
            "proc/1/mem",
            "etc/hosts",
            "a b/c",
            "layers",
            "layers/a/b",
            "x/y",
        ] {
            check(path, true);
        }
        for path in ["", "etc", "etc/hosts2", "x", "x/z", "layers2", "procs", "a"] {
            check(path, false);
        }
    }
}
