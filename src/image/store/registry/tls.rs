//! TLS and proxies: the system's certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`), Docker's certs.d directories
//! with client certificates, and no verification for registries marked insecure.

use crate::store::tls::{AnyCertificate, chain, key};
use lifecycle_core::error::{Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::Arc;

/// The client's TLS settings for `registry`, which may have a directory of its own in each of `certs_dirs`.
///
/// # Errors
/// A file in the registry's certs.d directory is broken.
pub(super) fn config(
    registry: &str,
    insecure: bool,
    certs_dirs: &[PathBuf],
) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?;
    let dirs = certs_dirs.iter().map(|dir| dir.join(registry));
    let own = Certificates::read(dirs)?;
    let builder = match insecure {
        true => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        false => {
            let mut roots = RootCertStore::empty();
            // Unreadable system certificates show up as a failed handshake that names the issuer.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(own.authorities);
            versions.with_root_certificates(roots)
        }
    };
    match own.client {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(Error::other),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// What certs.d has for a registry: `*.crt` authorities, `*.cert` with `*.key` as client certificate.
#[derive(Default)]
struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Certificates {
    fn read(dirs: impl Iterator<Item = PathBuf>) -> Result<Self> {
        let mut found = Self::default();
        for dir in dirs {
            let Ok(entries) = std::fs::read_dir(&dir) else {
                continue;
            };
            let mut files: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            files.sort();
            for path in files {
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => found.authorities.extend(chain(&path)?),
                    Some("cert") => {
                        found.client = Some((chain(&path)?, key(&path.with_extension("key"))?));
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}
