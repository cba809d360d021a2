//! Bringing a blob into a repository: there already, mounted, in one piece, or streamed and resumed.

use super::http::{Content, Payload, Request, Response};
use super::session::Session;
use super::{guard, retry};
use crate::oci::{Descriptor, Digest};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Blobs up to this many bytes travel in the request that ends the upload.
const ONE_PIECE: u64 = 1 << 20;
pub(super) const OCTETS: &str = "application/octet-stream";

/// Where in its registry a blob is before it is brought.
#[derive(Clone)]
pub(super) enum Home {
    /// In this repository.
    Repository(String),
    /// Nowhere: it has only just been made.
    Nowhere,
    /// The registry has to be asked.
    Unknown,
}

/// A blob that a repository shall have.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) descriptor: Descriptor,
    pub(super) home: Home,
    /// Its bytes, where we can get at them.
    pub(super) content: Option<Arc<dyn Content>>,
}

/// How one try to upload ended other than well.
pub(super) enum Setback {
    /// Another try may go better; the registry may have said when.
    Passing(Error, Option<Duration>),
    /// It never will.
    Final(Error),
}

impl From<Error> for Setback {
    /// Kind `Other` covers lost connections and silence; refusals and damage have kinds of their own.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Other => Self::Passing(error, None),
            _ => Self::Final(error),
        }
    }
}

/// A repository to push to, with the scopes for it.
pub(super) struct Target<'a> {
    pub(super) session: &'a Session,
    pub(super) repository: &'a str,
    pub(super) scopes: &'a [String],
}

impl Target<'_> {
    /// Makes sure that the repository has the blob.
    ///
    /// # Errors
    /// It is not there and could not be brought there; nothing else has changed.
    pub(super) async fn ensure(&self, upload: &Upload) -> Result<()> {
        let digest = upload.descriptor.digest;
        let context = || format!("push blob {digest} to {}", self.repository);
        // To mount asks and answers in one request.
        if let Home::Unknown = upload.home
            && self.exists(digest).await.context(context)?
        {
            return Ok(());
        }
        let mut attempt = 0;
        loop {
            match self.push(upload).await {
                Ok(()) => return Ok(()),
                Err(Setback::Passing(_, asked)) if attempt + 1 < retry::ATTEMPTS => {
                    sleep(self.session.http.delay(attempt, asked)).await;
                    // An answer that got lost may have been a good one.
                    if self.exists(digest).await.context(context)? {
                        return Ok(());
                    }
                    attempt += 1;
                }
                Err(Setback::Passing(error, _) | Setback::Final(error)) => {
                    return Err(error.in_context(context()));
                }
            }
        }
    }

    pub(super) async fn exists(&self, digest: Digest) -> Result<bool> {
        let path = format!("{}/blobs/{digest}", self.repository);
        let request = Request::new(Method::HEAD, self.session.url(&path)?);
        let response = self.session.send(&request, self.scopes).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.session.refusal(&Method::HEAD, response).await),
        }
    }

    async fn push(&self, upload: &Upload) -> Result<(), Setback> {
        let Some(location) = self.start(upload).await? else {
            return Ok(());
        };
        let Descriptor { digest, size, .. } = &upload.descriptor;
        let content = upload.content.as_ref().ok_or_else(|| {
            let cause =
                "its data is nowhere to be had: neither here nor mountable from its repository";
            Setback::Final(Error::other(cause))
        })?;
        let (location, rest) = match *size <= ONE_PIECE {
            true => {
                let content = Arc::clone(content);
                (
                    location,
                    Payload::Stream {
                        content,
                        offset: 0,
                        length: Some(*size),
                    },
                )
            }
            false => {
                let location = self.stream(location, content, 0, *size).await?;
                (location, Payload::Empty)
            }
        };
        self.end(location, *digest, rest).await
    }

    /// Ends an upload with the `rest` of the bytes.
    pub(super) async fn end(
        &self,
        location: Url,
        digest: Digest,
        rest: Payload,
    ) -> Result<(), Setback> {
        let mut url = location;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        // Asking again to end an upload does no harm; sending bytes again might.
        let repeatable = matches!(rest, Payload::Empty);
        let request = Request::new(Method::PUT, url)
            .header(CONTENT_TYPE, OCTETS)
            .payload(rest);
        let response = match repeatable {
            true => self.session.send(&request, self.scopes).await?,
            false => self.once(&request).await?,
        };
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.setback(&request.method, response).await),
        }
    }

    /// Opens an upload, or mounts the blob and needs none.
    async fn start(&self, upload: &Upload) -> Result<Option<Url>, Setback> {
        if let Home::Repository(from) = &upload.home {
            let mut url = self.uploads()?;
            url.query_pairs_mut()
                .append_pair("mount", &upload.descriptor.digest.to_string())
                .append_pair("from", from);
            let request = Request::new(Method::POST, url);
            let response = self.session.send(&request, self.scopes).await?;
            match response.status() {
                StatusCode::CREATED => return Ok(None),
                StatusCode::ACCEPTED => return Ok(Some(self.location(&response)?)),
                // The registry cannot mount, or this user may not read there: upload as if nothing had been.
                _ => {}
            }
        }
        Ok(Some(self.open_upload().await?))
    }

    /// Opens an upload.
    pub(super) async fn open_upload(&self) -> Result<Url, Setback> {
        let request = Request::new(Method::POST, self.uploads()?);
        let response = self.session.send(&request, self.scopes).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(self.location(&response)?),
            // What passes was waited for already.
            _ => Err(Setback::Final(
                self.session.refusal(&request.method, response).await,
            )),
        }
    }

    fn uploads(&self) -> Result<Url> {
        self.session
            .url(&format!("{}/blobs/uploads/", self.repository))
    }

    /// Sends all bytes from `offset` on, going on where the registry says it has got to after an interruption.
    pub(super) async fn stream(
        &self,
        mut location: Url,
        content: &Arc<dyn Content>,
        mut offset: u64,
        size: u64,
    ) -> Result<Url, Setback> {
        let mut attempt = 0;
        loop {
            if offset >= size {
                return Ok(location);
            }
            let length = size.saturating_sub(offset);
            let range = format!("{offset}-{}", size.saturating_sub(1));
            let content = Arc::clone(content);
            let mut request = Request::new(Method::PATCH, location.clone())
                .header(CONTENT_TYPE, OCTETS)
                .payload(Payload::Stream {
                    content,
                    offset,
                    length: Some(length),
                });
            // Some registries refuse a range that is the whole.
            if offset > 0 {
                request = request.header(CONTENT_RANGE, &range);
            }
            let asked = match self.send_piece(&request).await {
                Ok(location) => return Ok(location),
                Err(Setback::Passing(_, asked)) if attempt + 1 < retry::ATTEMPTS => asked,
                // It has been tried often enough: beginning anew would not help.
                Err(Setback::Passing(error, _) | Setback::Final(error)) => {
                    return Err(Setback::Final(error));
                }
            };
            sleep(self.session.http.delay(attempt, asked)).await;
            attempt += 1;
            let (next, received) = self.progress(&location).await?;
            // Whoever gets ahead may try as often as it takes.
            if received > offset {
                attempt = 0;
            }
            (location, offset) = (next, received.min(size));
        }
    }

    /// Sends bytes of an upload, once, and returns where it goes on.
    pub(super) async fn send_piece(&self, request: &Request) -> Result<Url, Setback> {
        let response = self.once(request).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                // Where no new address is named the old one goes on.
                match response.headers().contains_key(LOCATION) {
                    true => Ok(self.location(&response)?),
                    false => Ok(request.url.clone()),
                }
            }
            _ => Err(self.setback(&request.method, response).await),
        }
    }

    /// Where an interrupted upload goes on, and how many bytes the registry has.
    pub(super) async fn progress(&self, location: &Url) -> Result<(Url, u64), Setback> {
        let request = Request::new(Method::GET, location.clone());
        let response = self.session.send(&request, self.scopes).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(self.setback(&request.method, response).await);
        }
        let range = response
            .headers()
            .get(RANGE)
            .and_then(|value| value.to_str().ok());
        let last = range.and_then(|range| range.rsplit_once('-')?.1.parse::<u64>().ok());
        // `0-0` is what registries say for nothing as well as for one byte: sending that byte again is refused by
        // none of them when the count says so, hence count it as nothing.
        let received = last.filter(|last| *last > 0).map_or(0, |last| last + 1);
        let location = self
            .location(&response)
            .unwrap_or_else(|_| location.clone());
        Ok((location, received))
    }

    /// One try, since a body must not be sent twice to the same place unasked.
    async fn once(&self, request: &Request) -> Result<Response> {
        let authorization = self.session.authorization(self.scopes).await?;
        let authorization = authorization.as_ref();
        self.session
            .http
            .once(&self.session.base, request, authorization)
            .await
    }

    /// The address that an upload goes on at; relative or absolute, but never somewhere unsafe.
    fn location(&self, response: &Response) -> Result<Url> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let missing = || Error::new(ErrorKind::Corrupt, "the registry named no upload location");
        let url = response
            .url()
            .join(location.ok_or_else(missing)?)
            .map_err(Error::other)?;
        guard::check(&self.session.base, &url, "upload location")?;
        Ok(url)
    }

    async fn setback(&self, method: &Method, response: Response) -> Setback {
        let (status, asked) = (response.status(), retry::asked(response.headers()));
        // A token may have run out on the way (401); an upload may have been forgotten (404, 416).
        let passing = retry::is_temporary(status) || matches!(status.as_u16(), 401 | 404 | 416);
        let error = self.session.refusal(method, response).await;
        if passing {
            Setback::Passing(error, asked)
        } else {
            Setback::Final(error)
        }
    }
}
