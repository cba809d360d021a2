//! A cache in a directory, in the reference's form (FACTS 8.3):
//!
//! ```text
//! <dir>/committed/io.buildpacks.lifecycle.cache.metadata   JSON and a newline
//! <dir>/committed/sha256:<diffID>.tar                      uncompressed layers
//! <dir>/staging/                                           the next committed
//! <dir>/restored-layers                                    between restoration and export, see [`Cache::leave_note`]
//! <dir>/committed-backup/                                  the last committed, while a commit runs
//! ```
//! A lock on the directory itself keeps updates of several processes apart. Readers need none: an open file stays what
//! it is, and a layer that has gone meanwhile is a miss.

use super::{Cache, CacheForm, CacheUpdate, CachedLayer};
use crate::disk;
use crate::oci::{DiffId, read_bounded};
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use rustix::fs::{Access, FlockOperation};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";
/// What restoration leaves to the export of the same build; the reference ignores it.
const NOTE: &str = "restored-layers";
/// The largest metadata file or note that is read, in bytes.
const MAX_METADATA: u64 = 8 << 20;

/// A cache in a directory.
pub struct VolumeCache {
    dir: PathBuf,
}

impl VolumeCache {
    /// Opens the cache in `dir`. What a killed process left behind is put in order: a commit that was under way is
    /// undone, staged layers are removed.
    ///
    /// # Errors
    /// Kind `NotFound` if `dir` does not exist; or it cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        let handle = File::open(dir)
            .context(|| format!("failed to access cache directory {}", dir.display()))?;
        let cache = Self {
            dir: dir.to_owned(),
        };
        // When another process is updating this cache, it has put it in order.
        if rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive)
            != Err(Errno::WOULDBLOCK)
        {
            cache.recover()?;
        }
        Ok(cache)
    }

    fn recover(&self) -> Result<()> {
        let (committed, backup, staging) = (self.committed(), self.backup(), self.staging());
        if backup.exists() && !committed.exists() {
            rename(&backup, &committed)?;
        }
        remove_dir(&backup)?;
        remove_dir(&staging)?;
        disk::make_dir(&committed)?;
        disk::make_dir(&staging)
    }

    fn committed(&self) -> PathBuf {
        self.dir.join("committed")
    }

    fn backup(&self) -> PathBuf {
        self.dir.join("committed-backup")
    }

    fn staging(&self) -> PathBuf {
        self.dir.join("staging")
    }
}

impl Cache for VolumeCache {
    fn metadata(&self) -> Result<Option<CacheMetadata>> {
        let parse = || -> Result<Option<CacheMetadata>> {
            let Some(file) = disk::open_file(&self.committed().join(METADATA))? else {
                return Ok(None);
            };
            let text =
                String::from_utf8(read_bounded(file, MAX_METADATA)?).map_err(Error::other)?;
            CacheMetadata::parse_json(&text).map(Some)
        };
        Ok(Some(parse().ok().flatten().unwrap_or_default()))
    }

    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        let path = tar_path(&self.committed(), diff_id);
        let miss = |text: String| Error::new(ErrorKind::NotFound, text);
        match disk::open_file(&path) {
            Ok(Some(file)) => Ok(Box::new(file)),
            Ok(None) => Err(miss(format!(
                "failed to find cache layer with SHA '{diff_id}'"
            ))),
            Err(_) if rustix::fs::access(&path, Access::READ_OK) == Err(Errno::ACCESS) => {
                let reason = "due to insufficient permissions";
                Err(miss(format!(
                    "failed to read cache layer with SHA '{diff_id}' {reason}"
                )))
            }
            // A link or device in a tar's place is damage.
            Err(error) => Err(error.with_kind(ErrorKind::NotFound)),
        }
    }

    fn discard(&self, diff_id: &DiffId) {
        // Whoever cannot remove it will not be able to replace it either, and then it stays a miss.
        let _ = fs::remove_file(tar_path(&self.committed(), diff_id));
    }

    fn leave_note(&self, note: &str) {
        let _ = disk::write_bytes(&self.dir, NOTE, note.as_bytes());
    }

    fn take_note(&self) -> Option<String> {
        let path = self.dir.join(NOTE);
        let file = disk::open_file(&path).ok().flatten();
        let note = file.and_then(|file| read_bounded(file, MAX_METADATA).ok());
        let _ = fs::remove_file(&path);
        note.and_then(|note| String::from_utf8(note).ok())
    }

    fn update(&self) -> Result<Box<dyn CacheUpdate>> {
        let lock = File::open(&self.dir).context(|| format!("open {}", self.dir.display()))?;
        // Some network file systems have no locks; a cache there belongs to one build at a time.
        let _ =
            rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockExclusive));
        self.recover()?;
        let cache = Self {
            dir: self.dir.clone(),
        };
        Ok(Box::new(VolumeUpdate {
            cache,
            _lock: lock,
            committed: false,
        }))
    }
}

struct VolumeUpdate {
    cache: VolumeCache,
    _lock: File,
    committed: bool,
}

impl CacheUpdate for VolumeUpdate {
    fn form(&self) -> CacheForm {
        CacheForm::Tar
    }

    fn new_tar(&self) -> Result<NamedTempFile> {
        let staging = self.cache.staging();
        disk::beside(&staging).context(|| format!("create a file in {}", staging.display()))
    }

    fn add(&mut self, diff_id: &DiffId, layer: CachedLayer) -> Result<()> {
        let CachedLayer::Tar(file) = layer else {
            return Err(Error::other(format!("layer {diff_id} is not a tar")));
        };
        let path = tar_path(&self.cache.staging(), diff_id);
        file.persist(&path)
            .map_err(|error| error.error)
            .context(|| format!("write {}", path.display()))?;
        Ok(())
    }

    fn holds(&self, diff_id: &DiffId) -> bool {
        tar_path(&self.cache.committed(), diff_id).is_file()
    }

    fn reuse(&mut self, diff_id: &DiffId) -> Result<()> {
        let name = format!("{diff_id}.tar");
        let (old, staging) = (
            tar_path(&self.cache.committed(), diff_id),
            self.cache.staging(),
        );
        match fs::hard_link(&old, staging.join(&name)) {
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
            // Links may be impossible (file system, owner of the file), reading is not.
            Err(_) => {
                let missing =
                    || Error::new(ErrorKind::NotFound, format!("no cached layer {diff_id}"));
                let file = disk::open_file(&old)?.ok_or_else(missing)?;
                disk::write_whole(&staging, &name, |copy| disk::copy(file, copy))
            }
            Ok(()) => Ok(()),
        }
    }

    fn commit(mut self: Box<Self>, metadata: &CacheMetadata) -> Result<Option<Error>> {
        let (committed, backup, staging) = (
            self.cache.committed(),
            self.cache.backup(),
            self.cache.staging(),
        );
        disk::write_bytes(
            &staging,
            METADATA,
            format!("{}\n", metadata.to_json()).as_bytes(),
        )?;
        rename(&committed, &backup)?;
        if let Err(error) = rename(&staging, &committed) {
            rename(&backup, &committed)?;
            return Err(error);
        }
        self.committed = true;
        // It was about the build that ends here.
        self.cache.take_note();
        // The new cache is in place; what is left of the old one goes with the next update.
        let _ = remove_dir(&backup);
        Ok(None)
    }
}

impl Drop for VolumeUpdate {
    fn drop(&mut self) {
        if !self.committed {
            let _ = remove_dir(&self.cache.staging());
        }
    }
}

fn tar_path(dir: &Path, diff_id: &DiffId) -> PathBuf {
    dir.join(format!("{diff_id}.tar"))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context(|| format!("rename {} to {}", from.display(), to.display()))
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path).context(|| format!("remove {}", path.display())) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tar(update: &dyn CacheUpdate, content: &str) -> (DiffId, CachedLayer) {
        let mut file = update.new_tar().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        (DiffId::of(content.as_bytes()), CachedLayer::Tar(file))
    }

    fn fill(cache: &VolumeCache, added: &[&str], reused: &[&str], sbom: &str) {
        let mut update = cache.update().unwrap();
        for content in added {
            let (diff_id, layer) = tar(update.as_ref(), content);
            update.add(&diff_id, layer).unwrap();
        }
        for content in reused {
            update.reuse(&DiffId::of(content.as_bytes())).unwrap();
        }
        update
            .commit(&CacheMetadata {
                sbom: sbom.to_owned(),
                buildpacks: None,
            })
            .unwrap();
    }

    /// What a process that opens the cache now finds: the metadata's mark and which of `a`, `b`, `c` it holds.
    fn check(dir: &Path, sbom: &str, layers: &str) {
        let cache = VolumeCache::open(dir).unwrap();
        assert_eq!(cache.metadata().unwrap().unwrap().sbom, sbom);
        let held = |name: &&str| cache.open(&DiffId::of(name.as_bytes())).is_ok();
        assert_eq!(
            ["a", "b", "c"].into_iter().filter(held).collect::<String>(),
            layers
        );
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        // Whether opening has made the staging directory depends on the lock, and a process that another test starts
        // holds the lock for the moment between fork and exec.
        names.retain(|name| name != "staging");
        assert_eq!(names, ["committed"]);
    }

    #[test]
    fn a_commit_replaces_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path(), "", "");
        let cache = VolumeCache::open(dir.path()).unwrap();
        fill(&cache, &["a", "b"], &[], "1");
        check(dir.path(), "1", "ab");
        fill(&cache, &["c"], &["b"], "2");
        check(dir.path(), "2", "bc");
        let mut update = cache.update().unwrap();
        assert!(!update.holds(&DiffId::of(b"a")) && update.holds(&DiffId::of(b"b")));
        assert_eq!(
            update.reuse(&DiffId::of(b"a")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        drop(update);
        cache.discard(&DiffId::of(b"b"));
        check(dir.path(), "2", "c");
    }

    #[test]
    fn the_form_is_the_references() {
        let dir = tempfile::tempdir().unwrap();
        fill(&VolumeCache::open(dir.path()).unwrap(), &["a"], &[], "");
        let committed = dir.path().join("committed");
        let metadata = fs::read_to_string(committed.join(METADATA)).unwrap();
        assert_eq!(metadata, "{\"sbom\":{\"sha\":\"\"},\"buildpacks\":null}\n");
        let name = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb.tar";
        assert_eq!(fs::read_to_string(committed.join(name)).unwrap(), "a");
    }

    #[test]
    fn what_is_not_committed_leaves_the_old_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = VolumeCache::open(dir.path()).unwrap();
        fill(&cache, &["a"], &[], "1");
        let mut update = cache.update().unwrap();
        let (diff_id, layer) = tar(update.as_ref(), "b");
        update.add(&diff_id, layer).unwrap();
        drop(update);
        check(dir.path(), "1", "a");
    }

    #[test]
    fn killed_commits_are_undone() {
        let killed = |stop: fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            fill(&VolumeCache::open(dir.path()).unwrap(), &["a"], &[], "1");
            fs::create_dir_all(dir.path().join("staging")).unwrap();
            fs::write(dir.path().join("staging/x"), "half").unwrap();
            stop(dir.path());
            dir
        };
        check(killed(|_| ()).path(), "1", "a");
        let between =
            killed(|dir| fs::rename(dir.join("committed"), dir.join("committed-backup")).unwrap());
        check(between.path(), "1", "a");
        let after = killed(|dir| fs::create_dir(dir.join("committed-backup")).unwrap());
        check(after.path(), "1", "a");
    }

    #[test]
    fn notes_are_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = VolumeCache::open(dir.path()).unwrap();
        assert_eq!(cache.take_note(), None);
        cache.leave_note("note");
        let next = VolumeCache::open(dir.path()).unwrap();
        assert_eq!(next.take_note().as_deref(), Some("note"));
        assert_eq!(cache.take_note(), None);
        check(dir.path(), "", "");
    }

    #[test]
    fn damage_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        fill(&VolumeCache::open(dir.path()).unwrap(), &["a"], &[], "1");
        fs::write(dir.path().join("committed").join(METADATA), "{").unwrap();
        check(dir.path(), "", "a");
        let missing = VolumeCache::open(&dir.path().join("none"))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn updates_of_two_processes_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let cache = VolumeCache::open(dir.path()).unwrap();
        let first = cache.update().unwrap();
        let (diff_id, layer) = tar(first.as_ref(), "a");
        let other = VolumeCache::open(dir.path()).unwrap();
        let second = std::thread::spawn(move || fill(&other, &["b"], &["a"], "2"));
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut first = first;
        first.add(&diff_id, layer).unwrap();
        first
            .commit(&CacheMetadata {
                sbom: "1".to_owned(),
                buildpacks: None,
            })
            .unwrap();
        second.join().unwrap();
        check(dir.path(), "2", "ab");
    }
}
