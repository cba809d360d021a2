//! Files of the image that is being extended, as this process's root has them.
//!
//! Nothing else runs while files are placed: what an instruction started is killed before the next one.

use super::namespace::Owners;
use super::resolve;
use super::snapshot::Ignored;
use super::snapshot::pack::{CAPABILITY, WHITEOUT};
use super::tar::{self, Kind, Member};
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Who a file belongs to: user and group id.
pub(super) type Owner = (u32, u32);

/// What a new file is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) owner: Owner,
    pub(super) mode: u32,
    /// Seconds and nanoseconds since 1970; now if absent.
    pub(super) modified: Option<(i64, i64)>,
}

/// The root of the image's files.
pub(super) struct Disk {
    root: PathBuf,
    owners: Owners,
}

impl Disk {
    pub(super) fn new(root: &Path, owners: Owners) -> Self {
        Self {
            root: root.to_owned(),
            owners,
        }
    }

    /// Where a path of the image is, its links not followed.
    pub(super) fn full(&self, path: &Path) -> PathBuf {
        resolve::below(&self.root, path)
    }

    /// Whether a path of the image names a directory.
    pub(super) fn is_directory(&self, path: &Path) -> bool {
        let real = resolve::resolve(&self.root, path);
        real.is_ok_and(|real| self.full(&real).is_dir())
    }

    /// A small text file of the image; empty if there is none.
    pub(super) fn text(&self, path: &str) -> Result<String> {
        let limit = lifecycle_core::file::DOCUMENT_LIMIT;
        let text = match resolve::resolve(&self.root, Path::new(path)) {
            Ok(real) => lifecycle_core::file::read_if_exists(&self.full(&real), limit)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::from(error).in_context(format!("read {path}"))),
        };
        Ok(text.unwrap_or_default())
    }

    /// Makes a directory and those above it, unless they exist; new ones get the owner and mode 0755. Returns the
    /// directory without links on its way. What is made is added to `touched`.
    pub(super) fn make_directory(
        &self,
        path: &Path,
        owner: Owner,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<PathBuf> {
        let context = || format!("create {}", path.display());
        let mut real = PathBuf::from("/");
        for part in path.components() {
            match part {
                Component::Normal(name) => real.push(name),
                Component::ParentDir => {
                    real.pop();
                    continue;
                }
                _ => continue,
            }
            match fs::create_dir(self.full(&real)) {
                Ok(()) => {
                    let attributes = Attributes {
                        owner,
                        mode: 0o755,
                        modified: None,
                    };
                    self.describe(&real, attributes, None).context(context)?;
                    touched.insert(relative(&real));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let resolved = resolve::resolve(&self.root, &real).context(context)?;
                    if !self.full(&resolved).is_dir() {
                        let cause = format!("{} is not a directory", real.display());
                        return Err(Error::other(cause).in_context(context()));
                    }
                    real = resolved;
                }
                Err(error) => return Err(Error::from(error).in_context(context())),
            }
        }
        Ok(real)
    }

    /// Puts a file in the place of whatever is there, unless that is a directory.
    pub(super) fn write_file(
        &self,
        path: &Path,
        content: &mut dyn Read,
        attributes: Attributes,
        capability: Option<&[u8]>,
    ) -> Result<()> {
        let context = || format!("write {}", path.display());
        self.clear(path).context(context)?;
        let full = self.full(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&full);
        let mut file = file.context(context)?;
        io::copy(content, &mut file).context(context)?;
        self.describe(path, attributes, capability).context(context)
    }

    /// Puts a symbolic link in the place of whatever is there, unless that is a directory.
    pub(super) fn link(&self, path: &Path, target: &OsStr, attributes: Attributes) -> Result<()> {
        let context = || format!("link {}", path.display());
        self.clear(path).context(context)?;
        std::os::unix::fs::symlink(target, self.full(path)).context(context)?;
        self.describe(path, attributes, None).context(context)
    }

    /// Gives the file at `target` another name, in the place of whatever is there, unless that is a directory.
    pub(super) fn hard_link(&self, path: &Path, target: &Path) -> Result<()> {
        let context = || format!("link {}", path.display());
        self.clear(path).context(context)?;
        // Not through a symbolic link: hard_link takes the name as it is.
        fs::hard_link(self.full(target), self.full(path)).context(context)
    }

    /// Gives an existing file its attributes: the owner first, as a change of owner takes set-user-id bits and
    /// capabilities away.
    pub(super) fn describe(
        &self,
        path: &Path,
        attributes: Attributes,
        capability: Option<&[u8]>,
    ) -> io::Result<()> {
        let full = self.full(path);
        let (uid, gid) = attributes.owner;
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match rustix::fs::chownat(CWD, &full, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::INVAL) => {
                let text = format!("nobody is {uid}:{gid} in this user namespace");
                return Err(io::Error::other(text));
            }
            other => other?,
        }
        let is_link = fs::symlink_metadata(&full)?.is_symlink();
        if !is_link {
            rustix::fs::chmodat(
                CWD,
                &full,
                Mode::from_raw_mode(attributes.mode & 0o7777),
                AtFlags::empty(),
            )?;
        }
        if let Some(value) = capability {
            rustix::fs::lsetxattr(&full, CAPABILITY, value, XattrFlags::empty())?;
        }
        if let Some((tv_sec, tv_nsec)) = attributes.modified {
            let time = Timespec { tv_sec, tv_nsec };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(CWD, &full, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Removes what is at `path`; a directory only when it is empty.
    fn clear(&self, path: &Path) -> io::Result<()> {
        let full = self.full(path);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir(&full),
            Ok(_) => fs::remove_file(&full),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let full = self.full(path);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&full),
            Ok(_) => fs::remove_file(&full),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Unpacks a tar below the directory `into`. Nothing is written outside of it, whatever names and links the tar has.
    ///
    /// # Errors
    /// The tar is malformed or leads elsewhere, or a file cannot be written.
    pub(super) fn unpack(
        &self,
        archive: impl Read,
        into: &Path,
        what: Archive<'_>,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let mut unpacker = Unpacker {
            disk: self,
            into,
            what,
            touched,
            directories: Vec::new(),
            written: BTreeSet::new(),
        };
        tar::read(archive, |member, content| {
            let name = Path::new(OsStr::from_bytes(&member.name)).display();
            let context = format!("unpack {name}");
            unpacker.member(&member, content).context(|| context)
        })?;
        // Files that came later have changed the times of their directories.
        for (path, attributes) in unpacker.directories.iter().rev() {
            self.describe(path, *attributes, None)
                .context(|| format!("unpack {}", path.display()))?;
        }
        Ok(())
    }
}

/// What kind of tar is unpacked.
#[derive(Clone, Copy)]
pub(super) enum Archive<'a> {
    /// A layer, which also says what to remove. Ignored paths are left alone.
    Layer(&'a Ignored),
    /// Files, whatever their names.
    Files,
}

struct Unpacker<'a> {
    disk: &'a Disk,
    into: &'a Path,
    what: Archive<'a>,
    touched: &'a mut BTreeSet<Vec<u8>>,
    directories: Vec<(PathBuf, Attributes)>,
    /// What this tar has written: it survives a later marker that empties its directory.
    written: BTreeSet<PathBuf>,
}

impl Unpacker<'_> {
    fn member(&mut self, member: &Member, content: &mut dyn Read) -> Result<()> {
        let ignored = match self.what {
            Archive::Layer(ignored) => ignored.covers(&relative(&self.named(&member.name)?)),
            Archive::Files => false,
        };
        let path = match ignored {
            true => None,
            false => self.place(&member.name)?,
        };
        let Some(path) = path else {
            return Ok(());
        };
        let name = path.file_name().unwrap_or_default().as_bytes();
        if let (Archive::Layer(_), Some(hidden)) = (self.what, name.strip_prefix(WHITEOUT)) {
            return self.whiteout(&path, hidden);
        }
        let attributes = Attributes {
            owner: match (self.what, self.disk.owners) {
                (Archive::Layer(_), Owners::OnlyRoot) => (0, 0),
                _ => (member.uid, member.gid),
            },
            mode: member.mode,
            modified: Some((member.modified, 0)),
        };
        self.touched.insert(relative(&path));
        self.written.insert(path.clone());
        let full = self.disk.full(&path);
        let is_directory = fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_dir());
        if member.kind != Kind::Directory && is_directory {
            self.disk.remove(&path)?;
        }
        match member.kind {
            Kind::Directory => {
                if !is_directory {
                    self.disk.clear(&path)?;
                    fs::create_dir(&full)?;
                }
                self.directories.push((path, attributes));
                Ok(())
            }
            Kind::File => self
                .disk
                .write_file(&path, content, attributes, member.capability()),
            Kind::Symlink => {
                let target = OsStr::from_bytes(&member.link);
                self.disk.link(&path, target, attributes)
            }
            Kind::HardLink => {
                let target = self.place(&member.link)?;
                let target = target.ok_or_else(|| Error::other("a link to nothing"))?;
                self.disk.hard_link(&path, &target)
            }
            Kind::Fifo => self.node(&path, FileType::Fifo, member, attributes),
            Kind::CharDevice => self.node(&path, FileType::CharacterDevice, member, attributes),
            Kind::BlockDevice => self.node(&path, FileType::BlockDevice, member, attributes),
        }
    }

    fn node(
        &self,
        path: &Path,
        kind: FileType,
        member: &Member,
        attributes: Attributes,
    ) -> Result<()> {
        self.disk.clear(path)?;
        let device = rustix::fs::makedev(member.device.0, member.device.1);
        let full = self.disk.full(path);
        rustix::fs::mknodat(CWD, &full, kind, Mode::RUSR, device).map_err(io::Error::from)?;
        Ok(self.disk.describe(path, attributes, None)?)
    }

    /// The path that a member's name means.
    fn named(&self, name: &[u8]) -> Result<PathBuf> {
        let mut path = self.into.to_owned();
        for part in Path::new(OsStr::from_bytes(name)).components() {
            match part {
                Component::Normal(name) => path.push(name),
                Component::ParentDir => return Err(Error::other("its name leads elsewhere")),
                _ => {}
            }
        }
        Ok(path)
    }

    /// Where a member goes: below `into`, its parents made and free of links that lead elsewhere. Nothing for the
    /// directory itself.
    fn place(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        let path = self.named(name)?;
        let parts = path.parent().zip(path.file_name());
        let Some((parent, name)) = parts.filter(|_| path != self.into) else {
            return Ok(None);
        };
        let real = self.disk.make_directory(parent, (0, 0), self.touched)?;
        match real.starts_with(self.into) {
            true => Ok(Some(real.join(name))),
            false => Err(Error::other("a link on its way leads elsewhere")),
        }
    }

    fn whiteout(&mut self, path: &Path, hidden: &[u8]) -> Result<()> {
        let directory = path.parent().unwrap_or(path);
        if hidden != b".wh..opq" {
            let hidden = directory.join(OsStr::from_bytes(hidden));
            return Ok(self.disk.remove(&hidden)?);
        }
        for entry in fs::read_dir(self.disk.full(directory))? {
            let entry = directory.join(entry?.file_name());
            if !self.written.contains(&entry) {
                self.disk.remove(&entry)?;
            }
        }
        Ok(())
    }
}

/// The path below the root, as layers name it.
pub(super) fn relative(path: &Path) -> Vec<u8> {
    let path = path.strip_prefix("/").unwrap_or(path);
    path.as_os_str().as_bytes().to_vec()
}

/// Opens a file of which an instruction's content is read: never a device or fifo.
pub(super) fn open_file(handle: std::os::fd::OwnedFd) -> Result<File> {
    let file = File::from(handle);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::other("not a regular file")),
    }
}

#[cfg(test)]
mod tests;
