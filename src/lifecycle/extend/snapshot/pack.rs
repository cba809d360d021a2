//! The tar of what has changed, as container tools write it: relative names, real times, whiteouts, hard links.

use super::ignored::{Ignored, split};
use super::index::joined;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::layer::beneath::{Beneath, Cursor};
use lifecycle_image::layer::header::{BLOCK, EntryKind, Header, TRAILER, padding};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};

/// What says in a layer that a file of a layer below is gone.
pub(in crate::extend) const WHITEOUT: &[u8] = b".wh.";
/// The file capabilities, the one attribute that a program cannot do without.
pub(in crate::extend) const CAPABILITY: &str = "security.capability";
/// How a PAX record names an extended attribute.
pub(in crate::extend) const XATTR: &str = "SCHILY.xattr.";
/// The largest value that the kernel lets an attribute have.
const MAX_XATTR: usize = 64 << 10;

const SET_IDS: u32 = 0o6000;

/// What becomes of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Present,
    Gone,
}

/// What a layer got that users should know.
#[derive(Debug, Default)]
pub struct Notes {
    /// Files that run with the rights of their owner or group.
    pub set_ids: Vec<Vec<u8>>,
    /// Files whose name would make them whiteouts, which no layer can hold.
    pub left_out: Vec<Vec<u8>>,
}

/// Writes the tar; directories on the way to a path are in it as well.
pub(super) fn pack(
    root: &Beneath,
    paths: &BTreeMap<Vec<u8>, Fate>,
    ignored: &Ignored,
    out: &mut dyn Write,
) -> Result<Notes> {
    let mut packer = Packer {
        cursor: Cursor::new(root),
        out,
        links: HashMap::new(),
        notes: Notes::default(),
    };
    for (path, fate) in &with_parents(paths) {
        if ignored.covers(path) {
            continue;
        }
        let packed = match fate {
            Fate::Present => packer.present(path),
            Fate::Gone => packer.gone(path),
        };
        packed.context(|| format!("archive {}", root.full_path(path).display()))?;
    }
    packer.out.write_all(&[0; TRAILER])?;
    Ok(packer.notes)
}

fn with_parents(paths: &BTreeMap<Vec<u8>, Fate>) -> BTreeMap<Vec<u8>, Fate> {
    let mut all = paths.clone();
    for path in paths.keys() {
        let mut rest = path.as_slice();
        while let Some((parent, _)) = split(rest).filter(|(parent, _)| !parent.is_empty()) {
            if all.contains_key(parent) {
                break;
            }
            all.insert(parent.to_vec(), Fate::Present);
            rest = parent;
        }
    }
    all
}

struct Packer<'a> {
    cursor: Cursor<&'a Beneath>,
    out: &'a mut dyn Write,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    notes: Notes,
}

impl Packer<'_> {
    fn gone(&mut self, path: &[u8]) -> Result<()> {
        let (directory, name) = split(path).unwrap_or_default();
        let marker = joined(directory, &[WHITEOUT, name].concat());
        let header = Header {
            mtime: 0,
            ..Header::new(EntryKind::File, &marker, 0, 0, 0)
        };
        self.header(&header)
    }

    fn present(&mut self, path: &[u8]) -> Result<()> {
        let (_, name) = split(path).unwrap_or_default();
        if name.starts_with(WHITEOUT) {
            self.notes.left_out.push(path.to_vec());
            return Ok(());
        }
        let (parent, name) = self.cursor.parent(path)?;
        let stat =
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            // Sockets mean nothing without their process.
            FileType::Socket | FileType::Unknown => return Ok(()),
        };
        let mut name = path.to_vec();
        let mode = stat.st_mode & 0o7777;
        if kind == EntryKind::Directory {
            name.push(b'/');
        } else if kind == EntryKind::File && mode & SET_IDS != 0 {
            self.notes.set_ids.push(path.to_vec());
        }
        let header = Header {
            mtime: stat.st_mtime,
            ..Header::new(kind, &name, mode, stat.st_uid, stat.st_gid)
        };
        if kind != EntryKind::Directory
            && stat.st_nlink > 1
            && let Some(first) = self.first_link(&stat, path)
        {
            let header = Header {
                kind: EntryKind::HardLink,
                link: &first,
                ..header
            };
            return self.header(&header);
        }
        match kind {
            EntryKind::File => self.file(path, &header, &stat),
            EntryKind::Symlink => {
                let (parent, name) = self.cursor.parent(path)?;
                let target = rustix::fs::readlinkat(parent, name, Vec::new());
                let target = target.map_err(io::Error::from)?;
                let link = target.to_bytes();
                self.header(&Header { link, ..header })
            }
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                let number = stat.st_rdev;
                let device = (rustix::fs::major(number), rustix::fs::minor(number));
                self.header(&Header { device, ..header })
            }
            _ => self.header(&header),
        }
    }

    /// The earlier name of the file; otherwise this is the first.
    fn first_link(&mut self, stat: &Stat, path: &[u8]) -> Option<Vec<u8>> {
        let file = (stat.st_dev, stat.st_ino);
        let first = self.links.get(&file).cloned();
        if first.is_none() {
            self.links.insert(file, path.to_vec());
        }
        first
    }

    fn file(&mut self, path: &[u8], header: &Header<'_>, stat: &Stat) -> Result<()> {
        let file = File::from(self.cursor.read(path)?);
        let metadata = file.metadata()?;
        let size = metadata.len();
        if !metadata.is_file() || Some(size) != u64::try_from(stat.st_size).ok() {
            return Err(Error::other("changed while it was archived"));
        }
        let records: Vec<_> = capability(&file)?
            .into_iter()
            .map(|value| (format!("{XATTR}{CAPABILITY}").into_bytes(), value))
            .collect();
        self.header(&Header {
            size,
            records: &records,
            ..header.clone()
        })?;
        if io::copy(&mut file.take(size), &mut *self.out)? != size {
            return Err(Error::other("changed while it was archived"));
        }
        Ok(self
            .out
            .write_all([0; BLOCK].get(..padding(size)).unwrap_or_default())?)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let mut bytes = Vec::with_capacity(BLOCK);
        header.encode(&mut bytes)?;
        Ok(self.out.write_all(&bytes)?)
    }
}

/// The file's capabilities.
pub(in crate::extend) fn capability(file: &File) -> Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(MAX_XATTR);
    match rustix::fs::fgetxattr(file, CAPABILITY, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => Ok(None),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
