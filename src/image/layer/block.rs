//! Fixed pieces of a tar, and the pool that bounds how many exist.

use super::beneath::{Beneath, Cursor};
use super::gzip;
use super::tar::Content;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The size of a block, a little less than 256 KiB. Compressed bytes depend on it; never change it lightly.
pub(super) const BLOCK_SIZE: usize = 4 * gzip::SEGMENT;

/// A piece of a tar: bytes that are known, and holes that files fill.
#[derive(Default)]
pub(super) struct Block {
    data: Vec<u8>,
    used: usize,
    holes: Vec<Hole>,
    /// The paths of the holes' files, one after the other.
    paths: Vec<u8>,
    /// The compressed bytes.
    pub(super) compressed: Vec<u8>,
}

/// A piece of a file and its place in a block.
struct Hole {
    place: Range<usize>,
    path: Range<usize>,
    offset: u64,
    size: u64,
    inode: u64,
}

impl Block {
    /// Empties the block; its buffers stay allocated.
    fn clear(&mut self) {
        self.data.resize(BLOCK_SIZE, 0);
        self.used = 0;
        self.holes.clear();
        self.paths.clear();
        self.compressed.clear();
    }

    /// How much still fits.
    pub(super) fn room(&self) -> usize {
        self.data.len() - self.used
    }

    /// The bytes, once holes are filled.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[..self.used]
    }

    /// Appends as much of `bytes` as fits and returns the rest.
    pub(super) fn push<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (fits, rest) = bytes.split_at(bytes.len().min(self.room()));
        self.data[self.used..self.used + fits.len()].copy_from_slice(fits);
        self.used += fits.len();
        rest
    }

    /// Appends `length` bytes from a reader, which must fit, and returns their place.
    pub(super) fn push_from(
        &mut self,
        mut from: impl Read,
        length: usize,
    ) -> io::Result<Range<usize>> {
        let place = self.used..self.used + length.min(self.room());
        from.read_exact(&mut self.data[place.clone()])?;
        self.used = place.end;
        Ok(place)
    }

    /// Appends as much of the content from `offset` on as fits and returns the offset behind it.
    pub(super) fn push_file(&mut self, content: &Content<'_>, offset: u64) -> u64 {
        let length = usize::try_from(content.size - offset)
            .unwrap_or(usize::MAX)
            .min(self.room());
        let path = self.paths.len()..self.paths.len() + content.path.len();
        self.paths.extend_from_slice(content.path);
        let place = self.used..self.used + length;
        self.used += length;
        self.holes.push(Hole {
            place,
            path,
            offset,
            size: content.size,
            inode: content.identity.inode,
        });
        offset + length as u64
    }

    /// Reads the files into the holes; `root` is where their paths start.
    ///
    /// # Errors
    /// A file cannot be read, or is not the one that the tar's header describes any more.
    pub(super) fn fill(&mut self, root: Option<&Beneath>) -> Result<()> {
        let mut cursor = root.map(Cursor::new);
        for hole in &self.holes {
            let path = &self.paths[hole.path.clone()];
            let full = || match root {
                Some(root) => root.full_path(path),
                None => OsStr::from_bytes(path).into(),
            };
            let file = match &mut cursor {
                Some(cursor) => cursor.read(path),
                None => open(path),
            };
            let file = file.context(|| format!("open {}", full().display()))?;
            hole.fill(&file, &mut self.data[hole.place.clone()])
                .context(|| format!("read {}", full().display()))?;
        }
        Ok(())
    }

    /// Compresses the bytes.
    ///
    /// # Errors
    /// As [`gzip::block`].
    pub(super) fn compress(&mut self) -> Result<()> {
        gzip::block(&self.data[..self.used], &mut self.compressed)
    }
}

fn open(path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

impl Hole {
    fn fill(&self, file: &OwnedFd, place: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < place.len() {
            let offset = self.offset + done as u64;
            match rustix::io::pread(file, &mut place[done..], offset) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(os(error).into()),
            }
        }
        // After the read, so that it also notices what changed meanwhile.
        let stat = rustix::fs::fstat(file).map_err(os)?;
        let same = FileType::from_raw_mode(stat.st_mode).is_file()
            && stat.st_ino == self.inode
            && u64::try_from(stat.st_size) == Ok(self.size);
        match same && done == place.len() {
            true => Ok(()),
            false => Err(Error::other("file changed while it was read")),
        }
    }
}

fn os(error: rustix::io::Errno) -> io::Error {
    error.into()
}

/// A fixed number of blocks.
pub(super) struct Pool {
    blocks: Mutex<Blocks>,
    returned: Condvar,
}

struct Blocks {
    free: Vec<Block>,
    /// How many may still be made.
    unmade: usize,
}

impl Pool {
    pub(super) fn new(blocks: usize) -> Arc<Self> {
        let blocks = Mutex::new(Blocks {
            free: Vec::new(),
            unmade: blocks,
        });
        Arc::new(Self {
            blocks,
            returned: Condvar::new(),
        })
    }

    /// An empty block, unless all are in use.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Pooled> {
        self.lock().take().map(|block| Pooled {
            block,
            pool: Arc::clone(self),
        })
    }

    /// An empty block, as soon as there is one.
    pub(super) fn take(self: &Arc<Self>) -> Pooled {
        let mut blocks = self.lock();
        loop {
            if let Some(block) = blocks.take() {
                return Pooled {
                    block,
                    pool: Arc::clone(self),
                };
            }
            blocks = self
                .returned
                .wait(blocks)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blocks {
    fn take(&mut self) -> Option<Block> {
        let mut block = match self.free.pop() {
            Some(block) => block,
            None => {
                self.unmade = self.unmade.checked_sub(1)?;
                Block::default()
            }
        };
        block.clear();
        Some(block)
    }
}

/// A block that goes back to its pool when it drops.
pub(super) struct Pooled {
    block: Block,
    pool: Arc<Pool>,
}

impl Deref for Pooled {
    type Target = Block;
    fn deref(&self) -> &Block {
        &self.block
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Block {
        &mut self.block
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.lock().free.push(std::mem::take(&mut self.block));
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Identity;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// Fills a block with a file that changed after its header was written.
    fn check(change: impl FnOnce(&Path), expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "0123456789").unwrap();
        let identity = Identity::of(&rustix::fs::stat(&path).unwrap());
        let pool = Pool::new(1);
        let mut block = pool.take();
        block.push_file(
            &Content {
                path: b"f",
                size: 10,
                identity,
            },
            0,
        );
        change(&path);
        let root = Beneath::open(dir.path()).unwrap();
        let result = block
            .fill(Some(&root))
            .map(|()| String::from_utf8(block.bytes().to_vec()).unwrap());
        let actual = result.unwrap_or_else(|error| error.to_string());
        assert_eq!(actual.replace(path.to_str().unwrap(), "F"), expected);
    }

    #[test]
    fn files_that_change_are_noticed() {
        let changed = "read F: file changed while it was read";
        check(|_| {}, "0123456789");
        check(|path| fs::write(path, "01234").unwrap(), changed);
        check(|path| fs::write(path, "0123456789a").unwrap(), changed);
        check(
            |path| fs::remove_file(path).unwrap(),
            "open F: no such file or directory",
        );
        check(
            |path| {
                fs::write(path.with_extension("new"), "9876543210").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
            changed,
        );
        check(
            |path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            },
            "open F: too many levels of symbolic links",
        );
        check(
            |path| {
                fs::remove_file(path).unwrap();
                rustix::fs::mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
            },
            "read F: illegal seek",
        );
    }
}
