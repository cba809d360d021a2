//! TLS and proxies: the system's certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`), Docker's certs.d directories
//! with client certificates, and no verification for registries marked insecure.

use crate::store::tls::{AnyCertificate, chain, key};
use lifecycle_core::error::{Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates for single registries, out of directories such as Docker's `certs.d`, which have a directory per
/// registry: `*.crt` are authorities, `*.cert` with `*.key` is a client certificate.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    dirs: Vec<PathBuf>,
    known: BTreeMap<String, Result<Arc<Own>, String>>,
}

impl Certificates {
    /// Those below `dirs`; a later directory's client certificate counts.
    pub fn below(dirs: Vec<PathBuf>) -> Self {
        let known = BTreeMap::new();
        Self { dirs, known }
    }

    /// Those of Docker and Podman.
    pub fn standard() -> Self {
        let dirs = ["/etc/docker/certs.d", "/etc/containers/certs.d"];
        Self::below(dirs.map(PathBuf::from).to_vec())
    }

    /// Reads what is there for `registries` now, since keys may be readable for root alone. A broken file shows when the
    /// registry is asked for something. What other registries have is read then, too.
    #[must_use]
    pub fn read_for<'a>(mut self, registries: impl IntoIterator<Item = &'a str>) -> Self {
        for registry in registries {
            let own = self.find(registry).map_err(|error| error.to_string());
            self.known.insert(registry.to_owned(), own);
        }
        self
    }

    fn find(&self, registry: &str) -> Result<Arc<Own>> {
        match self.known.get(registry) {
            Some(Ok(own)) => Ok(Arc::clone(own)),
            Some(Err(cause)) => Err(Error::other(cause)),
            None => {
                let mut dirs = self.dirs.iter().map(|dir| dir.join(registry));
                let own = dirs.try_fold(Own::default(), |own, dir| own.and(&dir))?;
                Ok(Arc::new(own))
            }
        }
    }
}

/// The client's TLS settings for `registry`.
///
/// # Errors
/// One of the registry's own certificates or keys is broken.
pub(super) fn config(
    registry: &str,
    insecure: bool,
    certificates: &Certificates,
) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?;
    let own = certificates.find(registry)?;
    let builder = match insecure {
        true => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        false => {
            let mut roots = RootCertStore::empty();
            // Unreadable system certificates show up as a failed handshake that names the issuer.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(own.authorities.iter().cloned());
            versions.with_root_certificates(roots)
        }
    };
    match &own.client {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(Error::other),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// What a registry has of its own.
#[derive(Debug, Default)]
struct Own {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Own {
    /// With what is in `dir`, if there is such a directory.
    fn and(mut self, dir: &Path) -> Result<Self> {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return Ok(self);
        };
        let mut files: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        for path in files {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.authorities.extend(chain(&path)?),
                Some("cert") => {
                    self.client = Some((chain(&path)?, key(&path.with_extension("key"))?));
                }
                _ => {}
            }
        }
        Ok(self)
    }
}
