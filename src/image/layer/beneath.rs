//! Paths resolved below a directory handle without following a single link, so that nobody who owns the tree can make
//! us read or write elsewhere by swapping a directory for a link.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once the kernel or a seccomp filter refused openat2.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// A directory below which relative paths are resolved. The links on the way to the directory itself count as chosen
/// by whoever named it.
#[derive(Debug)]
pub struct Beneath {
    handle: OwnedFd,
    path: PathBuf,
}

impl Beneath {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// It cannot be opened, or is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// The full path of what `relative` names, for messages and tar entries.
    pub fn full_path(&self, relative: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(relative))
    }

    /// Opens what `relative` names, which lies strictly below.
    ///
    /// # Errors
    /// It cannot be opened, or a link is on the way.
    pub fn open_at(&self, relative: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !NO_OPENAT2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match rustix::fs::openat2(&self.handle, relative, flags, Mode::empty(), resolve) {
                Err(Errno::NOSYS | Errno::PERM) => NO_OPENAT2.store(true, Ordering::Relaxed),
                result => return Ok(result?),
            }
        }
        self.open_by_steps(relative, flags)
    }

    /// Opens the directory that `relative` names for listing; the root itself for an empty one.
    ///
    /// # Errors
    /// It cannot be opened, or a link is on the way.
    pub fn list(&self, relative: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match relative {
            b"" => {
                let flags = flags | OFlags::CLOEXEC;
                Ok(rustix::fs::openat(&self.handle, ".", flags, Mode::empty())?)
            }
            relative => self.open_at(relative, flags),
        }
    }

    /// What openat2 does, one component at a time.
    fn open_by_steps(&self, relative: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut parts = relative.split(|&byte| byte == b'/').peekable();
        let mut directory = None::<OwnedFd>;
        while let Some(part) = parts.next() {
            if matches!(part, b"" | b"." | b"..") {
                return Err(Errno::XDEV.into());
            }
            let at = directory.as_ref().map_or(self.handle.as_fd(), AsFd::as_fd);
            let flags = if parts.peek().is_some() { step } else { flags };
            directory = Some(rustix::fs::openat(at, part, flags, Mode::empty())?);
        }
        directory.ok_or_else(|| Errno::NOENT.into())
    }
}

/// Visits paths below a root, keeping the last parent directory open: neighbours come one after the other.
pub struct Cursor<R> {
    root: R,
    parent: Option<(Vec<u8>, OwnedFd)>,
}

impl<R: Deref<Target = Beneath>> Cursor<R> {
    /// Begins at `root`.
    pub fn new(root: R) -> Self {
        Self { root, parent: None }
    }

    /// The open parent directory of `relative`, and its last component.
    ///
    /// # Errors
    /// The parent cannot be opened, or a link is on the way.
    pub fn parent<'p>(&mut self, relative: &'p [u8]) -> io::Result<(BorrowedFd<'_>, &'p [u8])> {
        let Some(slash) = relative.iter().rposition(|&byte| byte == b'/') else {
            return Ok((self.root.handle.as_fd(), relative));
        };
        let (parent, name) = (&relative[..slash], &relative[slash + 1..]);
        let kept = self.parent.take().filter(|(path, _)| path == parent);
        let open = match kept {
            Some(open) => open,
            None => (
                parent.to_vec(),
                self.root
                    .open_at(parent, OFlags::PATH | OFlags::DIRECTORY)?,
            ),
        };
        Ok((self.parent.insert(open).1.as_fd(), name))
    }

    /// Keeps the open directory at `relative` as the last parent.
    pub fn enter(&mut self, relative: &[u8], directory: OwnedFd) {
        self.parent = Some((relative.to_vec(), directory));
    }

    /// Opens the directory at `relative` for listing.
    ///
    /// # Errors
    /// It cannot be opened, or is no directory.
    pub fn list(&mut self, relative: &[u8]) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent(relative)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
    }

    /// Opens the file at `relative` for reading. Never blocks; the caller checks what it got.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn read(&mut self, relative: &[u8]) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent(relative)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_parents_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/a/b")).unwrap();
        symlink("a", dir.path().join("root/link")).unwrap();
        symlink("/", dir.path().join("root/a/out")).unwrap();
        let root = Beneath::open(&dir.path().join("root")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        for by_steps in [false, true] {
            let open = |path: &str| match by_steps {
                true => root.open_by_steps(path.as_bytes(), flags | OFlags::NOFOLLOW),
                false => root.open_at(path.as_bytes(), flags),
            };
            assert!(open("a").is_ok() && open("a/b").is_ok());
            for bad in [
                "link",
                "link/b",
                "a/out",
                "a/out/etc",
                "..",
                "a/../..",
                "/",
                "/etc",
                "",
                "a/none",
            ] {
                assert!(open(bad).is_err(), "{bad} {by_steps}");
            }
        }
    }
}
