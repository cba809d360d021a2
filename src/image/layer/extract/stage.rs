//! The fresh directory in which a layer is unpacked. The reading thread makes directories and links; workers make
//! files, a block's worth at a time.

use super::batch::{Batch, LargeFile, Lists};
use super::{UNFINISHED, corrupt};
use crate::layer::Workers;
use crate::layer::beneath::{Beneath, Cursor};
use crate::layer::block::{BLOCK_SIZE, Pooled};
use crate::layer::fingerprint::{Files, Identity};
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tempfile::TempDir;

/// What an entry may set: no setuid, and setgid only where directories hand it down.
const FILE_MODE: u32 = 0o1777;
const DIRECTORY_MODE: u32 = 0o3777;
/// What a directory's owner needs to fill it.
const FILLABLE: u32 = 0o700;
/// The mode of directories for which the tar has no entry.
const UNLISTED: u32 = 0o755;

/// A layer that is being unpacked. Removed with all it holds when it drops.
pub(super) struct Stage<'w> {
    workers: &'w Workers,
    pub(super) base: Beneath,
    pub(super) root: Arc<Beneath>,
    pub(super) cursor: Cursor<Arc<Beneath>>,
    batch: Option<Batch>,
    in_flight: usize,
    done: mpsc::Receiver<(Lists, Result<()>)>,
    sender: mpsc::Sender<(Lists, Result<()>)>,
    /// Lists of batches that were written.
    spare: Vec<Lists>,
    /// How many files with content there are.
    files: u64,
    pub(super) made: InOrder,
    /// Modes of directories above the root.
    pub(super) above: BTreeMap<PathBuf, u32>,
    /// Modes of directories that could not be filled if they had them already.
    pub(super) late_modes: Vec<(PathBuf, u32)>,
    /// Dropped last: nothing writes into it any more then.
    _directory: TempDir,
}

impl<'w> Stage<'w> {
    pub(super) fn create(base: &Path, workers: &'w Workers) -> Result<Self> {
        let making = || format!("make a directory in {}", base.display());
        let directory = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(base)
            .context(making)?;
        let root = Arc::new(Beneath::open(directory.path()).context(making)?);
        let (sender, done) = mpsc::channel();
        Ok(Self {
            workers,
            base: Beneath::open(base).context(making)?,
            cursor: Cursor::new(Arc::clone(&root)),
            root,
            batch: None,
            in_flight: 0,
            done,
            sender,
            spare: Vec::new(),
            files: 0,
            made: InOrder::default(),
            above: BTreeMap::new(),
            late_modes: Vec::new(),
            _directory: directory,
        })
    }

    pub(super) fn note_above(&mut self, path: PathBuf, mode: u32) {
        self.above.insert(path, mode & DIRECTORY_MODE);
    }

    pub(super) fn directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(parent, name, FILLABLE.into()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(os(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(twice()),
            result => result.map_err(os)?,
        };
        let mode = mode & DIRECTORY_MODE;
        if mode & FILLABLE == FILLABLE {
            rustix::fs::fchmod(&directory, mode.into()).map_err(os)?;
        } else {
            self.late_modes.push((path.to_owned(), mode));
        }
        self.cursor.enter(path.as_os_str().as_bytes(), directory);
        Ok(())
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &[u8]) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(target, parent, name).map_err(made)
    }

    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<()> {
        self.flush()?;
        let root = Arc::clone(&self.root);
        let mut targets = Cursor::new(&*root);
        let missing = |_| corrupt("it links to what is no earlier file of its layer");
        let (from, old) = targets
            .parent(target.as_os_str().as_bytes())
            .map_err(missing)?;
        let stat = rustix::fs::statat(from, old, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| missing(e.into()))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(corrupt("it links to something else than a file"));
        }
        let (to, new) = self.parent(path)?;
        rustix::fs::linkat(from, old, to, new, AtFlags::empty()).map_err(made)
    }

    pub(super) fn file(
        &mut self,
        path: &Path,
        mode: u32,
        size: u64,
        mut content: impl Read,
    ) -> Result<()> {
        let number = self.files;
        self.files += u64::from(size > 0);
        let (parent, name) = self.parent(path)?;
        let mode = mode & FILE_MODE;
        let small = usize::try_from(size)
            .ok()
            .filter(|&size| size <= BLOCK_SIZE);
        if let Some(size) = small {
            let path = path.as_os_str().as_bytes();
            return self
                .batch(size)?
                .add_file(path, mode, number, content, size);
        }
        let file = LargeFile::create(parent, name, mode, number, size)?;
        let mut offset = 0;
        while offset < size {
            let batch = self.batch(1)?;
            let room = batch.room();
            let length = usize::try_from(size - offset).unwrap_or(room).min(room);
            batch.add_part(&file, offset, &mut content, length)?;
            offset += length as u64;
        }
        Ok(())
    }

    /// Waits until every file is written.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.submit();
        while self.in_flight > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// The open parent directory of a path, made if the tar had no entry for it, and its last component.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(BorrowedFd<'_>, &'p [u8])> {
        let bytes = path.as_os_str().as_bytes();
        let missing =
            matches!(self.cursor.parent(bytes), Err(e) if e.kind() == io::ErrorKind::NotFound);
        if let Some(parent) = path.parent().filter(|_| missing) {
            self.directory(parent, UNLISTED)?;
        }
        self.cursor.parent(bytes).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOTDIR | Errno::LOOP) => {
                    corrupt("it lies below something else than a directory")
                }
                _ => error.into(),
            }
        })
    }

    /// A batch with room for `size` bytes.
    fn batch(&mut self, size: usize) -> Result<&mut Batch> {
        if self
            .batch
            .as_ref()
            .is_some_and(|batch| batch.room() < size.max(1))
        {
            self.submit();
        }
        let batch = match self.batch.take() {
            Some(batch) => batch,
            None => Batch::new(self.take_block()?, self.spare.pop().unwrap_or_default()),
        };
        Ok(self.batch.insert(batch))
    }

    /// Waits only for own blocks, or while it has none: layers can't block each other.
    fn take_block(&mut self) -> Result<Pooled> {
        loop {
            if let Some(block) = self.workers.pool().try_take() {
                return Ok(block);
            }
            if self.in_flight == 0 {
                return Ok(self.workers.pool().take());
            }
            self.wait()?;
        }
    }

    fn wait(&mut self) -> Result<()> {
        let (mut lists, result) = self.done.recv().map_err(Error::other)?;
        self.in_flight -= 1;
        self.made.add(lists.made.drain(..));
        self.spare.push(lists);
        result
    }

    fn submit(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let (root, sender) = (Arc::clone(&self.root), self.sender.clone());
        self.in_flight += 1;
        self.workers.run(Box::new(move || {
            let written = batch.write(&root);
            // Whoever drops a stage waits for its blocks first, so that there is a receiver.
            let _ = sender.send(written);
        }));
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        while self.in_flight > 0 {
            // A failure was reported, or another one was before.
            let _ = self.wait();
        }
    }
}

/// Puts files that are finished in any order into the tar's.
#[derive(Default)]
pub(super) struct InOrder {
    pub(super) files: Files,
    next: u64,
    waiting: BTreeMap<u64, Identity>,
}

impl InOrder {
    fn add(&mut self, made: impl Iterator<Item = (u64, Identity)>) {
        self.waiting.extend(made);
        while let Some(identity) = self.waiting.remove(&self.next) {
            self.files.add(&identity);
            self.next += 1;
        }
    }
}

pub(super) fn os(error: Errno) -> Error {
    io::Error::from(error).into()
}

/// The error of making something that must not exist yet.
pub(super) fn made(error: Errno) -> Error {
    if error == Errno::EXIST {
        twice()
    } else {
        os(error)
    }
}

fn twice() -> Error {
    corrupt("the layer has it twice")
}
