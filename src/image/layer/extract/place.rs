//! From the stage into place: renames, so that everything appears whole.

use super::stage::{Stage, os};
use crate::layer::beneath::{Beneath, Cursor};
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Stage<'_> {
    /// Moves what is at the root into place. Directories that exist keep what else they hold, and their mode; other
    /// things give way.
    pub(super) fn place(self, root: &Path) -> Result<()> {
        let full = self.base.full_path(root.as_os_str().as_bytes());
        self.place_root(root)
            .context(|| format!("restore {}", full.display()))
    }

    fn place_root(&self, root: &Path) -> Result<()> {
        let merged = self.move_root(root)?;
        for (path, mode) in self
            .late_modes
            .iter()
            .rev()
            .filter(|(path, _)| !merged.contains(path))
        {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let directory = self.base.open_at(path.as_os_str().as_bytes(), flags)?;
            rustix::fs::fchmod(&directory, (*mode).into()).map_err(os)?;
        }
        Ok(())
    }

    /// Returns the directories that exist and were not replaced.
    fn move_root(&self, root: &Path) -> Result<BTreeSet<PathBuf>> {
        let mut merged = BTreeSet::new();
        let mut from = Cursor::new(&*self.root);
        let mut to = Cursor::new(&self.base);
        if kind(&mut from, root)?.is_none() {
            return Ok(merged);
        }
        self.make_above(root, &mut to)?;
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            let bytes = path.as_os_str().as_bytes();
            match (kind(&mut from, &path)?, kind(&mut to, &path)?) {
                (Some(FileType::Directory), Some(FileType::Directory)) => {
                    waiting.extend(names(&mut from, bytes)?.iter().map(|name| path.join(name)));
                    merged.insert(path);
                }
                (_, Some(_)) if path == root => {
                    return Err(Error::other("it exists and is not a directory"));
                }
                (Some(FileType::Directory), Some(_)) => {
                    let (parent, name) = to.parent(bytes)?;
                    rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(os)?;
                    waiting.push(path);
                }
                _ => {
                    let ((old, name), (new, _)) = (from.parent(bytes)?, to.parent(bytes)?);
                    rustix::fs::renameat(old, name, new, name).map_err(os)?;
                }
            }
        }
        Ok(merged)
    }

    /// Makes the directories above a root that are missing.
    fn make_above(&self, root: &Path, to: &mut Cursor<&Beneath>) -> Result<()> {
        let mut above: Vec<&Path> = root
            .ancestors()
            .skip(1)
            .filter(|a| !a.as_os_str().is_empty())
            .collect();
        above.reverse();
        for path in above {
            let (parent, name) = to.parent(path.as_os_str().as_bytes())?;
            match rustix::fs::mkdirat(parent, name, Mode::from(0o755)) {
                Ok(()) => chmod(parent, name, self.above.get(path).copied())?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(os(error)),
            }
        }
        Ok(())
    }
}

fn chmod(parent: BorrowedFd<'_>, name: &[u8], mode: Option<u32>) -> Result<()> {
    let Some(mode) = mode else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(os)?;
    rustix::fs::fchmod(&directory, mode.into()).map_err(os)
}

/// What is at `path`, if anything.
fn kind(cursor: &mut Cursor<&Beneath>, path: &Path) -> Result<Option<FileType>> {
    let (parent, name) = match cursor.parent(path.as_os_str().as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(os(error)),
    }
}

fn names(cursor: &mut Cursor<&Beneath>, directory: &[u8]) -> Result<Vec<PathBuf>> {
    let handle = cursor.list(directory)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&handle).map_err(os)? {
        let entry = entry.map_err(os)?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(PathBuf::from(OsStr::from_bytes(name)));
        }
    }
    Ok(names)
}
