//! Unpacking a layer's tar below its own directory, whatever the tar says and whatever links are on disk.
//!
//! Entries go into a fresh directory beside the buildpacks' own, and from there into place once the whole tar had the
//! right digest.

mod batch;
mod place;
mod stage;
mod stream;
#[cfg(test)]
mod tests;

use super::Workers;
use super::fingerprint::{ChangeTime, Fingerprint};
use crate::oci::DiffId;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use stage::Stage;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use stream::Stream;
use tar::{Archive, Entry, EntryType};

/// The most that an entry's headers may take, and the records of global headers.
const MAX_HEADERS: u64 = 2 << 20;

/// How the names of directories begin in which layers are unpacked.
const UNFINISHED: &str = ".restore-";

/// Whether a name in `<layers>` is that of a layer which is being unpacked, or was when the process was killed.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().starts_with(UNFINISHED.as_bytes())
}

/// A layer on disk.
#[derive(Clone, Copy, Debug)]
pub struct Extracted {
    /// The layer is the tar's as long as its files have this fingerprint, given that nobody changes a file before
    /// [`super::fingerprint::settle`] let the last change pass. They never have it if the layer's directory was not
    /// empty before, or if the tar is not the one that a recipe would give.
    pub fingerprint: Fingerprint,
    /// When the last of the files was written.
    pub last_change: ChangeTime,
}

/// Unpacks a layer at `root`, an absolute path below `base`, a directory that exists and is trusted (`<layers>` and
/// `<layers>/<buildpack>/<layer>`). Its entries may lie at or below the root; directories above it that the tar lists
/// are made if they are missing and else left alone. What is at the root already stays, unless the tar has something
/// else in its place. Files belong to the process's user, have the mode of their entry whatever the umask, without
/// setuid and setgid, and the current time.
///
/// # Errors
/// Kind `Corrupt`: the tar does not have the digest `diff_id`, is malformed, or has an entry elsewhere, twice, or of
/// another kind than file, directory, symbolic link, or hard link to an earlier file of the same layer. Nothing of the
/// layer is in place then. Other kinds: reading or writing fails.
pub fn extract(
    tar: impl Read,
    diff_id: DiffId,
    base: &Path,
    root: &Path,
    workers: &Workers,
) -> Result<Extracted> {
    let root = root.strip_prefix(base).map_err(|_| {
        Error::other(format!(
            "{} is not below {}",
            root.display(),
            base.display()
        ))
    })?;
    let stream = Stream::new(tar);
    let mut stage = Stage::create(base, workers)?;
    let unpacked = unpack(&stream, base, root, &mut stage);
    if let Some(error) = stream.failure() {
        return Err(error).context(|| "read layer");
    }
    let unpacked = match unpacked {
        Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
        result => result,
    };
    // A wrong digest explains everything that is wrong with the content.
    let (found, skeleton) = stream.finish()?;
    if found != diff_id {
        let text = format!("expected layer contents to have SHA '{diff_id}'; found '{found}'");
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    unpacked?;
    let (fingerprint, last_change) = std::mem::take(&mut stage.made.files).finish(skeleton);
    stage.place(root)?;
    Ok(Extracted {
        fingerprint,
        last_change,
    })
}

fn unpack<R: Read>(
    stream: &Stream<R>,
    base: &Path,
    root: &Path,
    stage: &mut Stage<'_>,
) -> Result<()> {
    let mut archive = Archive::new(stream);
    let mut entries = archive.entries().map_err(malformed)?;
    loop {
        stream.enter_headers(MAX_HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(malformed)?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            std::io::copy(&mut entry, &mut std::io::sink()).map_err(malformed)?;
            continue;
        }
        stream.enter_content();
        let name = entry.path_bytes().into_owned();
        unpack_entry(&mut entry, kind, &name, base, root, stage)
            .context(|| format!("extract '{}'", OsStr::from_bytes(&name).display()))?;
    }
    stage.flush()
}

fn unpack_entry(
    entry: &mut Entry<'_, impl Read>,
    kind: EntryType,
    name: &[u8],
    base: &Path,
    root: &Path,
    stage: &mut Stage<'_>,
) -> Result<()> {
    let mode = entry.header().mode().map_err(malformed)?;
    let path = match locate(name, base, root)? {
        Place::Above(above) if kind == EntryType::Directory => {
            stage.note_above(above, mode);
            return Ok(());
        }
        Place::Root(path) if kind == EntryType::Directory => path,
        Place::Below(path) => path,
        Place::Above(_) | Place::Root(_) => return Err(corrupt("it is not a directory")),
    };
    match kind {
        EntryType::Directory => stage.directory(&path, mode),
        EntryType::Regular => {
            reject_sparse(entry)?;
            let size = entry.size();
            stage.file(&path, mode, size, entry)
        }
        EntryType::Symlink => stage.symlink(&path, &link_name(entry)?),
        EntryType::Link => match locate(&link_name(entry)?, base, root)? {
            Place::Below(target) => stage.hard_link(&path, &target),
            _ => Err(corrupt("it links outside of its layer")),
        },
        other => Err(corrupt(&format!(
            "unknown file type in tar {}",
            other.as_byte()
        ))),
    }
}

/// Where an entry belongs; paths are relative to the base.
enum Place {
    Above(PathBuf),
    Root(PathBuf),
    Below(PathBuf),
}

/// Finds an entry's place. Names may lack the leading slash, as in tars of other tools.
fn locate(name: &[u8], base: &Path, root: &Path) -> Result<Place> {
    if name.contains(&0) {
        return Err(corrupt("its name contains a NUL byte"));
    }
    let mut path = PathBuf::from("/");
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(corrupt("its name contains '..'")),
        }
    }
    if base.starts_with(&path) {
        return Ok(Place::Above(PathBuf::new()));
    }
    let outside = || corrupt("it lies outside of its layer");
    let path = path.strip_prefix(base).map_err(|_| outside())?.to_owned();
    match (path.starts_with(root), root.starts_with(&path)) {
        (true, true) => Ok(Place::Root(path)),
        (true, false) => Ok(Place::Below(path)),
        (false, true) => Ok(Place::Above(path)),
        (false, false) => Err(outside()),
    }
}

fn link_name(entry: &Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let link = entry.link_name_bytes().unwrap_or_default().into_owned();
    match link.is_empty() || link.contains(&0) {
        true => Err(corrupt("its link is malformed")),
        false => Ok(link),
    }
}

/// Refuses sparse files in their PAX form: their content is not the file's.
fn reject_sparse(entry: &mut Entry<'_, impl Read>) -> Result<()> {
    let Some(records) = entry.pax_extensions().map_err(malformed)? else {
        return Ok(());
    };
    for record in records {
        if record
            .map_err(malformed)?
            .key_bytes()
            .starts_with(b"GNU.sparse.")
        {
            return Err(corrupt("it is a sparse file"));
        }
    }
    Ok(())
}

fn corrupt(cause: &str) -> Error {
    Error::new(ErrorKind::Corrupt, cause)
}

fn malformed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Corrupt, format!("malformed layer tar: {error}"))
}
