//! Sending a blob while it is being made, which spares the time that one of the two takes.
//!
//! Its digest is known at its end only. Then the registry is asked whether it has the blob already: what is left need not be sent then.

use super::Network;
use super::http::{Content, Payload, Request};
use super::push::push_scope;
use super::session::Session;
use super::upload::{OCTETS, Setback, Target};
use crate::layer::Growing;
use crate::oci::{Descriptor, Digest, Reference};
use lifecycle_core::error::{Error, Result};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::time::sleep;

/// The blobs that are sent while they are being made.
#[derive(Default)]
pub(super) struct Streams(Mutex<Vec<Arc<Stream>>>);

/// One of them, on its way into a repository.
pub(super) struct Stream {
    registry: String,
    pub(super) repository: String,
    growing: Arc<Growing>,
    /// Whether it has arrived, once that is known.
    arrived: watch::Receiver<Option<bool>>,
}

impl Streams {
    /// The stream of a blob that is whole by now.
    pub(super) fn find(&self, registry: &str, digest: Digest) -> Option<Arc<Stream>> {
        let is_blob = |blob: Descriptor| blob.digest == digest;
        let mut streams = self.lock().clone().into_iter();
        streams.find(|stream| {
            stream.registry == registry && stream.growing.descriptor().is_some_and(is_blob)
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Stream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Waits until the blob has arrived, or does not.
    pub(super) async fn arrived(&self) -> bool {
        let mut arrived = self.arrived.clone();
        let end = arrived.wait_for(Option::is_some).await;
        end.is_ok_and(|end| *end == Some(true))
    }
}

/// Announces a blob that will be sent to the repository of `reference`, and returns what sends it. A failure is nobody's: who wants the blob
/// there uploads it then.
pub(super) fn follow(
    network: &Arc<Network>,
    reference: Reference,
    growing: &Arc<Growing>,
) -> impl Future<Output = ()> + use<> {
    let (sender, arrived) = watch::channel(None);
    let stream = Stream {
        registry: reference.registry().to_owned(),
        repository: reference.repository().to_owned(),
        growing: Arc::clone(growing),
        arrived,
    };
    network.streams.lock().push(Arc::new(stream));
    let (network, growing) = (Arc::clone(network), Arc::clone(growing));
    async move {
        let sent = async {
            let session = network.session(&reference).await?;
            send(&session, reference.repository(), &growing).await
        };
        let _ = sender.send(Some(sent.await.is_ok()));
    }
}

async fn send(session: &Session, repository: &str, growing: &Arc<Growing>) -> Result<()> {
    let permit = session.uploads.permits.acquire().await;
    let _permit = permit.map_err(Error::other)?;
    let scopes = [push_scope(repository)];
    let target = Target {
        session,
        repository,
        scopes: &scopes,
    };
    match target.follow(growing).await {
        Ok(()) => Ok(()),
        Err(Setback::Passing(error, _) | Setback::Final(error)) => Err(error),
    }
}

impl Target<'_> {
    async fn follow(&self, growing: &Arc<Growing>) -> Result<(), Setback> {
        let location = self.open_upload().await?;
        let content: Arc<dyn Content> = Arc::new(Arc::clone(growing));
        let request = Request::new(Method::PATCH, location.clone())
            .header(CONTENT_TYPE, OCTETS)
            .payload(Payload::Stream {
                content: Arc::clone(&content),
                offset: 0,
                length: None,
            });
        let sent = tokio::select! {
            sent = self.send_piece(&request) => sent,
            () = self.is_there_when_whole(growing) => {
                self.give_up(location).await;
                return Ok(());
            }
        };
        let location = match sent {
            Ok(location) => location,
            Err(Setback::Final(error)) => return Err(error.into()),
            Err(Setback::Passing(_, asked)) => {
                let blob = whole(growing).await?;
                sleep(self.session.http.delay(0, asked)).await;
                let (location, received) = self.progress(&location).await?;
                self.stream(location, &content, received, blob.size).await?
            }
        };
        self.end(location, whole(growing).await?.digest, Payload::Empty)
            .await
    }

    /// Returns if the repository has the blob once it is whole; never if not.
    async fn is_there_when_whole(&self, growing: &Arc<Growing>) {
        if let Ok(blob) = whole(growing).await
            && self.exists(blob.digest).await.is_ok_and(|there| there)
        {
            return;
        }
        std::future::pending().await
    }

    /// Registries clean up abandoned uploads themselves; not all of them know DELETE.
    async fn give_up(&self, location: Url) {
        let request = Request::new(Method::DELETE, location);
        let _ = self.session.send(&request, self.scopes).await;
    }
}

/// The blob, as soon as it is whole.
async fn whole(growing: &Arc<Growing>) -> Result<Descriptor> {
    let growing = Arc::clone(growing);
    let blob = tokio::task::spawn_blocking(move || growing.wait()).await;
    let abandoned = || Error::other("the layer is not made any more");
    blob.map_err(Error::other)?.ok_or_else(abandoned)
}

impl Content for Arc<Growing> {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.read_from(offset)))
    }
}
