//! One request and its answer: time limits, redirects, streamed bodies. No authentication, no retries.

use super::error::{operation, unanswered};
use super::{Network, Patience, guard, retry, tls};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Body, Method, StatusCode, Url};
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

pub(super) use reqwest::Response;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 10;
const CHUNK: usize = 128 << 10;
const CHUNKS_AHEAD: usize = 4;

/// Bytes to send that can be opened again from any offset.
pub(super) trait Content: Send + Sync {
    /// Opens the bytes behind `offset`.
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>>;
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum Payload {
    /// Nothing.
    Empty,
    /// A small document.
    Bytes(Vec<u8>),
    /// `length` bytes of `content` from `offset` on, or all that are to come.
    Stream {
        content: Arc<dyn Content>,
        offset: u64,
        length: Option<u64>,
    },
}

/// A request without credentials.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
        }
    }

    /// With a header. Values come from this program or from checked digests, so a bad one is left out.
    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }
}

/// A client with a registry's TLS settings and its patience.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    patience: Patience,
    /// Bytes of blobs that were handed to the network.
    sent: Arc<AtomicU64>,
}

impl Http {
    pub(super) fn new(registry: &str, insecure: bool, network: &Network) -> Result<Self> {
        let context = || format!("prepare TLS for {registry}");
        let tls = tls::config(registry, insecure, &network.certificates).context(context)?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("lifecycle/", env!("CARGO_PKG_VERSION")));
        // Proxies are for the outside; Go's rule.
        let builder = if is_loopback(registry) {
            builder.no_proxy()
        } else {
            builder
        };
        let client = builder.build().map_err(Error::other).context(context)?;
        Ok(Self {
            client,
            patience: network.patience,
            sent: Arc::clone(&network.sent),
        })
    }

    /// How long to wait before the try after `attempt` (from 0).
    pub(super) fn delay(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        retry::delay(self.patience.pause, attempt, asked)
    }

    /// Sends `request`, following redirects of GET and HEAD. `authorization` goes to the origin of `base` alone.
    pub(super) async fn once(
        &self,
        base: &Url,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response> {
        let mut url = request.url.clone();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(base, request, &url, authorization).await?;
            let follows = [Method::GET, Method::HEAD].contains(&request.method);
            let Some(target) = redirect(&response).filter(|_| follows) else {
                return Ok(response);
            };
            let target = url.join(&target).map_err(Error::other);
            let target = target.context(|| operation(&request.method, &url))?;
            guard::check(base, &target, "redirect").context(|| operation(&request.method, &url))?;
            url = target;
        }
        // Another try would go the same way.
        let cause = Error::new(ErrorKind::Corrupt, "too many redirects");
        Err(cause.in_context(operation(&request.method, &request.url)))
    }

    async fn send(
        &self,
        base: &Url,
        request: &Request,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response> {
        let sent = Arc::new(AtomicU64::new(0));
        let counters = [Arc::clone(&sent), Arc::clone(&self.sent)];
        let mut builder = self.client.request(request.method.clone(), url.clone());
        builder = builder.headers(request.headers.clone());
        if let Some(value) = authorization.filter(|_| guard::same_origin(base, url)) {
            builder = builder.header(AUTHORIZATION, value);
        }
        builder = match &request.payload {
            Payload::Empty if [Method::GET, Method::HEAD].contains(&request.method) => builder,
            Payload::Empty => builder.header(CONTENT_LENGTH, 0),
            Payload::Bytes(bytes) => builder.body(bytes.clone()),
            Payload::Stream {
                content,
                offset,
                length,
            } => {
                if let Some(length) = length {
                    builder = builder.header(CONTENT_LENGTH, *length);
                }
                let length = length.unwrap_or(u64::MAX);
                builder.body(stream(Arc::clone(content), *offset, length, counters))
            }
        };
        let mut answer = Box::pin(builder.send());
        let mut before = 0;
        loop {
            match timeout(self.patience.idle, &mut answer).await {
                Ok(answer) => {
                    return answer.map_err(|error| unanswered(&request.method, url, &error));
                }
                // As long as bytes leave, the peer is not silent.
                Err(_) if sent.load(Ordering::Relaxed) > before => {
                    before = sent.load(Ordering::Relaxed);
                }
                Err(_) => {
                    let cause = Error::other(format!("no answer for {:?}", self.patience.idle));
                    return Err(cause.in_context(operation(&request.method, url)));
                }
            }
        }
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn chunk(&self, response: &mut Response) -> Result<Option<Vec<u8>>> {
        let operation = || operation(&Method::GET, response.url());
        let (silent, failed) = (operation(), operation());
        match timeout(self.patience.idle, response.chunk()).await {
            Ok(chunk) => {
                let chunk = chunk.map_err(|error| Error::other(error).in_context(failed))?;
                Ok(chunk.map(Vec::from))
            }
            Err(_) => {
                let cause = Error::other(format!("nothing received for {:?}", self.patience.idle));
                Err(cause.in_context(silent))
            }
        }
    }

    /// A whole body of at most `limit` bytes.
    pub(super) async fn body(&self, mut response: Response, limit: u64) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            body.extend(chunk);
            if body.len() as u64 > limit {
                let cause = Error::new(ErrorKind::Corrupt, format!("more than {limit} bytes"));
                return Err(cause.in_context(operation(&Method::GET, response.url())));
            }
        }
        Ok(body)
    }
}

fn redirect(response: &Response) -> Option<String> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    redirects
        .contains(&response.status())
        .then(|| location.to_owned())
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || literal.is_ok_and(|ip| ip.is_loopback())
}

/// A body that is read on a thread for blocking work, a few chunks ahead of the network.
fn stream(
    content: Arc<dyn Content>,
    offset: u64,
    length: u64,
    counters: [Arc<AtomicU64>; 2],
) -> Body {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Vec<u8>>>(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut reader = match content.open(offset) {
            Ok(reader) => reader.take(length),
            Err(error) => {
                let _ = sender.blocking_send(Err(std::io::Error::other(error)));
                return;
            }
        };
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
            let piece = match read {
                Ok(0) => return,
                Ok(read) => {
                    for counter in &counters {
                        counter.fetch_add(read as u64, Ordering::Relaxed);
                    }
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    Body::wrap_stream(ReceiverStream::new(receiver))
}
