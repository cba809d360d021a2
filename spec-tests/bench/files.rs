//! The files that fill the big layer.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The size of the big layer.
const FILES: u64 = 50_000;
const BYTES: u64 = 400_000_000;
/// How far large files may be ahead of the pace that leads to both numbers.
const AHEAD: u64 = 30_000_000;
const SETUID_SETGID: u32 = 0o6000;

/// Copies real files of this machine, directory by directory, and returns their number and size.
pub(crate) fn gather(to: &Path) -> io::Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    let mut directories = vec![PathBuf::from("/usr")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        let place = to.join(directory.strip_prefix("/").unwrap_or(&directory));
        for path in paths {
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_file()
                // Not everybody restores it.
                && metadata.mode() & SETUID_SETGID == 0
                && bytes + metadata.len() <= BYTES * count / FILES + AHEAD
            {
                fs::create_dir_all(&place)?;
                let Some(name) = path.file_name() else {
                    continue;
                };
                if fs::copy(&path, place.join(name)).is_ok() {
                    (count, bytes) = (count + 1, bytes + metadata.len());
                }
                if count == FILES {
                    return Ok((count, bytes));
                }
            }
        }
    }
    Ok((count, bytes))
}
