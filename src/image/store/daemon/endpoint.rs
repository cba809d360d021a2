//! Where the daemon is, and what has to be opened while the process still has the rights it was started with.
//!
//! The socket of a daemon belongs to root as a rule, and phases drop root. A connection that is open by then stays
//! usable, so a few are opened before: plain sockets, since no thread may run yet, and each has already carried a
//! request, since daemons close connections on which the first one is slow to come.

use crate::store::tls::{AnyCertificate, chain, key};
use lifecycle_core::error::{Error, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a daemon listens if nobody says anything else.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How many connections are kept for later. One request at a time is the rule; reading an image's layers and giving
/// that up half-way costs a connection, which happens at most once each for run image and previous image.
const KEPT: usize = 4;
/// How long a daemon may take to answer a first ping.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// More than any daemon answers to a ping, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What the environment says about the daemon; the names are those of Docker's own client.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `DOCKER_HOST`: `unix://` and a path, `tcp://` or `http(s)://` and an authority.
    pub host: Option<String>,
    /// `DOCKER_CERT_PATH`: the directory with `ca.pem`, `cert.pem` and `key.pem`; TLS is spoken if there is one.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`: whether the daemon's certificate is checked.
    pub tls_verify: bool,
    /// `DOCKER_API_VERSION`, which rules out negotiation.
    pub api_version: Option<String>,
}

/// A daemon that can be connected to from now on.
pub struct Endpoint {
    /// The host as it was given, for messages.
    host: String,
    pub(super) address: Address,
    pub(super) api_version: Option<String>,
    /// Open connections, where the user that the phase will run as may not be let in any more.
    pub(super) kept: Vec<UnixStream>,
    /// Why there is none of them; later the user's lack of rights would be all that shows.
    pub(super) refused: Option<io::Error>,
}

pub(super) enum Address {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    Tls(String, ServerName<'static>, Arc<ClientConfig>),
}

impl Endpoint {
    /// Settles where the daemon is, and reads TLS files. Connections are opened where `keeps_connections` says that
    /// the process is about to change its user; a daemon that cannot be reached now is an error of whoever needs it.
    /// Starts no thread.
    ///
    /// # Errors
    /// The host is malformed, or a TLS file cannot be used.
    pub fn prepare(settings: &Settings, keeps_connections: bool) -> Result<Self> {
        let host = settings.host.clone().filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let address = address(&host, settings)?;
        let (mut kept, mut refused) = (Vec::new(), None);
        if let (Address::Unix(path), true) = (&address, keeps_connections) {
            while kept.len() < KEPT && refused.is_none() {
                match keep(path) {
                    Ok(socket) => kept.push(socket),
                    Err(error) => refused = Some(error),
                }
            }
        }
        Ok(Self {
            host,
            address,
            api_version: settings.api_version.clone().filter(|text| !text.is_empty()),
            kept,
            refused,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

fn address(host: &str, settings: &Settings) -> Result<Address> {
    let malformed = || Error::other(format!("unable to parse docker host `{host}`"));
    let (scheme, rest) = host.split_once("://").ok_or_else(malformed)?;
    let authority = rest.trim_end_matches('/');
    match scheme {
        "unix" if !rest.is_empty() => Ok(Address::Unix(PathBuf::from(rest))),
        "tcp" | "http" | "https" if !authority.is_empty() && !authority.contains('/') => {
            let secure = scheme == "https" || settings.cert_path.is_some();
            let default_port = if secure { 2376 } else { 2375 };
            let (name, authority) = match authority.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (name, authority.to_owned())
                }
                _ => (authority, format!("{authority}:{default_port}")),
            };
            if !secure {
                return Ok(Address::Tcp(authority));
            }
            let name = name.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(name.to_owned()).map_err(|_| malformed())?;
            Ok(Address::Tls(authority, name, Arc::new(tls(settings)?)))
        }
        "unix" | "tcp" | "http" | "https" => Err(malformed()),
        _ => Err(Error::other(format!(
            "docker host `{host}`: scheme '{scheme}' is not supported"
        ))),
    }
}

fn tls(settings: &Settings) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?;
    let dir = settings.cert_path.as_deref();
    let builder = if settings.tls_verify || dir.is_none() {
        let mut roots = RootCertStore::empty();
        match dir {
            Some(dir) => drop(roots.add_parsable_certificates(chain(&dir.join("ca.pem"))?)),
            None => drop(
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
            ),
        }
        builder.with_root_certificates(roots)
    } else {
        let any = Arc::new(AnyCertificate(provider));
        builder.dangerous().with_custom_certificate_verifier(any)
    };
    let Some(dir) = dir else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(chain(&dir.join("cert.pem"))?, key(&dir.join("key.pem"))?)
        .map_err(Error::other)
}

/// Connects, and pings once.
fn keep(path: &Path) -> io::Result<UnixStream> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PING_LIMIT))?;
    socket.set_write_timeout(Some(PING_LIMIT))?;
    // An answer to HEAD has no body.
    socket.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    // Byte by byte, as nothing behind the head may be swallowed.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: std::result::Result<&str, &str>) {
        let settings = Settings {
            host: Some(host.to_owned()),
            ..Settings::default()
        };
        let found = Endpoint::prepare(&settings, false).map(|endpoint| match endpoint.address {
            Address::Unix(path) => path.display().to_string(),
            Address::Tcp(authority) => authority,
            Address::Tls(authority, ..) => format!("{authority} with TLS"),
        });
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{host}");
    }

    #[test]
    fn hosts_are_read_as_dockers_client_does() {
        check("", Ok("/var/run/docker.sock"));
        check(
            "unix:///run/user/1000/podman.sock",
            Ok("/run/user/1000/podman.sock"),
        );
        check("tcp://127.0.0.1:2375", Ok("127.0.0.1:2375"));
        check("tcp://docker", Ok("docker:2375"));
        check("http://docker:80/", Ok("docker:80"));
        check("tcp://[::1]:2375", Ok("[::1]:2375"));
        check("https://docker", Ok("docker:2376 with TLS"));
        check("bogus", Err("unable to parse docker host `bogus`"));
        check("unix://", Err("unable to parse docker host `unix://`"));
        check("tcp://", Err("unable to parse docker host `tcp://`"));
        check(
            "ssh://host",
            Err("docker host `ssh://host`: scheme 'ssh' is not supported"),
        );
    }
}
