//! Directories whose contents buildpacks control. Every change happens below an open handle and follows no link:
//! whatever a buildpack puts in the way, nothing outside is written or deleted.

use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How directories are opened: never through a link.
const BENEATH: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How deep a tree may be that is removed; what is deeper is refused instead of exhausting descriptors or stack.
const DEPTH_LIMIT: u32 = 500;

/// An open directory. Names are single path components; any other name is an error.
#[derive(Debug)]
pub struct Dir {
    handle: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens a directory that the platform named, through links, and makes it if it is missing.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).context(|| format!("mkdir {}", path.display()))?;
        let handle = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(io::Error::from)
        .context(|| format!("open {}", path.display()))?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// The path by which the directory was reached.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `name`, `None` if there is nothing of that name.
    ///
    /// # Errors
    /// It is a link or no directory, or cannot be opened.
    pub fn dir(&self, name: &OsStr) -> Result<Option<Self>> {
        match self.open_dir(name) {
            Ok(handle) => Ok(Some(Self {
                handle,
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.error("open", name, error)),
        }
    }

    /// Opens the directory `name` and makes it if it is missing.
    ///
    /// # Errors
    /// There is something else of that name, a link included, or it cannot be made.
    pub fn make_dir(&self, name: &OsStr) -> Result<Self> {
        component(name)
            .and_then(|name| rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)))
            .or_else(|error| {
                if error == Errno::EXIST {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .and_then(|()| self.open_dir(name))
            .map(|handle| Self {
                handle,
                path: self.path.join(name),
            })
            .map_err(|error| self.error("mkdir", name, error))
    }

    /// The names in the directory, sorted by bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>> {
        names(&self.handle).map_err(|error| error_at("read", &self.path, error))
    }

    /// Writes the file `name`, which appears whole and replaces an older file or link.
    ///
    /// # Errors
    /// It cannot be written, or a directory is in the way.
    pub fn write(&self, name: &OsStr, content: impl Read) -> Result<()> {
        let new = OsString::from(format!(".lifecycle-{}.new", std::process::id()));
        self.remove(&new)?;
        let result = self
            .write_new(&new, content)
            .and_then(|()| self.rename(&new, name));
        if result.is_err() {
            let _ = self.remove(&new);
        }
        result
    }

    fn write_new(&self, name: &OsStr, mut content: impl Read) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = component(name)
            .and_then(|name| {
                rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(0o666))
            })
            .map_err(|error| self.error("create", name, error))?;
        let mut file = File::from(handle);
        io::copy(&mut content, &mut file)
            .and_then(|_| file.flush())
            .context(|| format!("write {}", self.path.join(name).display()))
    }

    /// Renames an entry. What has the new name is replaced, unless it is a directory with entries.
    ///
    /// # Errors
    /// There is no such entry, or the new name is taken.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        component(from)
            .and_then(|from| rustix::fs::renameat(&self.handle, from, &self.handle, component(to)?))
            .map_err(|error| self.error("rename", from, error))
    }

    /// Whether there is an entry `name`, of whatever type.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn contains(&self, name: &OsStr) -> Result<bool> {
        match component(name)
            .and_then(|name| rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW))
        {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.error("stat", name, error)),
        }
    }

    /// Removes an entry with everything below it; links are removed, not followed. Nothing there is fine.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove(&self, name: &OsStr) -> Result<()> {
        component(name)
            .and_then(|name| remove_tree(&self.handle, name, DEPTH_LIMIT))
            .map_err(|error| self.error("remove", name, error))
    }

    fn open_dir(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.handle, component(name)?, BENEATH, Mode::empty())
    }

    fn error(&self, operation: &str, name: &OsStr, error: Errno) -> Error {
        error_at(operation, &self.path.join(name), error)
    }
}

fn error_at(operation: &str, path: &Path, error: Errno) -> Error {
    Error::from(io::Error::from(error)).in_context(format!("{operation} {}", path.display()))
}

/// The name, if it stands for an entry of a directory and nothing else.
fn component(name: &OsStr) -> Result<&OsStr, Errno> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(Errno::INVAL),
        bytes if bytes.contains(&b'/') || bytes.contains(&0) => Err(Errno::INVAL),
        _ => Ok(name),
    }
}

fn names(dir: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if component(&name).is_ok() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes `name` with all that is in it, down to `depth` levels: each takes a descriptor and a piece of the stack.
fn remove_tree(parent: &OwnedFd, name: &OsStr, depth: u32) -> Result<(), Errno> {
    if unlinked(parent, name)? {
        return Ok(());
    }
    let deeper = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let dir = open_to_empty(parent, name)?;
    for entry in names(&dir)? {
        remove_tree(&dir, &entry, deeper)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes what is no directory; `false` if it is one.
fn unlinked(dir: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a directory whose entries are to be removed, and lets its owner do so.
fn open_to_empty(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let dir = rustix::fs::openat(parent, name, BENEATH, Mode::empty())?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&dir)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&dir, mode | Mode::RWXU)?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests;
