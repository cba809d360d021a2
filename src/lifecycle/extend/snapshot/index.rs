//! What the file system looked like: one status per file, gathered once, and what has changed since.

use super::ignored::{Ignored, split};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_image::layer::beneath::Beneath;
use lifecycle_image::oci::DiffId;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// Which differences count (kaniko's snapshot modes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything: whatever touches a file changes its ctime, and where the clock is too coarse, contents are compared.
    Full,
    /// Modification time, size, mode and owner.
    Redo,
    /// Modification time.
    Time,
}

/// A file may change twice within one tick of the clock that stamps files. Ticks take at most 10 ms on Linux.
const RECENT: Duration = Duration::from_millis(100);
/// The same where the file system keeps whole seconds.
const RECENT_SECONDS: Duration = Duration::from_secs(2);

/// How many directories are listed at once.
const AT_ONCE: usize = 128;

/// A file's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    device: u64,
    size: i64,
    changed: (i64, u64),
    modified: (i64, u64),
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            device: stat.st_rdev,
            size: stat.st_size,
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// A directory's times and size say only that its entries changed, which they say themselves.
    fn same(&self, other: &Self, mode: Mode) -> bool {
        let of_directory = |stamp: &Self| (stamp.mode, stamp.uid, stamp.gid);
        let redone = |stamp: &Self| (of_directory(stamp), stamp.modified, stamp.size);
        match mode {
            _ if self.file_type() != other.file_type() => false,
            _ if self.file_type() == FileType::Directory => {
                of_directory(self) == of_directory(other)
            }
            Mode::Full => self == other,
            Mode::Redo => redone(self) == redone(other),
            Mode::Time => self.modified == other.modified,
        }
    }

    /// Whether it could change at or after `now` without getting another stamp.
    fn is_recent(&self, now: SystemTime) -> bool {
        let window = match self.changed.1 {
            0 => RECENT_SECONDS,
            _ => RECENT,
        };
        let seconds = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        let changed = SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(self.changed.1);
        changed + window >= now
    }
}

/// What differs between two states.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What is new or different.
    pub(super) changed: BTreeSet<Vec<u8>>,
    /// What is gone; of a directory only itself.
    pub(super) removed: BTreeSet<Vec<u8>>,
}

/// The entries of a directory by name.
type Entries = Vec<(Box<[u8]>, Stamp)>;

/// The state of a file system below its root.
#[derive(Debug, Default)]
pub(super) struct Index {
    directories: HashMap<Box<[u8]>, Entries>,
    /// The contents of files that might change without getting another stamp.
    recent: BTreeMap<Vec<u8>, DiffId>,
}

impl Index {
    /// Looks at every file below `root`.
    pub(super) fn new(root: &Beneath, ignored: &Ignored) -> Result<Self> {
        let (index, _) = Self::default().advance(root, ignored, Mode::Full)?;
        Ok(index)
    }

    /// Looks at every file again: the state now, and what has changed. Only files that may have changed unnoticed are
    /// read.
    pub(super) fn advance(
        mut self,
        root: &Beneath,
        ignored: &Ignored,
        mode: Mode,
    ) -> Result<(Self, Changes)> {
        let now = SystemTime::now();
        let mut next = Self::default();
        let mut changes = Changes::default();
        // A list, so that the depth of the tree costs neither stack nor open files; in parts, so that besides what is
        // known now only little of what was known before is in memory.
        let mut waiting = vec![Vec::new()];
        while !waiting.is_empty() {
            let part = waiting.split_off(waiting.len().saturating_sub(AT_ONCE));
            for (directory, entries) in list(root, ignored, &part)? {
                let before = self.directories.remove(directory.as_slice());
                let comparison = Comparison {
                    root,
                    ignored,
                    mode,
                    recent: &self.recent,
                };
                comparison.compare(
                    &directory,
                    before.unwrap_or_default(),
                    &entries,
                    &mut changes,
                )?;
                for (name, stamp) in &entries {
                    let path = joined(&directory, name);
                    if stamp.is_recent(now) && mode == Mode::Full {
                        next.remember(root, &path, stamp)?;
                    }
                    if stamp.file_type() == FileType::Directory {
                        waiting.push(path);
                    }
                }
                next.directories
                    .insert(directory.into_boxed_slice(), entries);
            }
        }
        Ok((next, changes))
    }

    /// Takes files into the state without looking at others: those that were put into a layer by name.
    pub(super) fn record<'p>(
        &mut self,
        root: &Beneath,
        paths: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<()> {
        for path in paths {
            let Some((directory, name)) = split(path) else {
                continue;
            };
            let stamp = stat(root, path).map(|stat| Stamp::of(&stat));
            let stamp = stamp.context(|| format!("stat {}", root.full_path(path).display()))?;
            self.remember(root, path, &stamp)?;
            let entries = self.directories.entry(directory.into()).or_default();
            match entries.binary_search_by(|(other, _)| (**other).cmp(name)) {
                Ok(at) => {
                    if let Some(entry) = entries.get_mut(at) {
                        entry.1 = stamp;
                    }
                }
                Err(at) => entries.insert(at, (name.into(), stamp)),
            }
        }
        Ok(())
    }

    fn remember(&mut self, root: &Beneath, path: &[u8], stamp: &Stamp) -> Result<()> {
        if let Some(content) = content(root, path, stamp)? {
            self.recent.insert(path.to_vec(), content);
        }
        Ok(())
    }
}

/// How the entries of one directory are compared.
struct Comparison<'a> {
    root: &'a Beneath,
    ignored: &'a Ignored,
    mode: Mode,
    recent: &'a BTreeMap<Vec<u8>, DiffId>,
}

impl Comparison<'_> {
    fn compare(
        &self,
        directory: &[u8],
        before: Entries,
        after: &Entries,
        changes: &mut Changes,
    ) -> Result<()> {
        let mut before = before.into_iter().peekable();
        for (name, stamp) in after {
            while let Some((gone, _)) = before.next_if(|(other, _)| other < name) {
                self.note_removal(directory, &gone, changes);
            }
            let path = joined(directory, name);
            let unchanged = match before.next_if(|(other, _)| other == name) {
                Some((_, old)) => old.same(stamp, self.mode) && self.same_content(&path, stamp)?,
                None => false,
            };
            if !unchanged {
                changes.changed.insert(path);
            }
        }
        before.for_each(|(gone, _)| self.note_removal(directory, &gone, changes));
        Ok(())
    }

    fn note_removal(&self, directory: &[u8], name: &[u8], changes: &mut Changes) {
        // What a mount has covered meanwhile is not gone.
        let path = joined(directory, name);
        if !self.ignored.covers(&path) {
            changes.removed.insert(path);
        }
    }

    fn same_content(&self, path: &[u8], stamp: &Stamp) -> Result<bool> {
        match self.recent.get(path) {
            Some(before) if self.mode == Mode::Full => {
                Ok(content(self.root, path, stamp)?.as_ref() == Some(before))
            }
            _ => Ok(true),
        }
    }
}

/// What a file says, or where a link points.
fn content(root: &Beneath, path: &[u8], stamp: &Stamp) -> Result<Option<DiffId>> {
    let context = || format!("read {}", root.full_path(path).display());
    match stamp.file_type() {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let file = std::fs::File::from(root.open_at(path, flags).context(context)?);
            DiffId::of_stream(file).map(Some).context(context)
        }
        FileType::Symlink => {
            let link = root.open_at(path, OFlags::PATH).context(context)?;
            let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(io::Error::from);
            let target = target.context(context)?;
            Ok(Some(DiffId::of(target.to_bytes())))
        }
        _ => Ok(None),
    }
}

/// The status of what `path` names; links are not followed.
pub(super) fn stat(root: &Beneath, path: &[u8]) -> io::Result<Stat> {
    let handle = root.open_at(path, OFlags::PATH)?;
    Ok(rustix::fs::statat(handle, "", AtFlags::EMPTY_PATH)?)
}

/// A name in a directory; the root's is empty.
pub(super) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"" => name.to_vec(),
        directory => [directory, b"/", name].concat(),
    }
}

/// Lists directories on all processors. The threads end with the call: no other may run when privileges are dropped.
fn list(
    root: &Beneath,
    ignored: &Ignored,
    directories: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, Entries)>> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(directories.len() / 8 + 1);
    let next = AtomicUsize::new(0);
    let lists = Mutex::new(Vec::with_capacity(directories.len()));
    let work = || -> Result<()> {
        while let Some(directory) = directories.get(next.fetch_add(1, Ordering::Relaxed)) {
            let entries = list_one(root, ignored, directory)
                .context(|| format!("read {}", root.full_path(directory).display()))?;
            let mut lists = lists
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            lists.push((directory.clone(), entries));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            // A thread that panicked has reported it, and the scope panics as well.
            result = result.and(other.join().unwrap_or(Ok(())));
        }
        result
    })?;
    Ok(lists
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn list_one(root: &Beneath, ignored: &Ignored, directory: &[u8]) -> io::Result<Entries> {
    let handle = root.list(directory)?;
    let left_out = ignored.within(directory);
    let mut entries = Entries::new();
    let mut names = Dir::read_from(&handle)?;
    while let Some(entry) = names.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") || left_out.is_some_and(|names| names.contains(name)) {
            continue;
        }
        let stat = rustix::fs::statat(&handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
        entries.push((name.into(), Stamp::of(&stat)));
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}
