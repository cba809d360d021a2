//! Layers out of the daemon. It hands out nothing but whole images, in one of several forms (directories with a
//! `layer.tar` each, blobs by digest, compressed or not), so every file of the archive is hashed, and those that have
//! a wanted diffID are kept.

use super::{Shared, WORK_LIMIT, by_id};
use crate::layer::{BlobSource, decompress};
use crate::oci::{Descriptor, DiffId};
use bollard::errors::Error as DockerError;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

/// Chunks of an archive that may wait.
const QUEUE: usize = 16;
const BUFFER: usize = 256 << 10;

/// A layer's tar in a temporary file that has no name; its content has the diffID it is kept for.
pub(super) struct SpooledTar {
    file: File,
    /// In bytes.
    pub(super) size: u64,
}

impl SpooledTar {
    /// Spools `tar`, which has to have the diffID.
    ///
    /// # Errors
    /// Kind `Corrupt` if it has not; or reading or writing fails.
    pub(super) fn checked(tar: impl Read, diff_id: &DiffId, dir: &Path) -> Result<Self> {
        let (spooled, found) = Self::of(tar, dir)?;
        match found == *diff_id {
            true => Ok(spooled),
            false => Err(Error::new(
                ErrorKind::Corrupt,
                format!("expected a layer with diffID {diff_id}; found {found}"),
            )),
        }
    }

    fn of(mut tar: impl Read, dir: &Path) -> Result<(Self, DiffId)> {
        let context = || format!("keep a layer in {}", dir.display());
        let mut file = tempfile::tempfile_in(dir).context(context)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = tar.read(&mut buffer)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            hash.update(bytes);
            file.write_all(bytes).context(context)?;
            size += read as u64;
        }
        let diff_id = DiffId::from_bytes(hash.finalize().into());
        Ok((Self { file, size }, diff_id))
    }

    /// Reads from the start. One reader at a time.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// The layers of one image in the daemon, by their diffIDs.
pub(super) struct DaemonBlobs {
    pub(super) shared: Arc<Shared>,
    /// The image's id.
    pub(super) image: String,
}

impl BlobSource for DaemonBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        let all = self.open_all(std::slice::from_ref(descriptor))?;
        Ok(all.into_iter().flatten().next())
    }

    fn open_all(&self, descriptors: &[Descriptor]) -> Result<Vec<Option<Box<dyn Read + Send>>>> {
        let diff_id = |descriptor: &Descriptor| DiffId::from_bytes(descriptor.digest.bytes());
        let wanted = descriptors.iter().map(diff_id).collect();
        let found = fetch(&self.shared, &self.image, wanted)?;
        let reader = |descriptor| match found.get(&diff_id(descriptor)) {
            Some(tar) => Ok(Some(Box::new(tar.reader()?) as Box<dyn Read + Send>)),
            None => Ok(None),
        };
        descriptors.iter().map(reader).collect()
    }
}

/// Reads the image `id` out of the daemon until all of `wanted` have come by.
fn fetch(
    shared: &Arc<Shared>,
    id: &str,
    mut wanted: BTreeSet<DiffId>,
) -> Result<BTreeMap<DiffId, SpooledTar>> {
    let context = || format!("read image {id} from the docker daemon at {}", shared.name);
    let mut found = BTreeMap::new();
    for entry in archive(shared, id).entries().context(context)? {
        if wanted.is_empty() {
            break;
        }
        let entry = entry.context(context)?;
        if !entry.header().entry_type().is_file() || entry.size() == 0 {
            continue;
        }
        // Whatever isn't a layer doesn't have a layer's digest.
        let tar = decompress(entry).context(context)?;
        let (tar, diff_id) = SpooledTar::of(tar, &shared.spool_dir).context(context)?;
        if wanted.remove(&diff_id) {
            found.insert(diff_id, tar);
        }
    }
    Ok(found)
}

/// The image `id` as the daemon hands it out.
pub(super) fn archive(shared: &Shared, id: &str) -> tar::Archive<Chunks> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    // It collects all layers before it begins to answer.
    let docker = shared.docker.clone().with_timeout(WORK_LIMIT);
    let name = by_id(id);
    shared.runtime.spawn(async move {
        let mut archive = std::pin::pin!(docker.export_image(&name));
        loop {
            let chunk = match tokio::time::timeout(WORK_LIMIT, archive.next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                Err(_) => Err(DockerError::RequestTimeoutError),
            };
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                return;
            }
        }
    });
    tar::Archive::new(Chunks {
        receiver,
        current: io::Cursor::default(),
    })
}

/// What the daemon sends, for readers that wait.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Result<bytes::Bytes, DockerError>>,
    current: io::Cursor<bytes::Bytes>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.current = io::Cursor::new(chunk),
                Some(Err(error)) => return Err(io::Error::other(super::error::cause(&error))),
                None => return Ok(0),
            }
        }
    }
}
