//! Connections to the daemon, under bollard: which socket a request goes through, and in which API version.

use super::endpoint::{Address, Endpoint};
use bollard::BollardRequest;
use bollard::errors::Error as DockerError;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, OnceCell};
use tokio_rustls::TlsConnector;

/// The API that every request here is part of: 20.10's, which Podman speaks as well.
const OLDEST_API: (u32, u32) = (1, 41);
/// The newest API that bollard knows.
const NEWEST_API: (u32, u32) = (1, 53);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How often idle connections are used that could not be opened again: daemons close them after five minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

type Body = UnsyncBoxBody<Bytes, Box<dyn StdError + Send + Sync>>;
type Sender = SendRequest<Body>;

/// The connections of one store.
pub(super) struct Connections {
    endpoint: Endpoint,
    open: Mutex<Vec<Sender>>,
    api_version: OnceCell<String>,
}

impl Connections {
    /// Takes over the connections that `endpoint` kept. Needs the runtime on which they will live.
    ///
    /// # Errors
    /// The operating system fails.
    pub(super) async fn new(mut endpoint: Endpoint) -> io::Result<Arc<Self>> {
        let mut open = Vec::new();
        for socket in std::mem::take(&mut endpoint.kept) {
            // What the daemon closed meanwhile is left out.
            open.extend(talk(UnixStream::from_std(socket)?).await.ok());
        }
        let keeps_alive = !open.is_empty();
        let connections = Arc::new(Self {
            endpoint,
            open: Mutex::new(open),
            api_version: OnceCell::new(),
        });
        if keeps_alive {
            let connections = Arc::downgrade(&connections);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(KEEP_ALIVE).await;
                    let Some(connections) = connections.upgrade() else {
                        return;
                    };
                    connections.keep_alive().await;
                }
            });
        }
        Ok(connections)
    }

    /// Sends a request of bollard's in the negotiated API version.
    ///
    /// # Errors
    /// The daemon cannot be reached, is too old, or goes away.
    pub(super) async fn send(
        &self,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, DockerError> {
        let version = self
            .api_version
            .get_or_try_init(|| self.negotiate())
            .await?;
        let path = request.uri().path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let uri = format!("/v{version}{path}").parse::<Uri>();
        let mut request = request.map(|body| body.boxed_unsync());
        *request.uri_mut() = uri.map_err(io::Error::other)?;
        self.exchange(request).await
    }

    async fn exchange(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, DockerError> {
        // Docker's own client names a host that is no address, so that sockets need none.
        let host = HeaderValue::from_static("docker");
        request.headers_mut().insert(HOST, host);
        let mut sender = self.connection().await?;
        let response = sender.send_request(request).await?;
        self.open.lock().await.push(sender);
        Ok(response)
    }

    /// A connection that is free: one of those that are open, else a new one, else the first that gets free.
    async fn connection(&self) -> io::Result<Sender> {
        let mut open = self.open.lock().await;
        open.retain(|sender| !sender.is_closed());
        if let Some(free) = open.iter().position(Sender::is_ready) {
            return Ok(open.swap_remove(free));
        }
        let refused = match self.connect().await {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
            result => return result,
        };
        while let Some(mut busy) = open.pop() {
            if busy.ready().await.is_ok() {
                return Ok(busy);
            }
        }
        Err(match &self.endpoint.refused {
            Some(earlier) => io::Error::new(earlier.kind(), earlier.to_string()),
            None => refused,
        })
    }

    async fn connect(&self) -> io::Result<Sender> {
        let connect = async {
            match &self.endpoint.address {
                Address::Unix(path) => talk(UnixStream::connect(path).await?).await,
                Address::Tcp(authority) => talk(tcp(authority).await?).await,
                Address::Tls(authority, name, config) => {
                    let connector = TlsConnector::from(Arc::clone(config));
                    let stream = tcp(authority).await?;
                    talk(connector.connect(name.clone(), stream).await?).await
                }
            }
        };
        match tokio::time::timeout(CONNECT_LIMIT, connect).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The newest version that both sides know.
    async fn negotiate(&self) -> Result<String, DockerError> {
        if let Some(version) = &self.endpoint.api_version {
            return Ok(version.trim_start_matches('v').to_owned());
        }
        let response = self.exchange(ping()).await?;
        let status = response.status();
        let header = response.headers().get("api-version");
        let text = header.and_then(|value| value.to_str().ok());
        let version = text.and_then(|text| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        let message = match version {
            Some(version) if version >= OLDEST_API => {
                let (major, minor) = version.min(NEWEST_API);
                return Ok(format!("{major}.{minor}"));
            }
            Some((major, minor)) => {
                let (oldest, of_it) = OLDEST_API;
                format!(
                    "API version {major}.{minor} is too old: at least {oldest}.{of_it} is needed"
                )
            }
            None => format!("a ping is answered with status {status} and without an API version"),
        };
        Err(DockerError::DockerResponseServerError {
            status_code: status.as_u16(),
            message,
        })
    }

    async fn keep_alive(&self) {
        let mut open = self.open.lock().await;
        for sender in open.iter_mut().filter(|sender| sender.is_ready()) {
            // A connection that broke is sorted out when somebody wants it.
            let _ = sender.send_request(ping()).await;
        }
    }
}

async fn tcp(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn talk(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> io::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its failure shows up in the request that is under way.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

fn ping() -> Request<Body> {
    let empty = Empty::new().map_err(|never: Infallible| match never {});
    let mut request = Request::new(empty.boxed_unsync());
    *request.method_mut() = Method::HEAD;
    *request.uri_mut() = Uri::from_static("/_ping");
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("docker"));
    request
}
