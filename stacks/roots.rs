//! Mozilla's root certificates, as the pinned crate has them: a machine's own would make other images on every machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A PEM bundle as `ca-certificates.crt` of distributions.
pub(crate) fn pem() -> String {
    let mut bundle = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            bundle.extend(line.iter().copied().map(char::from));
            bundle.push('\n');
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}
