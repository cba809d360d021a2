//! Reading images: manifest, configuration, and layers only when somebody asks.

use super::http::{Content, Request, Response};
use super::session::{Document as Fetched, Session};
use super::{Shared, retry};
use crate::image::{Documents, Image};
use crate::layer::BlobSource;
use crate::oci::{
    Config, Descriptor, Digest, Document, Identifier, MAX_CONFIG, MAX_MANIFEST, Manifest,
    ManifestKind, Reference, Verified, read_document,
};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Method, StatusCode, Url};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

const DIGEST_HEADER: &str = "docker-content-digest";
/// How many blobs are asked for at a time, each on a connection where the registry speaks HTTP/1.1.
const CHECKS_AT_ONCE: usize = 8;

/// The scope of reading `repository`.
pub(super) fn pull_scope(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// A manifest or index as the registry has it.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    pub(super) digest: Digest,
}

/// The image under `reference` and the digest of its manifest (of the platform's, if it is an index). `answer`: what the
/// registry said to a request for its manifest, where there was one.
pub(super) async fn open(
    shared: &Arc<Shared>,
    session: &Session,
    reference: &Reference,
    answer: Option<Response>,
) -> Result<Option<(Image, Digest)>> {
    let Some(found) = manifest(session, reference, answer).await? else {
        return Ok(None);
    };
    let (found, manifest) = match Document::parse(&found.bytes, &found.media_type)? {
        Document::Manifest(manifest) => (found, manifest),
        Document::Index(index) => {
            let Some(child) = index.select(&shared.network.platform) else {
                return Ok(None);
            };
            let reference = reference.with_digest(child.digest);
            let missing = || {
                let cause = format!("manifest {} of the index is missing", child.digest);
                Error::new(ErrorKind::Corrupt, cause)
            };
            let found = self::manifest(session, &reference, None)
                .await?
                .ok_or_else(missing)?;
            let manifest = plain(&found)?;
            (found, manifest)
        }
    };
    let config = config(session, reference, &manifest.config).await?;
    let origin = Documents::stored(config.clone(), found.bytes, manifest.kind);
    let config = Config::parse(&config)?;
    let blobs: Arc<dyn BlobSource> = Arc::new(RegistryBlobs {
        shared: Arc::clone(shared),
        reference: reference.clone(),
        repository: reference.context(),
    });
    Ok(Some((
        Image::opened(origin, manifest, config, &blobs)?,
        found.digest,
    )))
}

fn plain(found: &Found) -> Result<Manifest> {
    match Document::parse(&found.bytes, &found.media_type)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(Error::new(ErrorKind::Corrupt, "an index inside an index")),
    }
}

/// A request for the manifest.
pub(super) fn manifest_request(
    base: &Url,
    reference: &Reference,
    method: Method,
) -> Result<Request> {
    let kinds = [ManifestKind::Docker, ManifestKind::Oci];
    let accept = kinds
        .map(|kind| format!("{}, {}", kind.manifest(), kind.index()))
        .join(", ");
    let url = manifest_url(base, reference)?;
    Ok(Request::new(method, url).header(ACCEPT, &accept))
}

/// Where the manifest of `reference` is.
pub(super) fn manifest_url(base: &Url, reference: &Reference) -> Result<Url> {
    let (repository, identifier) = (reference.repository(), reference.identifier());
    let path = format!("v2/{repository}/manifests/{identifier}");
    base.join(&path).map_err(Error::other)
}

/// Asks for the manifest by HEAD. Any status is an answer.
pub(super) async fn ask(session: &Session, reference: &Reference) -> Result<Response> {
    let request = manifest_request(&session.base, reference, Method::HEAD)?;
    session
        .send(&request, &[pull_scope(reference.repository())])
        .await
}

/// What `reference` leads to; `answer` as for [`open`].
pub(super) async fn manifest(
    session: &Session,
    reference: &Reference,
    answer: Option<Response>,
) -> Result<Option<Found>> {
    let request = manifest_request(&session.base, reference, Method::GET)?;
    let scopes = [pull_scope(reference.repository())];
    let Some(Fetched { headers, bytes }) = session
        .document(&request, &scopes, MAX_MANIFEST, answer)
        .await?
    else {
        return Ok(None);
    };
    let announced = announced(&headers)?;
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let media_type = media_type.trim().to_owned();
    let digest = Digest::of(&bytes);
    let asked = match reference.identifier() {
        Identifier::Digest(digest) => Some(*digest),
        Identifier::Tag(_) => None,
    };
    match [asked, announced]
        .into_iter()
        .flatten()
        .find(|expected| *expected != digest)
    {
        Some(expected) => {
            let cause = format!("the manifest has digest {digest} where {expected} was announced");
            Err(Error::new(ErrorKind::Corrupt, cause))
        }
        None => Ok(Some(Found {
            bytes,
            media_type,
            digest,
        })),
    }
}

/// The digest that the registry says the manifest has.
pub(super) fn announced(headers: &HeaderMap) -> Result<Option<Digest>> {
    let header = headers
        .get(DIGEST_HEADER)
        .and_then(|value| value.to_str().ok());
    header.map(Digest::parse).transpose()
}

async fn config(
    session: &Session,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<Vec<u8>> {
    if descriptor.size > MAX_CONFIG {
        let cause = format!(
            "the config has {} bytes; at most {MAX_CONFIG} are read",
            descriptor.size
        );
        return Err(Error::new(ErrorKind::Corrupt, cause));
    }
    let missing = || {
        Error::new(
            ErrorKind::Corrupt,
            format!("config {} is missing", descriptor.digest),
        )
    };
    let (request, scopes) = blob_request(session, Method::GET, reference.repository(), descriptor)?;
    let found = session
        .document(&request, &scopes, MAX_CONFIG, None)
        .await?;
    let bytes = found.ok_or_else(missing)?.bytes;
    read_document(&*bytes, descriptor, MAX_CONFIG)
}

/// A request for a blob, and the scope that it needs.
fn blob_request(
    session: &Session,
    method: Method,
    repository: &str,
    descriptor: &Descriptor,
) -> Result<(Request, [String; 1])> {
    let url = session.url(&format!("{repository}/blobs/{}", descriptor.digest))?;
    Ok((Request::new(method, url), [pull_scope(repository)]))
}

/// Makes sure that the repository of `reference` has every one of `blobs`; several are asked for at once.
///
/// # Errors
/// Kind `Corrupt`: one is missing. Otherwise the registry fails.
pub(super) async fn check_blobs(
    session: &Arc<Session>,
    reference: &Reference,
    blobs: Vec<Descriptor>,
) -> Result<()> {
    let mut checks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
    for blob in blobs {
        let (session, repository) = (Arc::clone(session), reference.repository().to_owned());
        let permits = Arc::clone(&permits);
        checks.spawn(async move {
            let _permit = permits.acquire().await.map_err(Error::other)?;
            let (request, scopes) = blob_request(&session, Method::HEAD, &repository, &blob)?;
            let response = session.send(&request, &scopes).await?;
            match response.status() {
                StatusCode::OK => Ok(()),
                StatusCode::NOT_FOUND => {
                    let cause = format!("layer {} of {repository} is missing", blob.digest);
                    Err(Error::new(ErrorKind::Corrupt, cause))
                }
                _ => Err(session.refusal(&Method::HEAD, response).await),
            }
        });
    }
    while let Some(result) = checks.join_next().await {
        result.map_err(Error::other)??;
    }
    Ok(())
}

/// The blob's bytes from `offset` on; `None` if the repository doesn't have it.
async fn blob(
    session: &Session,
    repository: &str,
    descriptor: &Descriptor,
    offset: u64,
) -> Result<Option<Response>> {
    let (mut request, scopes) = blob_request(session, Method::GET, repository, descriptor)?;
    if offset > 0 {
        request = request.header(RANGE, &format!("bytes={offset}-"));
    }
    let response = session.send(&request, &scopes).await?;
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Some(response)),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(session.refusal(&Method::GET, response).await),
    }
}

/// The blobs of one repository.
struct RegistryBlobs {
    shared: Arc<Shared>,
    reference: Reference,
    repository: String,
}

impl BlobSource for RegistryBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        let context = || format!("read blob {} of {}", descriptor.digest, self.repository);
        let (shared, repository) = (&self.shared, self.reference.repository());
        let opened = shared.runtime.block_on(async {
            let session = shared.network.session(&self.reference).await?;
            let response = blob(&session, repository, descriptor, 0).await?;
            Ok::<_, Error>(response.map(|response| (session, response)))
        });
        let Some((session, response)) = opened.context(context)? else {
            return Ok(None);
        };
        let reader = BlobReader {
            shared: Arc::clone(shared),
            session,
            repository: repository.to_owned(),
            descriptor: descriptor.clone(),
            response,
            chunk: io::Cursor::default(),
            received: 0,
        };
        Ok(Some(Box::new(Verified::blob(
            reader,
            &descriptor.digest,
            descriptor.size,
        ))))
    }

    fn repository(&self) -> Option<&str> {
        Some(&self.repository)
    }
}

/// A blob's bytes; an interrupted transfer goes on where it stopped.
struct BlobReader {
    shared: Arc<Shared>,
    session: Arc<Session>,
    repository: String,
    descriptor: Descriptor,
    response: Response,
    chunk: io::Cursor<Vec<u8>>,
    received: u64,
}

impl BlobReader {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut attempt = 0;
        loop {
            let failure = match self.session.http.chunk(&mut self.response).await {
                Ok(None) if self.received < self.descriptor.size => {
                    Error::other("the transfer ended early")
                }
                Ok(chunk) => return Ok(chunk),
                Err(error) => error,
            };
            if attempt + 1 >= retry::ATTEMPTS {
                // A registry that never comes to the end of a blob does not have it whole.
                return Err(failure.with_kind(ErrorKind::Corrupt));
            }
            sleep(self.session.http.delay(attempt, None)).await;
            attempt += 1;
            let (session, from) = (&self.session, self.received);
            let Some(mut response) =
                blob(session, &self.repository, &self.descriptor, from).await?
            else {
                return Err(failure);
            };
            if response.status() == StatusCode::OK {
                // The registry knows no ranges: skip what is here already.
                let mut skip = from;
                while skip > 0 {
                    let Some(chunk) = session.http.chunk(&mut response).await? else {
                        return Err(failure);
                    };
                    let length = chunk.len() as u64;
                    if length > skip {
                        let rest = chunk
                            .get(usize::try_from(skip).unwrap_or(usize::MAX)..)
                            .unwrap_or_default();
                        self.response = response;
                        return Ok(Some(rest.to_vec()));
                    }
                    skip -= length;
                }
            }
            self.response = response;
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let runtime = Arc::clone(&self.shared);
            let Some(chunk) = runtime
                .runtime
                .block_on(self.next())
                .map_err(io::Error::other)?
            else {
                return Ok(0);
            };
            self.received += chunk.len() as u64;
            self.chunk = io::Cursor::new(chunk);
        }
    }
}

/// A blob of any store as something to upload.
pub(super) struct StoredContent {
    pub(super) descriptor: Descriptor,
    pub(super) blobs: Arc<dyn BlobSource>,
}

impl Content for StoredContent {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        let missing = || {
            let cause = format!(
                "the store of blob {} does not hold its data",
                self.descriptor.digest
            );
            Error::new(ErrorKind::NotFound, cause)
        };
        let mut reader = self.blobs.open(&self.descriptor)?.ok_or_else(missing)?;
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        Ok(reader)
    }
}
