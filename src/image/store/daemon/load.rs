//! Bringing an image into the daemon.

use super::archive::{Archive, Form, Part, config_id};
use super::fetch::SpooledTar;
use super::{Shared, by_id, error, inspect};
use crate::image::Image;
use crate::layer::{self, BlobSource, Layer, LayerSource, Workers, decompress};
use crate::oci::{Descriptor, DiffId};
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// How long the daemon may neither take nor say anything while it loads. It flushes to disk meanwhile.
const LOAD_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Chunks that may wait for the daemon, and their size in bytes.
const QUEUE: usize = 4;
const CHUNK: usize = 1 << 20;

/// Makes sure that the daemon has `image`, under no name yet, and returns its id.
///
/// # Errors
/// The daemon cannot be reached, refuses, or made another image of it.
pub(super) fn load(shared: &Arc<Shared>, image: &Image) -> Result<String> {
    let form = shared.form()?;
    if form == Form::Docker {
        // Most builds that change nothing end here.
        let id = config_id(image).hex();
        if shared.inspect(&by_id(&id))?.is_some() {
            return Ok(id);
        }
    }
    let known = match form {
        Form::Docker => shared.known(image),
        Form::Oci => 0,
    };
    let archive = match send(shared, image, known, form)? {
        Ok(archive) => archive,
        // The daemon may not have the layers any more, or never take layers for granted, as Podman.
        Err(refusal) if known > 0 && error::is_answer(&refusal) => {
            send(shared, image, 0, form)?.map_err(|error| error::of(&error, &shared.name))?
        }
        Err(error) => return Err(error::of(&error, &shared.name)),
    };
    let id = archive.id().hex();
    check(shared, image, &id).context(|| "compare the loaded image with what was sent")?;
    Ok(id)
}

fn check(shared: &Shared, image: &Image, id: &str) -> Result<()> {
    let name = &shared.name;
    let corrupt = |cause: String| {
        Error::new(
            ErrorKind::Corrupt,
            format!("the docker daemon at {name} {cause}"),
        )
    };
    let Some(found) = shared.inspect(&by_id(id))? else {
        return Err(corrupt(format!("has no image {id} after loading it")));
    };
    let Some(difference) = inspect::difference(image, &found)? else {
        return Ok(());
    };
    // Nobody knows this image by a name; if it stays, it only takes room.
    let options = RemoveImageOptionsBuilder::default().build();
    let _ = shared.ask(shared.docker.remove_image(&by_id(id), Some(options), None));
    Err(corrupt(format!("made another image of it: {difference}")))
}

/// Sends the image without its `known` lowest layers. What the daemon says to that is the inner result.
fn send(
    shared: &Arc<Shared>,
    image: &Image,
    known: usize,
    form: Form,
) -> Result<std::result::Result<Archive, DockerError>> {
    let archive = Archive::new(image, parts(shared, &image.layers, known)?, form);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let loading = shared.runtime.spawn(take(shared.docker.clone(), receiver));
    let mut upload = Upload {
        sender,
        chunk: Vec::with_capacity(CHUNK),
    };
    let written = archive.write(&mut upload, &Workers::for_machine());
    if let Err(error) = &written {
        // Without this the archive would end here as if it were whole.
        let aborted = Err(io::Error::other(error.to_string()));
        let _ = upload.sender.blocking_send(aborted);
    }
    let gone = upload.sender.is_closed();
    drop(upload);
    let loaded = shared.runtime.block_on(loading).map_err(Error::other)?;
    match (written, loaded) {
        (Ok(()), Ok(())) => Ok(Ok(archive)),
        // What the daemon says is why the rest could not be written, unless there was another reason.
        (Err(error), _) if !gone => Err(error),
        (_, Err(error)) => Ok(Err(error)),
        (Err(error), Ok(())) => Err(error),
    }
}

/// Feeds the archive to the daemon, and reads what it says about it.
async fn take(
    docker: bollard::Docker,
    archive: mpsc::Receiver<io::Result<Bytes>>,
) -> Result<(), DockerError> {
    let taken = Arc::new(AtomicBool::new(false));
    let sign = Arc::clone(&taken);
    let archive = ReceiverStream::new(archive).map(move |chunk| {
        sign.store(true, Ordering::Relaxed);
        chunk
    });
    // The first answer may come only after everything was sent and unpacked: the limit here is ours, below.
    let docker = docker.with_timeout(Duration::from_secs(u32::MAX.into()));
    let options = ImportImageOptionsBuilder::default().quiet(false).build();
    let mut answers = std::pin::pin!(docker.import_image_stream(options, archive, None));
    loop {
        match tokio::time::timeout(LOAD_LIMIT, answers.next()).await {
            Err(_) if taken.swap(false, Ordering::Relaxed) => {}
            Err(_) => return Err(DockerError::RequestTimeoutError),
            Ok(Some(answer)) => drop(answer?),
            Ok(None) => return Ok(()),
        }
    }
}

/// Layers of one image in a store, by their index among all.
struct FromOneImage<'a> {
    blobs: &'a Arc<dyn BlobSource>,
    wanted: Vec<(usize, DiffId)>,
    descriptors: Vec<Descriptor>,
}

/// What has to be sent for each layer.
fn parts(shared: &Shared, layers: &[Layer], known: usize) -> Result<Vec<Part>> {
    let mut parts: Vec<Option<Part>> = Vec::new();
    let mut stored: Vec<FromOneImage<'_>> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let part = match &layer.source {
            _ if index < known => Some(Part::Known),
            LayerSource::Recipe(recipe) => {
                let size = layer::size(recipe)?;
                Some(Part::Recipe(Arc::clone(recipe), size))
            }
            LayerSource::Spooled(blob) => {
                let file = std::fs::File::open(blob.file.path())?;
                let tar = decompress(file)?;
                let tar = SpooledTar::checked(tar, &layer.diff_id, &shared.spool_dir)?;
                Some(Part::Tar(tar))
            }
            LayerSource::Stored { descriptor, blobs } => {
                let same = |image: &&mut FromOneImage<'_>| Arc::ptr_eq(image.blobs, blobs);
                let found = stored.iter_mut().find(same);
                let (wanted, descriptor) = ((index, layer.diff_id), descriptor.clone());
                match found {
                    Some(image) => {
                        image.wanted.push(wanted);
                        image.descriptors.push(descriptor);
                    }
                    None => stored.push(FromOneImage {
                        blobs,
                        wanted: vec![wanted],
                        descriptors: vec![descriptor],
                    }),
                }
                None
            }
        };
        parts.push(part);
    }
    for image in stored {
        let opened = image.blobs.open_all(&image.descriptors)?;
        for ((index, diff_id), blob) in image.wanted.into_iter().zip(opened) {
            let missing = || {
                Error::new(
                    ErrorKind::NotFound,
                    format!("the data of layer {diff_id} is missing"),
                )
            };
            let tar = decompress(blob.ok_or_else(missing)?)?;
            let tar = SpooledTar::checked(tar, &diff_id, &shared.spool_dir)?;
            if let Some(part) = parts.get_mut(index) {
                *part = Some(Part::Tar(tar));
            }
        }
    }
    Ok(parts.into_iter().flatten().collect())
}

/// The archive's way into the request.
struct Upload {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.chunk.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(Bytes::from(chunk)))
            .map_err(|_| io::Error::other("the daemon takes no more"))
    }
}
