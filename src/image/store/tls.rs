//! Certificates and keys, for every kind of store.

use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

const MAX_PEM: u64 = 1 << 20;

/// The certificates of a PEM file.
///
/// # Errors
/// It cannot be read, or is malformed.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = file::read_bytes(path, MAX_PEM)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(Error::other)
        .context(|| format!("read {}", path.display()))
}

/// The private key of a PEM file.
///
/// # Errors
/// It cannot be read, or is malformed.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let pem = file::read_bytes(path, MAX_PEM)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(Error::other)
        .context(|| format!("read {}", path.display()))
}

/// Accepts every certificate: the platform said so.
#[derive(Debug)]
pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
