//! Registries (OCI distribution-spec, Docker's registry API).
//!
//! Asynchrony ends here: the store's methods block. One connection pool, one challenge and one token per registry
//! and scope serve everything that a store is used for.

mod challenge;
mod error;
mod follow;
mod guard;
mod http;
mod pull;
mod push;
mod reach;
mod retry;
mod session;
mod tls;
mod together;
mod upload;

pub use tls::Certificates;

use super::{ImageStore, Opened, Saved};
use crate::auth::Keychain;
use crate::image::{Documents, Image};
use crate::layer::{Growing, SpooledBlob};
use crate::oci::{Platform, Reference};
use http::{Request, Response};
use lifecycle_core::error::{Error, Result, ResultExt};
use reqwest::{Method, StatusCode};
use session::Session;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

/// How long a store waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a registry may be silent.
    pub idle: Duration,
    /// How long to wait before the first new try; each further wait is three times as long.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            pause: Duration::from_millis(300),
        }
    }
}

/// What shows that a name leads to what was pushed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Asking for the name again.
    ReadBack,
    /// The registry's answer to the push, where it says the digest (`Docker-Content-Digest`), else asking again.
    Answer,
}

/// What a registry store needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Credentials.
    pub keychain: Keychain,
    /// References that start with one of these may be reached without TLS or without its verification.
    pub insecure: Vec<String>,
    /// Which image of an index is meant.
    pub platform: Platform,
    /// How long it waits.
    pub patience: Patience,
    /// When a push counts as done.
    pub proof: Proof,
    /// Certificates of single registries.
    pub certificates: Certificates,
}

impl Options {
    /// The usual patience, proof and places of certificates.
    pub fn new(keychain: Keychain, insecure: Vec<String>, platform: Platform) -> Self {
        Self {
            keychain,
            insecure,
            platform,
            patience: Patience::default(),
            proof: Proof::ReadBack,
            certificates: Certificates::standard(),
        }
    }
}

/// Images in registries. A name is a reference; identifiers are `registry/repository@sha256:...`.
pub struct RegistryStore {
    shared: Arc<Shared>,
}

/// The runtime, for methods that block, and what its tasks work with.
struct Shared {
    runtime: Runtime,
    network: Arc<Network>,
}

/// What tasks share. None of them may own the runtime that it runs on.
struct Network {
    keychain: Keychain,
    insecure: Vec<String>,
    platform: Platform,
    patience: Patience,
    proof: Proof,
    certificates: Certificates,
    sessions: Mutex<Sessions>,
    /// Bytes of blobs that were handed to the network.
    sent: Arc<AtomicU64>,
    streams: Arc<follow::Streams>,
}

/// Sessions by registry and whether it counts as insecure; each is opened by whoever needs it first.
type Sessions = HashMap<(String, bool), Arc<OnceCell<Arc<Session>>>>;

impl Network {
    /// The session with the registry of `reference`; the first caller opens it.
    async fn session(&self, reference: &Reference) -> Result<Arc<Session>> {
        let (cell, insecure) = self.cell(reference).await;
        let open = || async {
            let session = Session::open(reference, insecure, self).await?;
            Ok(Arc::new(session))
        };
        cell.get_or_try_init(open).await.cloned()
    }

    /// [`Network::session`] for who wants the manifest of `reference`, and the registry's answer where that was already
    /// asked for to open the session.
    async fn session_for_manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Arc<Session>, Option<Response>)> {
        let (cell, insecure) = self.cell(reference).await;
        let mut answer = None;
        let open = async {
            let (session, first) = Session::open_with_manifest(reference, insecure, self).await?;
            answer = first;
            Ok::<_, Error>(Arc::new(session))
        };
        let session = cell.get_or_try_init(|| open).await.cloned()?;
        Ok((session, answer))
    }

    /// The place of the session with the registry of `reference`, and whether that counts as insecure.
    async fn cell(&self, reference: &Reference) -> (Arc<OnceCell<Arc<Session>>>, bool) {
        let written = reference.to_string();
        let insecure = self
            .insecure
            .iter()
            .any(|prefix| written.starts_with(prefix.as_str()));
        let key = (reference.registry().to_owned(), insecure);
        let mut sessions = self.sessions.lock().await;
        (Arc::clone(sessions.entry(key).or_default()), insecure)
    }
}

impl RegistryStore {
    /// A store. Nothing is sent before somebody asks for an image.
    ///
    /// # Errors
    /// The threads for network work cannot be started.
    pub fn new(options: Options) -> Result<Self> {
        let runtime = super::runtime(2)?;
        let Options {
            keychain,
            insecure,
            platform,
            patience,
            proof,
            certificates,
        } = options;
        let network = Network {
            keychain,
            insecure,
            platform,
            patience,
            proof,
            certificates,
            sessions: Mutex::default(),
            sent: Arc::default(),
            streams: Arc::default(),
        };
        let network = Arc::new(network);
        Ok(Self {
            shared: Arc::new(Shared { runtime, network }),
        })
    }

    /// Saves `image` under `names` by `push`.
    fn write(
        &self,
        image: &Image,
        names: &[String],
        push: impl AsyncFn(&Network, &Documents, &[Reference]) -> Vec<Result<()>>,
    ) -> Result<Saved> {
        let references: Vec<_> = names
            .iter()
            .map(|name| Reference::parse(name))
            .collect::<Result<_>>()?;
        let documents = image.documents(push::layer_descriptors(image)?);
        let push = push(&self.shared.network, &documents, &references);
        let results = self.shared.runtime.block_on(push);
        let manifest = &documents.manifest_descriptor;
        Ok(Saved {
            short_id: manifest.digest.to_string(),
            digest: Some(manifest.digest),
            image_id: None,
            manifest_size: Some(manifest.size),
            names: names.iter().cloned().zip(results).collect(),
        })
    }

    /// The answer's status to HEAD of the manifest; 401 and 403 are errors.
    async fn probe(&self, reference: &Reference) -> Result<()> {
        let session = self.shared.network.session(reference).await?;
        let response = pull::ask(&session, reference).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(session.refusal(&Method::HEAD, response).await)
            }
            _ => Ok(()),
        }
    }

    /// Starts an upload and gives it up again.
    async fn probe_write(&self, reference: &Reference) -> Result<()> {
        let session = self.shared.network.session(reference).await?;
        let url = session.url(&format!("{}/blobs/uploads/", reference.repository()))?;
        let scopes = [push::push_scope(reference.repository())];
        let request = Request::new(Method::POST, url);
        let response = session
            .expect(&request, &scopes, &[StatusCode::ACCEPTED])
            .await?;
        let location = response.headers().get(reqwest::header::LOCATION);
        let location = location.and_then(|value| response.url().join(value.to_str().ok()?).ok());
        if let Some(url) = location.filter(|url| guard::same_origin(&session.base, url)) {
            // Registries clean up abandoned uploads themselves; not all of them know DELETE.
            let _ = session
                .send(&Request::new(Method::DELETE, url), &scopes)
                .await;
        }
        Ok(())
    }
}

impl ImageStore for RegistryStore {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let reference = Reference::parse(name)?;
        let open = async {
            let (session, answer) = self.shared.network.session_for_manifest(&reference).await?;
            pull::open(&self.shared, &session, &reference, answer).await
        };
        let found = self
            .shared
            .runtime
            .block_on(open)
            .context(|| format!("open image {name}"))?;
        Ok(found.map(|(image, digest)| Opened {
            image,
            identifier: reference.with_digest(digest).name(),
        }))
    }

    fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
        self.write(image, names, async |network, documents, references| {
            push::push(network, image, documents, references).await
        })
    }

    fn save_together(&self, image: &Image, names: &[String]) -> Result<Saved> {
        if let [_] = names {
            return self.save(image, names);
        }
        self.write(image, names, async |network, documents, references| {
            together::push(network, image, documents, references).await
        })
    }

    fn start_upload(&self, blob: &Arc<SpooledBlob>, names: &[String]) {
        for reference in one_per_registry(names) {
            let network = Arc::clone(&self.shared.network);
            let upload = push::ahead(network, reference, Arc::clone(blob));
            self.shared.runtime.spawn(upload);
        }
    }

    fn follow(&self, blob: &Arc<Growing>, names: &[String]) {
        for reference in one_per_registry(names) {
            let upload = follow::follow(&self.shared.network, reference, blob);
            self.shared.runtime.spawn(upload);
        }
    }

    fn bytes_sent(&self) -> u64 {
        self.shared.network.sent.load(Ordering::Relaxed)
    }

    fn check_blobs(&self, opened: &Opened) -> Result<()> {
        let reference = Reference::parse(&opened.identifier)?;
        let layers = push::layer_descriptors(&opened.image)?;
        self.shared.runtime.block_on(async {
            let session = self.shared.network.session(&reference).await?;
            pull::check_blobs(&session, &reference, layers).await
        })
    }

    fn delete(&self, identifier: &str) -> Result<()> {
        let reference = Reference::parse(identifier)?;
        self.shared.runtime.block_on(async {
            let session = self.shared.network.session(&reference).await?;
            push::delete(&session, &reference).await
        })
    }

    fn check_read(&self, name: &str) -> Result<()> {
        let reference = Reference::parse(name)?;
        self.shared.runtime.block_on(self.probe(&reference))
    }

    fn check_write(&self, name: &str) -> Result<()> {
        let reference = Reference::parse(name)?;
        self.shared.runtime.block_on(async {
            self.probe(&reference).await?;
            self.probe_write(&reference).await
        })
    }
}

/// The first of the names in each registry; other repositories get blobs from it when the image is saved.
fn one_per_registry(names: &[String]) -> Vec<Reference> {
    let mut registries = BTreeSet::new();
    let references = names.iter().filter_map(|name| Reference::parse(name).ok());
    references
        .filter(|reference| registries.insert(reference.registry().to_owned()))
        .collect()
}
