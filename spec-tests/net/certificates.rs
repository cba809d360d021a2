//! A private certificate authority, made by openssl.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A certificate authority in a temporary directory.
pub struct Authority {
    directory: TempDir,
}

/// A certificate with its key, in PEM files.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// openssl is missing or fails.
    pub fn new() -> io::Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path();
        openssl(
            path,
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
        )?;
        Ok(Self { directory })
    }

    /// Its own certificate, which clients have to trust.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// A certificate for 127.0.0.1, localhost and registry.example, for servers and clients.
    ///
    /// # Errors
    /// openssl fails.
    pub fn issue(&self, name: &str) -> io::Result<Identity> {
        let path = self.directory.path();
        let extensions = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.example\n\
                          basicConstraints=CA:false\n";
        fs::write(path.join("extensions"), extensions)?;
        openssl(
            path,
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ),
        )?;
        openssl(
            path,
            &format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
            ),
        )?;
        Ok(Identity {
            certificate: path.join(format!("{name}.crt")),
            key: path.join(format!("{name}.key")),
        })
    }

    /// Signs `text` with the authority's key (RSA, SHA-256).
    ///
    /// # Errors
    /// openssl fails.
    pub(crate) fn sign(&self, text: &str) -> io::Result<Vec<u8>> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        let path = file.path().display();
        openssl(
            self.directory.path(),
            &format!("dgst -sha256 -sign ca.key {path}"),
        )
    }
}

/// Runs openssl in a directory and returns what it prints.
fn openssl(directory: &Path, words: &str) -> io::Result<Vec<u8>> {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(directory)
        .output()
        .map_err(|error| io::Error::other(format!("openssl: {error}")))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(io::Error::other(format!(
            "openssl {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
