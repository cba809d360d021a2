//! Digests: of compressed blobs and manifests, and of uncompressed layers.

use lifecycle_core::error::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The SHA-256 of a blob or manifest as it is stored. Displays as `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The SHA-256 of a layer's uncompressed tar. Displays as `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffId([u8; 32]);

macro_rules! digest {
    ($name:ident) => {
        impl $name {
            /// From the 32 bytes that SHA-256 gives.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn bytes(&self) -> [u8; 32] {
                self.0
            }

            /// The digest of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }

            /// The digest of a stream to its end.
            ///
            /// # Errors
            /// The stream fails.
            pub fn of_stream(mut stream: impl std::io::Read) -> std::io::Result<Self> {
                let mut hash = HashWriter(Sha256::new());
                std::io::copy(&mut stream, &mut hash)?;
                Ok(Self(hash.0.finalize().into()))
            }

            /// Reads `sha256:` and 64 lowercase hexadecimal digits.
            ///
            /// # Errors
            /// Kind `Corrupt` for anything else.
            pub fn parse(text: &str) -> Result<Self> {
                parse(text).map(Self)
            }

            /// The 64 hexadecimal digits.
            pub fn hex(&self) -> String {
                self.0.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
digest!(Digest);
digest!(DiffId);

struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn parse(text: &str) -> Result<[u8; 32]> {
    let malformed = || {
        Error::new(
            ErrorKind::Corrupt,
            format!("'{text}' is not a sha256 digest"),
        )
    };
    let hex = text.strip_prefix("sha256:").ok_or_else(malformed)?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: Vec<u8> = hex
        .bytes()
        .map(digit)
        .collect::<Option<_>>()
        .ok_or_else(malformed)?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |high, low| high << 4 | low))
        .collect();
    <[u8; 32]>::try_from(bytes)
        .ok()
        .filter(|_| hex.len() == 64)
        .ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_the_digest_of_their_bytes() {
        let bytes = vec![7; 100_000];
        assert_eq!(DiffId::of_stream(&bytes[..]).unwrap(), DiffId::of(&bytes));
    }

    #[test]
    fn digests_parse_strictly() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(Digest::parse(&text).unwrap().to_string(), text);
        for bad in [
            "",
            "sha256:",
            "sha512:00",
            &text[..70],
            &text.to_uppercase(),
            &format!("{text}0"),
        ] {
            assert_eq!(
                Digest::parse(bad).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{bad}"
            );
        }
    }
}
