//! Writing images: blobs first, each once per registry; manifests last; then the tag is read back.

use super::http::{Content, Payload, Request};
use super::pull::{StoredContent, announced, ask, manifest_request, manifest_url, pull_scope};
use super::session::Session;
use super::upload::{Home, Target, Upload};
use super::{Network, Proof};
use crate::image::{Documents, Image};
use crate::layer::{Layer, LayerSource, SpooledBlob};
use crate::oci::{Descriptor, Digest, Identifier, MAX_MANIFEST, Reference};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use tokio::task::JoinSet;

/// A blob of the image and where its bytes are.
#[derive(Clone)]
pub(super) struct Blob {
    descriptor: Descriptor,
    content: Option<Arc<dyn Content>>,
    /// With a repository as `registry/repository`.
    home: Home,
}

impl Blob {
    fn spooled(blob: &Arc<SpooledBlob>) -> Self {
        Self {
            descriptor: blob.descriptor.clone(),
            content: Some(Arc::new(Spooled(Arc::clone(blob)))),
            home: Home::Unknown,
        }
    }
}

/// Pushes `image` to every one of `references`; the result of each, in their order.
pub(super) async fn push(
    network: &Network,
    image: &Image,
    documents: &Documents,
    references: &[Reference],
) -> Vec<Result<()>> {
    let blobs = match blobs(image, documents) {
        Ok(blobs) => blobs,
        Err(error) => return failed(&error, references.len()),
    };
    let mut repositories: BTreeMap<(&str, &str), Result<()>> = BTreeMap::new();
    let mut results = Vec::new();
    for reference in references {
        let place = (reference.registry(), reference.repository());
        let blobs = match repositories.entry(place) {
            Entry::Occupied(pushed) => pushed.into_mut(),
            Entry::Vacant(entry) => entry.insert(push_blobs(network, reference, &blobs).await),
        };
        let result = match blobs {
            Err(error) => Err(Error::new(error.kind(), error)),
            Ok(()) => put_manifest(network, reference, documents).await,
        };
        results.push(result);
    }
    results
}

/// The error for each of `count` references.
fn failed(error: &Error, count: usize) -> Vec<Result<()>> {
    (0..count)
        .map(|_| Err(Error::new(error.kind(), error)))
        .collect()
}

/// Every blob of the image, once.
pub(super) fn blobs(image: &Image, documents: &Documents) -> Result<Vec<Blob>> {
    let config: Arc<dyn Content> = Arc::new(documents.config.clone());
    let config = Blob {
        descriptor: documents.config_descriptor.clone(),
        content: Some(config),
        // That of a changed image is new but for repetitions: to send its few kilobytes costs no more than to ask.
        home: match image.origin {
            Some(_) => Home::Unknown,
            None => Home::Nowhere,
        },
    };
    let layers = image.layers.iter().map(|layer| match &layer.source {
        LayerSource::Stored { descriptor, blobs } => Ok(Blob {
            descriptor: descriptor.clone(),
            content: Some(Arc::new(StoredContent {
                descriptor: descriptor.clone(),
                blobs: Arc::clone(blobs),
            })),
            home: match blobs.repository() {
                Some(repository) => Home::Repository(repository.to_owned()),
                None => Home::Unknown,
            },
        }),
        LayerSource::Spooled(blob) => Ok(Blob::spooled(blob)),
        LayerSource::Recipe(_) => Err(uncompressed(layer)),
    });
    let blobs: Vec<Blob> = layers.chain([Ok(config)]).collect::<Result<_>>()?;
    let mut seen: HashSet<Digest> = HashSet::new();
    Ok(blobs
        .into_iter()
        .filter(|blob| seen.insert(blob.descriptor.digest))
        .collect())
}

/// Brings every blob into the repository of `reference`; those that come from it are there already.
pub(super) async fn push_blobs(
    network: &Network,
    reference: &Reference,
    blobs: &[Blob],
) -> Result<()> {
    let session = network.session(reference).await?;
    let own = reference.context();
    let mut uploads = JoinSet::new();
    let there = |blob: &&Blob| matches!(&blob.home, Home::Repository(home) if *home == own);
    for blob in blobs.iter().filter(|blob| !there(blob)) {
        let (session, reference, blob) = (Arc::clone(&session), reference.clone(), blob.clone());
        uploads.spawn(async move { bring(&session, &reference, blob).await });
    }
    while let Some(result) = uploads.join_next().await {
        // Dropping the set ends the other uploads: nothing refers to what they left.
        result.map_err(Error::other)??;
    }
    Ok(())
}

/// Uploads a blob before its image is known. A failure is nobody's yet: saving the image tries again.
pub(super) async fn ahead(network: Arc<Network>, reference: Reference, blob: Arc<SpooledBlob>) {
    if let Ok(session) = network.session(&reference).await {
        let _ = bring(&session, &reference, Blob::spooled(&blob)).await;
    }
}

/// Brings a blob into the repository of `reference`, once in the life of the session; who else wants it there waits. Who
/// wants it in another repository waits as well, since then it can be mounted.
async fn bring(session: &Session, reference: &Reference, blob: Blob) -> Result<()> {
    let (repository, digest) = (reference.repository(), blob.descriptor.digest);
    let key = (repository.to_owned(), digest);
    let cell = Arc::clone(session.uploads.blobs.lock().await.entry(key).or_default());
    let upload = || async {
        let home = Arc::clone(
            session
                .uploads
                .homes
                .lock()
                .await
                .entry(digest)
                .or_default(),
        );
        let mut known = home.lock().await;
        if let Some(stream) = session.uploads.streams.find(reference.registry(), digest)
            && stream.arrived().await
        {
            known.get_or_insert_with(|| stream.repository.clone());
            if stream.repository == repository {
                return Ok(());
            }
        }
        let permit = session.uploads.permits.acquire().await;
        let _permit = permit.map_err(Error::other)?;
        let stored = within(&blob.home, reference.registry());
        let upload = Upload {
            descriptor: blob.descriptor.clone(),
            content: blob.content.clone(),
            home: match (stored, known.clone()) {
                (Home::Unknown | Home::Nowhere, Some(known)) => Home::Repository(known),
                (stored, _) => stored,
            },
        };
        let source = match &upload.home {
            Home::Repository(home) => Some(pull_scope(home)),
            Home::Nowhere | Home::Unknown => None,
        };
        let scopes: Vec<_> = [push_scope(repository)].into_iter().chain(source).collect();
        Target {
            session,
            repository,
            scopes: &scopes,
        }
        .ensure(&upload)
        .await?;
        known.get_or_insert_with(|| repository.to_owned());
        Ok(())
    };
    cell.get_or_try_init(upload).await.copied()
}

/// What a home in any registry means to `registry`.
fn within(home: &Home, registry: &str) -> Home {
    let Home::Repository(home) = home else {
        return home.clone();
    };
    let repository = home.strip_prefix(registry);
    match repository.and_then(|rest| rest.strip_prefix('/')) {
        Some(repository) => Home::Repository(repository.to_owned()),
        None => Home::Unknown,
    }
}

/// The scope of writing `repository`.
pub(super) fn push_scope(repository: &str) -> String {
    format!("repository:{repository}:push,pull")
}

/// Puts the manifest and makes sure that the name now leads to it.
pub(super) async fn put_manifest(
    network: &Network,
    reference: &Reference,
    documents: &Documents,
) -> Result<()> {
    let session = network.session(reference).await?;
    let expected = documents.manifest_descriptor.digest;
    if let Identifier::Digest(digest) = reference.identifier()
        && *digest != expected
    {
        let cause = format!("the image has digest {expected}");
        return Err(Error::new(ErrorKind::InvalidArguments, cause).in_context(reference.name()));
    }
    let media_type = &documents.manifest_descriptor.media_type;
    let answer = put(&session, reference, media_type, documents.manifest.clone()).await;
    let found = match &answer {
        // What is refused changes nothing. What fails otherwise may have been done, and the answer lost.
        Err(error) if error.kind() != ErrorKind::Other => return answer.map(drop),
        Ok(answer) if network.proof == Proof::Answer => announced(answer.headers())?,
        _ => None,
    };
    let found = match found {
        Some(digest) => Ok(Some(digest)),
        None => resolve(&session, reference)
            .await
            .context(|| "read the tag back"),
    };
    match (found, answer) {
        (Ok(Some(digest)), _) if digest == expected => Ok(()),
        (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
        (Ok(other), Ok(_)) => {
            let found = other.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
            let cause = format!(
                "{} was pushed as {expected} but now leads to {found}",
                reference.name()
            );
            Err(Error::new(ErrorKind::Corrupt, cause))
        }
    }
}

/// Sends a manifest as that of `reference`.
pub(super) async fn put(
    session: &Session,
    reference: &Reference,
    media_type: &str,
    manifest: Vec<u8>,
) -> Result<Response> {
    let request = Request::new(Method::PUT, manifest_url(&session.base, reference)?)
        .header(CONTENT_TYPE, media_type)
        .payload(Payload::Bytes(manifest));
    let scopes = [push_scope(reference.repository())];
    let accepted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
    session.expect(&request, &scopes, &accepted).await
}

/// Deletes the manifest of `reference`.
pub(super) async fn delete(session: &Session, reference: &Reference) -> Result<()> {
    let request = Request::new(Method::DELETE, manifest_url(&session.base, reference)?);
    let scope = format!("repository:{}:push,pull,delete", reference.repository());
    let accepted = [StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NO_CONTENT];
    session
        .expect(&request, &[scope], &accepted)
        .await
        .map(drop)
}

/// The digest that `reference` leads to.
pub(super) async fn resolve(session: &Session, reference: &Reference) -> Result<Option<Digest>> {
    let response = ask(session, reference).await?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::OK => match announced(response.headers())? {
            Some(digest) => Ok(Some(digest)),
            None => {
                let request = manifest_request(&session.base, reference, Method::GET)?;
                let scopes = [pull_scope(reference.repository())];
                let document = session
                    .document(&request, &scopes, MAX_MANIFEST, None)
                    .await?;
                Ok(document.map(|document| Digest::of(&document.bytes)))
            }
        },
        _ => Err(session.refusal(&Method::HEAD, response).await),
    }
}

impl Content for Vec<u8> {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Box::new(std::io::Cursor::new(
            self.get(offset..).unwrap_or_default().to_vec(),
        )))
    }
}

/// A layer that the pipeline compressed.
struct Spooled(Arc<SpooledBlob>);

impl Content for Spooled {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        let path = self.0.file.path();
        let mut file = File::open(path).context(|| format!("open {}", path.display()))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

/// Names every layer's blob, bottom first.
pub(super) fn layer_descriptors(image: &Image) -> Result<Vec<Descriptor>> {
    let descriptor = |layer: &Layer| match &layer.source {
        LayerSource::Stored { descriptor, .. } => Ok(descriptor.clone()),
        LayerSource::Spooled(blob) => Ok(blob.descriptor.clone()),
        LayerSource::Recipe(_) => Err(uncompressed(layer)),
    };
    image.layers.iter().map(descriptor).collect()
}

fn uncompressed(layer: &Layer) -> Error {
    Error::other(format!("layer {} has not been compressed", layer.diff_id))
}
