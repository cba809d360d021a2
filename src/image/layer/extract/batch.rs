//! What workers make files of: contents in a block, and where they go.

use super::malformed;
use super::stage::{made, os};
use crate::layer::beneath::{Beneath, Cursor};
use crate::layer::block::Pooled;
use crate::layer::fingerprint::Identity;
use lifecycle_core::error::{Result, ResultExt};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All that a mode may have.
const MODE_BITS: u32 = 0o7777;

/// File contents in a block, and where they go.
pub(super) struct Batch {
    block: Pooled,
    lists: Lists,
}

/// What a batch consists of. One batch after the other uses the same: the allocator would return the memory to the
/// kernel each time.
#[derive(Default)]
pub(super) struct Lists {
    paths: Vec<u8>,
    pieces: Vec<Piece>,
    /// Files with content that were finished, by their number.
    pub(super) made: Vec<(u64, Identity)>,
}

struct Piece {
    place: Range<usize>,
    target: Target,
}

enum Target {
    /// All of a file that is still to be made; the path is a range of the batch's paths.
    New {
        path: Range<usize>,
        mode: u32,
        number: u64,
    },
    /// A part of a large file.
    At { file: Arc<LargeFile>, offset: u64 },
}

/// A file that takes more than one block.
pub(super) struct LargeFile {
    file: OwnedFd,
    mode: u32,
    number: u64,
    /// How many bytes are still to be written.
    missing: AtomicU64,
}

impl Batch {
    /// An empty batch, whatever the lists were used for.
    pub(super) fn new(block: Pooled, mut lists: Lists) -> Self {
        lists.paths.clear();
        lists.pieces.clear();
        lists.made.clear();
        Self { block, lists }
    }

    /// How many bytes of content still fit.
    pub(super) fn room(&self) -> usize {
        self.block.room()
    }

    /// Adds a file that is to be made, with all of its `size` bytes, which fit.
    pub(super) fn add_file(
        &mut self,
        path: &[u8],
        mode: u32,
        number: u64,
        content: impl Read,
        size: usize,
    ) -> Result<()> {
        let start = self.lists.paths.len();
        self.lists.paths.extend_from_slice(path);
        let path = start..self.lists.paths.len();
        self.add(content, size, Target::New { path, mode, number })
    }

    /// Adds `length` bytes of a large file, which fit.
    pub(super) fn add_part(
        &mut self,
        file: &Arc<LargeFile>,
        offset: u64,
        content: impl Read,
        length: usize,
    ) -> Result<()> {
        let file = Arc::clone(file);
        self.add(content, length, Target::At { file, offset })
    }

    fn add(&mut self, content: impl Read, length: usize, target: Target) -> Result<()> {
        let place = self.block.push_from(content, length).map_err(malformed)?;
        self.lists.pieces.push(Piece { place, target });
        Ok(())
    }

    /// Writes everything below `root`. The lists say which files were finished.
    pub(super) fn write(self, root: &Beneath) -> (Lists, Result<()>) {
        let Self { block, mut lists } = self;
        let result = lists.write(block.bytes(), root);
        (lists, result)
    }
}

impl Lists {
    fn write(&mut self, content: &[u8], root: &Beneath) -> Result<()> {
        let mut cursor = Cursor::new(root);
        for piece in &self.pieces {
            let content = &content[piece.place.clone()];
            match &piece.target {
                Target::New { path, mode, number } => {
                    let path = &self.paths[path.clone()];
                    let identity = write_new(&mut cursor, path, *mode, content)
                        .context(|| format!("write {}", root.full_path(path).display()))?;
                    let made = (*number, identity);
                    self.made.extend((!content.is_empty()).then_some(made));
                }
                Target::At { file, offset } => {
                    let finished = file.write(content, *offset).context(|| "write file")?;
                    self.made.extend(finished);
                }
            }
        }
        Ok(())
    }
}

impl LargeFile {
    /// Makes an empty file that will have `size` bytes.
    pub(super) fn create(
        parent: BorrowedFd<'_>,
        name: &[u8],
        mode: u32,
        number: u64,
        size: u64,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            file: create(parent, name, mode)?,
            mode,
            number,
            missing: AtomicU64::new(size),
        }))
    }

    /// Writes a part; the file is finished with the last one.
    fn write(&self, content: &[u8], offset: u64) -> Result<Option<(u64, Identity)>> {
        write_at(&self.file, content, offset)?;
        let length = content.len() as u64;
        match self.missing.fetch_sub(length, Ordering::AcqRel) == length {
            true => Ok(Some((self.number, finish(&self.file, self.mode)?))),
            false => Ok(None),
        }
    }
}

fn write_new(
    cursor: &mut Cursor<&Beneath>,
    path: &[u8],
    mode: u32,
    content: &[u8],
) -> Result<Identity> {
    let (parent, name) = cursor.parent(path)?;
    let file = create(parent, name, mode)?;
    write_at(&file, content, 0)?;
    finish(&file, mode)
}

fn create(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, mode.into()).map_err(made)
}

/// Gives a written file its mode where the umask had a say in it, and says which file it is.
fn finish(file: &OwnedFd, mode: u32) -> Result<Identity> {
    let stat = rustix::fs::fstat(file).map_err(os)?;
    if stat.st_mode & MODE_BITS == mode {
        return Ok(Identity::of(&stat));
    }
    rustix::fs::fchmod(file, mode.into()).map_err(os)?;
    Ok(Identity::of(&rustix::fs::fstat(file).map_err(os)?))
}

fn write_at(file: impl AsFd, mut content: &[u8], mut offset: u64) -> Result<()> {
    while !content.is_empty() {
        match rustix::io::pwrite(&file, content, offset) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(written) => {
                content = content.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(os(error)),
        }
    }
    Ok(())
}
