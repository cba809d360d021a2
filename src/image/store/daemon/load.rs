//! Bringing an image into the daemon.

use super::archive::{Archive, Form, Part, config_id};
use super::contents::Contents;
use super::fetch::SpooledTar;
use super::{Seen, Shared, WORK_LIMIT, by_id, error, inspect};
use crate::image::Image;
use crate::layer::{self, BlobSource, Layer, LayerSource, Workers, decompress};
use crate::oci::{Descriptor, DiffId};
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Chunks that may wait for the daemon, and their size in bytes.
const QUEUE: usize = 4;
const CHUNK: usize = 1 << 20;

/// Makes sure that the daemon has `image`, under no name yet, and returns its id.
///
/// # Errors
/// The daemon cannot be reached, refuses, or made another image of it.
pub(super) fn load(shared: &Arc<Shared>, image: &Image) -> Result<String> {
    let form = shared.form()?;
    if let Some(id) = unchanged(shared, image, form)? {
        return Ok(id);
    }
    let omitted = match form {
        Form::Docker => known(shared, image),
        Form::Oci => held(shared, image),
    };
    if omitted.iter().any(Option::is_some)
        && let Ok(id) = attempt(shared, image, omitted, form)?
    {
        return Ok(id);
    }
    // The daemon may not have the layers any more, or never take layers for granted.
    attempt(shared, image, Vec::new(), form)?
}

/// The id of the image if the daemon has it already. Most builds that change nothing end here.
fn unchanged(shared: &Shared, image: &Image, form: Form) -> Result<Option<String>> {
    let meant = config_id(image);
    let candidates = match form {
        Form::Docker => vec![meant.hex()],
        // The id depends on how the layers are stored. It need not be the image that would be sent.
        Form::Oci => {
            let seen = shared.seen();
            let same = seen.iter().filter(|seen| seen.config == meant);
            same.map(|seen| seen.id.clone()).collect()
        }
    };
    for id in candidates {
        if shared.inspect(&by_id(&id))?.is_some() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The lowest layers that the daemon has in just this order.
fn known(shared: &Shared, image: &Image) -> Vec<Option<Part>> {
    (0..shared.known(image))
        .map(|_| Some(Part::Known))
        .collect()
}

/// The layers that the containerd image store has, as far as images that were opened show.
fn held(shared: &Shared, image: &Image) -> Vec<Option<Part>> {
    let wanted = image.layers.iter().map(|layer| layer.diff_id);
    let mut wanted: BTreeSet<_> = wanted.collect();
    let mut held = BTreeMap::new();
    let mut images = shared.seen().clone();
    // Reading an image takes its time; one that has most of the layers may do.
    let has = |seen: &Seen, wanted: &BTreeSet<DiffId>| {
        let layers = seen.chain.iter();
        layers.filter(|diff_id| wanted.contains(*diff_id)).count()
    };
    while let Some(best) = images.iter().max_by_key(|seen| has(seen, &wanted)) {
        if has(best, &wanted) == 0 {
            break;
        }
        let id = best.id.clone();
        images.retain(|seen| seen.id != id);
        // Whatever cannot be read is sent.
        let layers = Contents::read(shared, &id).map(|contents| contents.layers());
        for (diff_id, blob) in layers.into_iter().flatten() {
            if wanted.remove(&diff_id) {
                held.insert(diff_id, blob);
            }
        }
    }
    let part = |layer: &Layer| held.get(&layer.diff_id).cloned().map(Part::Held);
    image.layers.iter().map(part).collect()
}

/// Sends the image and looks at what has become of it. The inner error says that it has to be sent with more layers.
fn attempt(
    shared: &Arc<Shared>,
    image: &Image,
    omitted: Vec<Option<Part>>,
    form: Form,
) -> Result<Result<String>> {
    let archive = match send(shared, image, omitted, form)? {
        Ok(archive) => archive,
        Err(refusal) => {
            let error = error::of(&refusal, &shared.name);
            return match error::is_answer(&refusal) {
                true => Ok(Err(error)),
                false => Err(error),
            };
        }
    };
    let id = archive.id().hex();
    let checked = check(shared, image, &archive, &id);
    if checked.is_err() {
        discard(shared, &id);
    }
    Ok(checked
        .map(|()| id)
        .context(|| "compare the loaded image with what was sent"))
}

/// Removes the image `id` that only takes room if it stays: one without a name, as it may have been there before.
fn discard(shared: &Shared, id: &str) {
    let id = by_id(id);
    let Ok(Some(found)) = shared.inspect(&id) else {
        return;
    };
    if found.repo_tags.unwrap_or_default().is_empty() {
        let options = RemoveImageOptionsBuilder::default().build();
        // What went wrong before this is the error to tell.
        let _ = shared.ask(shared.docker.remove_image(&id, Some(options), None));
    }
}

/// Compares the image `id` with what was meant.
fn check(shared: &Shared, image: &Image, archive: &Archive, id: &str) -> Result<()> {
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
    if let Some(difference) = inspect::difference(image, &found)? {
        return Err(corrupt(format!("made another image of it: {difference}")));
    }
    if shared.form()? == Form::Oci {
        let contents = Contents::read(shared, id)?;
        if let Some(blob) = archive.descriptors.iter().find(|one| !contents.holds(one)) {
            return Err(corrupt(format!("lacks the layer {}", blob.digest)));
        }
    }
    Ok(())
}

/// Sends the image without the layers whose parts are in `omitted`, in the layers' order. What the daemon says to that
/// is the inner result.
fn send(
    shared: &Arc<Shared>,
    image: &Image,
    omitted: Vec<Option<Part>>,
    form: Form,
) -> Result<std::result::Result<Archive, DockerError>> {
    let archive = Archive::new(image, parts(shared, &image.layers, omitted)?, form);
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
        match tokio::time::timeout(WORK_LIMIT, answers.next()).await {
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

/// What has to be sent for each layer that is not in `omitted`.
fn parts(shared: &Shared, layers: &[Layer], omitted: Vec<Option<Part>>) -> Result<Vec<Part>> {
    let mut parts: Vec<Option<Part>> = Vec::new();
    let mut stored: Vec<FromOneImage<'_>> = Vec::new();
    let omitted = omitted.into_iter().chain(std::iter::repeat_with(|| None));
    for (index, (layer, omitted)) in layers.iter().zip(omitted).enumerate() {
        let part = match &layer.source {
            _ if omitted.is_some() => omitted,
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
                    format!(
                        "the docker daemon at {} has no data of layer {diff_id}: \
                         remove the images that have it, then pull or build them again",
                        shared.name
                    ),
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
