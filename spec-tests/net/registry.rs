//! Debian's docker-registry, with its storage in a temporary directory.

use super::certificates::Authority;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user whom [`Access::Htpasswd`] lets in.
pub const USER: &str = "user";
/// The user's password.
pub const PASSWORD: &str = "secret";
/// `user:secret` as registries want it (bcrypt).
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const START: Duration = Duration::from_secs(20);

/// Whom a registry lets in.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`].
    Htpasswd,
    /// Who has a token of the server at this address, signed by this authority.
    Tokens(SocketAddr, &'a Authority),
}

/// How a registry is reached.
#[derive(Clone, Copy)]
pub enum Transport<'a> {
    /// Plain HTTP.
    Http,
    /// TLS with a certificate of this authority.
    Tls(&'a Authority),
    /// The same, and clients have to have one of it as well.
    MutualTls(&'a Authority),
}

/// A running registry; it ends when the value drops.
pub struct Registry {
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Registry {
    /// A registry that everybody may use.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn open() -> io::Result<Self> {
        Self::start(Access::Open, Transport::Http)
    }

    /// Starts a registry at a free port of 127.0.0.1.
    ///
    /// # Errors
    /// docker-registry (Debian's package) is missing, or ends before it listens.
    pub fn start(access: Access<'_>, transport: Transport<'_>) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let path = |name: &str| directory.path().join(name);
        let config = configuration(directory.path(), access, transport)?;
        fs::write(path("config.yml"), config)?;
        let log = fs::File::create(path("log"))?;
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::other(format!("docker-registry: {error}")))?;
        let deadline = Instant::now() + START;
        let address = loop {
            let log = fs::read_to_string(path("log"))?;
            if let Some(address) = listening(&log) {
                break address;
            }
            if process.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = process.kill();
                let _ = process.wait();
                return Err(io::Error::other(format!("docker-registry: {log}")));
            }
            thread::sleep(Duration::from_millis(10));
        };
        Ok(Self {
            process,
            address,
            directory,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has answered.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn requests(&self) -> io::Result<usize> {
        let log = fs::read_to_string(self.directory.path().join("log"))?;
        // The access log has the request line in quotes; other lines escape them.
        Ok(log
            .lines()
            .filter(|line| line.contains(" HTTP/1.1\" "))
            .count())
    }

    /// Where it keeps its blobs: `sha256/<two digits>/<digest>/data`.
    pub fn blobs(&self) -> std::path::PathBuf {
        let place = "storage/docker/registry/v2/blobs";
        self.directory.path().join(place)
    }

    /// Makes a blob vanish from the storage.
    ///
    /// # Errors
    /// There is none of this digest (`sha256:...`).
    pub fn lose_blob(&self, digest: &str) -> io::Result<()> {
        let hex = digest.trim_start_matches("sha256:");
        let place = format!("sha256/{}/{hex}", hex.get(..2).unwrap_or_default());
        fs::remove_dir_all(self.blobs().join(place))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Errors mean that it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(dir: &Path, access: Access<'_>, transport: Transport<'_>) -> io::Result<String> {
    let place = |name: &str| dir.join(name).display().to_string();
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n",
        place("storage")
    );
    match access {
        Access::Open => {}
        Access::Htpasswd => {
            fs::write(dir.join("htpasswd"), HTPASSWD)?;
            let path = place("htpasswd");
            text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {path}\n");
        }
        Access::Tokens(server, authority) => {
            text += &format!(
                "auth:\n  token:\n    realm: http://{server}/token\n    service: test\n    issuer: test\n    rootcertbundle: {}\n",
                authority.certificate().display()
            );
        }
    }
    text += "http:\n  addr: 127.0.0.1:0\n";
    let authority = match transport {
        Transport::Http => return Ok(text),
        Transport::Tls(authority) | Transport::MutualTls(authority) => authority,
    };
    let identity = authority.issue("server")?;
    text += &format!(
        "  tls:\n    certificate: {}\n    key: {}\n",
        identity.certificate.display(),
        identity.key.display()
    );
    if let Transport::MutualTls(authority) = transport {
        text += &format!(
            "    clientcas:\n      - {}\n",
            authority.certificate().display()
        );
    }
    Ok(text)
}

/// The address in `listening on 127.0.0.1:40000`, which TLS follows with `, tls`.
fn listening(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    let end = rest.find(['"', ',', ' ', '\n'])?;
    rest.get(..end)?.parse().ok()
}
