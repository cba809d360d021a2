//! Passes connections on without a look at what they carry, and counts them.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A running relay. It passes connections on until the process ends.
pub struct Relay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Relay {
    /// Starts a relay to `upstream` at a free port.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                // Clients and servers go away when they like.
                thread::spawn(move || drop(pass(stream, upstream)));
            }
        });
        Ok(Self {
            address,
            connections,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Passes bytes between a client and `upstream`, both ways, until one of them ends.
pub(crate) fn pass(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(upstream)?;
    let (mut to_client, mut from_upstream) = (client.try_clone()?, upstream.try_clone()?);
    let back = thread::spawn(move || {
        let result = io::copy(&mut from_upstream, &mut to_client);
        to_client.shutdown(Shutdown::Both).and(result)
    });
    let result = io::copy(&mut client, &mut upstream);
    upstream.shutdown(Shutdown::Write)?;
    let _ = back.join();
    result.map(drop)
}
