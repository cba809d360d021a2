//! A proxy in front of a registry or daemon that counts requests, and breaks those that a test wants broken. It is also one
//! that clients know of: asked to CONNECT, it lets them through.

pub use super::http::Head;
use super::{http, relay};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The proxy answers itself: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection breaks after so many bytes of the request's body; the registry sees the same.
    CutUpload(u64),
    /// The registry does what it shall, but its answer is lost.
    LoseAnswer,
    /// The registry does what it shall, but there is no answer for a time, and then none.
    Silence(Duration),
    /// The connection breaks after so many bytes of the answer's body.
    CutDownload(u64),
    /// Nothing more comes after so many bytes of the answer's body, for a time.
    Stall(u64, Duration),
    /// The answer goes through this first: status, headers, body.
    Edit(fn(&mut Reply)),
    /// The registry is asked for this path and query instead.
    Retarget(String),
}

/// A registry's answer, to be edited.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers; a missing `Content-Length` is put in unless the body is in chunks.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Fault {
    /// An answer without headers.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::Answer(307, vec![("Location", to.to_owned())], Vec::new())
    }
}

type Rule = dyn Fn(&Head) -> Option<Fault> + Send + Sync;

/// A running proxy; it accepts nothing more when the value drops.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    rule: Box<Rule>,
    seen: Mutex<Vec<Head>>,
    uploaded: AtomicU64,
    ended: AtomicUsize,
}

impl Proxy {
    /// Starts a proxy to `upstream` at a free port; `rule` says what breaks.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(
        upstream: SocketAddr,
        rule: impl Fn(&Head) -> Option<Fault> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            rule: Box::new(rule),
            seen: Mutex::default(),
            uploaded: AtomicU64::new(0),
            ended: AtomicUsize::new(0),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.ended.load(Ordering::Relaxed) > 0 {
                    return;
                }
                let server = Arc::clone(&server);
                // Errors are what the faults are for: clients and servers go away.
                thread::spawn(move || drop(serve(&server, stream)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Head> {
        let seen = self.shared.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes of requests' bodies it has passed on so far.
    pub fn uploaded(&self) -> u64 {
        self.shared.uploaded.load(Ordering::Relaxed)
    }

    /// How many requests of `method` had a target with `part` in it.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let seen = self.seen();
        let matching = seen
            .iter()
            .filter(|head| head.method == method && head.target.contains(part));
        matching.count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(1, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// A rule that breaks the first `times` requests of `method` whose target contains `part`.
pub fn first(
    times: usize,
    method: &'static str,
    part: &'static str,
    fault: Fault,
) -> impl Fn(&Head) -> Option<Fault> + Send + Sync {
    let broken = AtomicUsize::new(0);
    move |head| {
        let matches = head.method == method && head.target.contains(part);
        (matches && broken.fetch_add(1, Ordering::Relaxed) < times).then(|| fault.clone())
    }
}

fn serve(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    let mut client = BufReader::new(stream);
    let Some(head) = http::read_head(&mut client)? else {
        return Ok(());
    };
    let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.push(head.clone());
    drop(seen);
    match (shared.rule)(&head) {
        Some(Fault::Answer(status, headers, body)) => {
            http::read_body(&head, &mut client)?;
            http::answer(&head, client.get_mut(), status, &headers, &body)
        }
        Some(Fault::CutUpload(bytes)) => cut_upload(shared, &head, client, bytes),
        None if head.method == "CONNECT" => {
            let established = "HTTP/1.1 200 Connection established\r\n\r\n";
            client.get_mut().write_all(established.as_bytes())?;
            relay::pass(client.into_inner(), shared.upstream)
        }
        Some(Fault::Retarget(target)) => {
            let mut head = head;
            head.target = target;
            forward(shared, &head, client, None)
        }
        fault => forward(shared, &head, client, fault),
    }
}

fn cut_upload(
    shared: &Shared,
    head: &Head,
    mut client: BufReader<TcpStream>,
    bytes: u64,
) -> io::Result<()> {
    let mut upstream = TcpStream::connect(shared.upstream)?;
    upstream.write_all(head.forwarded().as_bytes())?;
    io::copy(&mut client.by_ref().take(bytes), &mut upstream)?;
    upstream.flush()?;
    upstream.shutdown(Shutdown::Both)?;
    client.get_ref().shutdown(Shutdown::Both)
}

fn forward(
    shared: &Arc<Shared>,
    head: &Head,
    client: BufReader<TcpStream>,
    fault: Option<Fault>,
) -> io::Result<()> {
    let upstream = TcpStream::connect(shared.upstream)?;
    let mut to_upstream = upstream.try_clone()?;
    let mut to_client = client.get_ref().try_clone()?;
    to_upstream.write_all(head.forwarded().as_bytes())?;
    let mut counted = Counted {
        client,
        shared: Arc::clone(shared),
    };
    thread::spawn(move || io::copy(&mut counted, &mut to_upstream));
    let mut answer = BufReader::new(upstream);
    let result = reply(head, &mut answer, &mut to_client, fault);
    to_client.shutdown(Shutdown::Both)?;
    answer.get_ref().shutdown(Shutdown::Both)?;
    result
}

/// A request's body.
struct Counted {
    client: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.client.read(buffer)?;
        let counter = &self.shared.uploaded;
        counter.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Brings the answer to the client, or what the fault leaves of it.
fn reply(
    head: &Head,
    answer: &mut BufReader<TcpStream>,
    client: &mut TcpStream,
    fault: Option<Fault>,
) -> io::Result<()> {
    let Some(fault) = fault else {
        return io::copy(answer, client).map(drop);
    };
    let mut status = String::new();
    io::BufRead::read_line(answer, &mut status)?;
    let headers = http::read_headers(answer)?;
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let text = status.clone() + &lines.collect::<String>() + "\r\n";
    match fault {
        Fault::CutDownload(bytes) => {
            client.write_all(text.as_bytes())?;
            io::copy(&mut answer.take(bytes), client).map(drop)
        }
        Fault::Stall(bytes, time) => {
            client.write_all(text.as_bytes())?;
            io::copy(&mut answer.take(bytes), client)?;
            thread::sleep(time);
            Ok(())
        }
        Fault::Silence(time) => {
            thread::sleep(time);
            Ok(())
        }
        Fault::Edit(edit) => {
            let mut body = Vec::new();
            answer.read_to_end(&mut body)?;
            let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
            let mut reply = Reply {
                status: status.unwrap_or_default(),
                headers,
                body,
            };
            edit(&mut reply);
            let headers: Vec<_> = reply
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            http::answer(head, client, reply.status, &headers, &reply.body)
        }
        Fault::LoseAnswer | Fault::Answer(..) | Fault::CutUpload(_) | Fault::Retarget(_) => Ok(()),
    }
}
