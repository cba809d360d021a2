//! Layers of earlier `RUN`s. They become files of root's making, so that only what root has left is used: the directory and
//! everything in it belong to this process's user, and nobody else can write to them.

use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::value::Table;
use lifecycle_image::layer::{BlobSource, Layer, LayerSource};
use lifecycle_image::oci::{Descriptor, DiffId, Digest, ManifestKind, Verified};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The directory's name. kaniko's own entries lie beside it, and are neither used nor removed.
const NAME: &str = "lifecycle";
/// The largest record that is read.
const MAX_RECORD: u64 = 4096;

/// What decides whether a layer can be used again: the base, and every instruction up to the layer's with all that they
/// depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(DiffId);

impl Key {
    /// The state of a base image.
    pub fn of_base(manifest: &Digest) -> Self {
        Self(DiffId::of(format!("1 {manifest}").as_bytes()))
    }

    /// The state after an instruction that `parts` describe.
    #[must_use]
    pub(super) fn then<S: AsRef<str>>(&self, parts: impl IntoIterator<Item = S>) -> Self {
        let mut text = self.0.to_string();
        for part in parts {
            // With its length before it no part can pass for two.
            let part = part.as_ref();
            text.push_str(&format!("\n{} {part}", part.len()));
        }
        Self(DiffId::of(text.as_bytes()))
    }

    fn blob(&self) -> String {
        format!("{}.layer", self.0.hex())
    }

    fn record(&self) -> String {
        format!("{}.record", self.0.hex())
    }
}

/// The layers of earlier `RUN`s.
pub struct LayerCache {
    directory: Arc<OwnedFd>,
    ttl: Duration,
}

impl LayerCache {
    /// The cache in `parent`, without entries older than `ttl`. A directory that somebody else could have filled is
    /// replaced.
    ///
    /// # Errors
    /// The directory cannot be made or opened.
    pub fn open(parent: &Path, ttl: Duration) -> Result<Self> {
        let context = || format!("open cache {}", parent.join(NAME).display());
        fs::create_dir_all(parent).context(context)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat(CWD, parent, flags, Mode::empty())
            .map_err(io::Error::from)
            .context(context)?;
        let directory = match open_own(&parent) {
            Ok(Some(directory)) => directory,
            Ok(None) => replace(&parent)
                .map_err(io::Error::from)
                .map_err(Error::from)
                .and_then(|()| {
                    let opened = open_own(&parent).map_err(io::Error::from)?;
                    opened.ok_or_else(|| Error::other("it belongs to somebody else"))
                })
                .context(context)?,
            Err(error) => return Err(Error::from(io::Error::from(error)).in_context(context())),
        };
        let cache = Self {
            directory: Arc::new(directory),
            ttl,
        };
        cache.remove_old().context(context)?;
        Ok(cache)
    }

    fn remove_old(&self) -> io::Result<()> {
        let mut entries = Dir::read_from(&self.directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            // Another extender, of another image on the same volume, may be at it as well.
            let removed = self.remove_if_old(name);
            if !matches!(removed, Ok(()) | Err(Errno::NOENT)) {
                removed?;
            }
        }
        Ok(())
    }

    fn remove_if_old(&self, name: &CStr) -> Result<(), Errno> {
        let stat = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        match regular && self.is_old(&stat) {
            true => rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()),
            false => Ok(()),
        }
    }

    fn is_old(&self, stat: &Stat) -> bool {
        let made = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        made + self.ttl < now.unwrap_or_default()
    }

    /// The layer of that key, checked against its digest.
    ///
    /// # Errors
    /// The cache cannot be read. What is malformed counts as missing.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Layer>> {
        let Some(record) = open_file(&self.directory, &key.record())? else {
            return Ok(None);
        };
        let mut text = String::new();
        if record.take(MAX_RECORD).read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        let Some((diff_id, descriptor)) = parse(&text) else {
            return Ok(None);
        };
        let blobs = Blobs {
            directory: Arc::clone(&self.directory),
            name: key.blob(),
        };
        // All of it, before a part of it changes the file system.
        let whole = blobs
            .open(&descriptor)?
            .is_some_and(|mut blob| io::copy(&mut blob, &mut io::sink()).is_ok());
        let source = LayerSource::Stored {
            descriptor,
            blobs: Arc::new(blobs),
        };
        Ok(whole.then_some(Layer {
            diff_id,
            history: None,
            source,
        }))
    }

    /// Keeps a layer that was just made.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub(super) fn put(&self, key: &Key, layer: &Layer) -> Result<()> {
        let LayerSource::Spooled(blob) = &layer.source else {
            return Ok(());
        };
        let mut source = File::open(blob.file.path()).context(|| "cache a layer")?;
        self.write(&key.blob(), &mut source)
            .context(|| "cache a layer")?;
        let Descriptor { digest, size, .. } = &blob.descriptor;
        let record = format!("{}\n{digest}\n{size}\n", layer.diff_id);
        self.write(&key.record(), &mut record.as_bytes())
            .context(|| "cache a layer")
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, content: &mut dyn Read) -> io::Result<()> {
        let beside = format!(".{name}.{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.directory, &beside, flags | OFlags::NOFOLLOW, mode)?;
        let mut file = File::from(file);
        let written = io::copy(content, &mut file).and_then(|_| file.flush());
        let renamed = written.and_then(|()| {
            let directory = &self.directory;
            Ok(rustix::fs::renameat(directory, &beside, directory, name)?)
        });
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, &beside, AtFlags::empty());
        }
        renamed
    }
}

/// The cache's directory if it is one, and nobody else's.
fn open_own(parent: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, NAME, flags, Mode::empty()) {
        Ok(directory) => {
            let stat = rustix::fs::fstat(&directory)?;
            let own = stat.st_uid == rustix::process::geteuid().as_raw();
            Ok((own && stat.st_mode & 0o022 == 0).then_some(directory))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes an empty directory; whatever is in its place is moved aside.
fn replace(parent: &OwnedFd) -> Result<(), Errno> {
    let aside = format!("{NAME}.untrusted.{}", std::process::id());
    match rustix::fs::renameat(parent, NAME, parent, &aside) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    rustix::fs::mkdirat(parent, NAME, Mode::RWXU)
}

fn open_file(directory: &OwnedFd, name: &str) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::from(io::Error::from(error)).in_context("read cache")),
    }
}

fn parse(record: &str) -> Option<(DiffId, Descriptor)> {
    let mut lines = record.lines();
    let diff_id = DiffId::parse(lines.next()?).ok()?;
    let descriptor = Descriptor {
        media_type: ManifestKind::Oci.layer().to_owned(),
        digest: Digest::parse(lines.next()?).ok()?,
        size: lines.next()?.parse().ok()?,
        extra: Table::new(),
    };
    Some((diff_id, descriptor))
}

struct Blobs {
    directory: Arc<OwnedFd>,
    name: String,
}

impl BlobSource for Blobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        let file = open_file(&self.directory, &self.name)?;
        Ok(file.map(|file| {
            let blob = Verified::blob(file, &descriptor.digest, descriptor.size);
            Box::new(blob) as Box<dyn Read + Send>
        }))
    }
}

#[cfg(test)]
mod tests;
