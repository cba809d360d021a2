//! A registry that keeps what an interrupted upload has brought, as the distribution specification has it ("Pushing a blob
//! in chunks"). docker-registry forgets it. In memory, for one client at a time.

use super::http::{self, Head};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running registry. It answers until the process ends.
pub struct KeepingRegistry {
    address: SocketAddr,
    storage: Arc<Mutex<Storage>>,
}

#[derive(Default)]
struct Storage {
    /// By path: blobs and manifests, with the media type of the latter.
    documents: HashMap<String, (String, Vec<u8>)>,
    /// What uploads have brought so far; each has its index as its name.
    uploads: Vec<Vec<u8>>,
    /// Bytes that came in requests to go on with an upload.
    received: u64,
}

impl KeepingRegistry {
    /// Starts a registry at a free port.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let storage = Arc::<Mutex<Storage>>::default();
        let shared = Arc::clone(&storage);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let storage = Arc::clone(&shared);
                // A client that goes away is what this registry is for.
                thread::spawn(move || drop(serve(stream, &storage)));
            }
        });
        Ok(Self { address, storage })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes of blobs came with PATCH.
    pub fn received(&self) -> u64 {
        lock(&self.storage).received
    }
}

fn lock(storage: &Mutex<Storage>) -> std::sync::MutexGuard<'_, Storage> {
    storage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn serve(stream: TcpStream, storage: &Mutex<Storage>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(head) = http::read_head(&mut stream)? else {
        return Ok(());
    };
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let answer = match path.rsplit_once("/blobs/uploads/") {
        Some((repository, "")) => begin(repository, storage),
        Some((_, upload)) => {
            let upload = upload.parse().unwrap_or(usize::MAX);
            match head.method.as_str() {
                "GET" => state(path, upload, 204, storage),
                "PATCH" => go_on(&head, path, upload, &mut stream, storage)?,
                _ => {
                    let rest = http::read_body(&head, &mut stream)?;
                    end(path, query, upload, &rest, storage)
                }
            }
        }
        None if head.method == "PUT" => {
            let body = http::read_body(&head, &mut stream)?;
            let kind = head.header("content-type").unwrap_or_default().to_owned();
            let entry = (path.to_owned(), (kind, body));
            lock(storage).documents.extend([entry]);
            (201, Vec::new(), Vec::new())
        }
        None => document(path, storage),
    };
    let (status, headers, body) = answer;
    http::answer(&head, stream.get_mut(), status, &headers, &body)
}

/// A blob, a manifest, or the registry itself.
fn document(path: &str, storage: &Mutex<Storage>) -> Answer {
    match lock(storage).documents.get(path).cloned() {
        _ if path == "/v2/" => (200, Vec::new(), b"{}".to_vec()),
        Some((kind, body)) => (200, vec![("Content-Type", kind)], body),
        None => (404, Vec::new(), b"{}".to_vec()),
    }
}

fn begin(repository: &str, storage: &Mutex<Storage>) -> Answer {
    let mut storage = lock(storage);
    storage.uploads.push(Vec::new());
    let place = format!("{repository}/blobs/uploads/{}", storage.uploads.len() - 1);
    (202, vec![("Location", place)], Vec::new())
}

/// How far an upload has got.
fn state(path: &str, upload: usize, status: u16, storage: &Mutex<Storage>) -> Answer {
    match lock(storage).uploads.get(upload) {
        Some(bytes) => {
            let range = format!("0-{}", bytes.len().saturating_sub(1));
            let headers = vec![("Location", path.to_owned()), ("Range", range)];
            (status, headers, Vec::new())
        }
        None => (404, Vec::new(), b"{}".to_vec()),
    }
}

/// Takes what comes, and keeps it however the request ends. Chunks have to come in order (416).
fn go_on(
    head: &Head,
    path: &str,
    upload: usize,
    stream: &mut BufReader<TcpStream>,
    storage: &Mutex<Storage>,
) -> io::Result<Answer> {
    let range = head.header("content-range");
    let start = range.and_then(|range| range.split_once('-')?.0.parse().ok());
    let before = lock(storage).uploads.get(upload).map(Vec::len);
    if before != Some(start.unwrap_or_default()) {
        http::read_body(head, stream)?;
        return Ok(state(path, upload, 416, storage));
    }
    let mut left = head.length();
    let mut piece = [0; 64 << 10];
    while left > 0 {
        let length = stream.by_ref().take(left).read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= length as u64;
        let mut storage = lock(storage);
        storage.received += length as u64;
        if let (Some(bytes), Some(piece)) = (storage.uploads.get_mut(upload), piece.get(..length)) {
            bytes.extend_from_slice(piece);
        }
    }
    Ok(state(path, upload, 202, storage))
}

/// Ends an upload with the bytes that are left; what has another digest than it should is refused.
fn end(path: &str, query: &str, upload: usize, rest: &[u8], storage: &Mutex<Storage>) -> Answer {
    let mut storage = lock(storage);
    let Some(bytes) = storage.uploads.get_mut(upload).map(std::mem::take) else {
        return (404, Vec::new(), b"{}".to_vec());
    };
    let bytes = [&bytes, rest].concat();
    let hex: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if query != format!("digest=sha256%3A{hex}") {
        return (400, Vec::new(), b"{}".to_vec());
    }
    let repository = path.split("/blobs/").next().unwrap_or_default();
    let place = format!("{repository}/blobs/sha256:{hex}");
    let kind = "application/octet-stream".to_owned();
    storage.documents.insert(place.clone(), (kind, bytes));
    (201, vec![("Location", place)], Vec::new())
}
