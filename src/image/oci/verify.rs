//! Streams that are checked against a digest.

use super::{DiffId, Digest};
use lifecycle_core::error::{Error, ErrorKind};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Passes a stream on and fails at its end if it isn't what it should be. A reader that wants the check has to read
/// to the end.
pub struct Verified<R> {
    inner: R,
    hash: Sha256,
    expected: [u8; 32],
    left: Option<u64>,
}

impl<R: Read> Verified<R> {
    /// A blob: its digest and its size in bytes; a longer stream fails as soon as it exceeds the size.
    pub fn blob(inner: R, digest: &Digest, size: u64) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            expected: digest.bytes(),
            left: Some(size),
        }
    }

    /// An uncompressed layer of any size.
    pub fn layer(inner: R, diff_id: &DiffId) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            expected: diff_id.bytes(),
            left: None,
        }
    }

    fn mismatch(&self, what: &str) -> io::Error {
        let expected = Digest::from_bytes(self.expected);
        let cause = format!("expected content with digest {expected}; found {what}");
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::new(ErrorKind::Corrupt, cause),
        )
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if read == 0 && !buffer.is_empty() {
            let found: [u8; 32] = self.hash.clone().finalize().into();
            return match found == self.expected && self.left.unwrap_or_default() == 0 {
                true => Ok(0),
                false => Err(self.mismatch(&Digest::from_bytes(found).to_string())),
            };
        }
        if let Some(left) = self.left {
            let left = left
                .checked_sub(read as u64)
                .ok_or_else(|| self.mismatch("more bytes"))?;
            self.left = Some(left);
        }
        self.hash.update(bytes);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], digest: Digest, size: u64, passes: bool) {
        let result = io::copy(&mut Verified::blob(content, &digest, size), &mut io::sink());
        assert_eq!(result.is_ok(), passes, "{content:?} {size}");
    }

    #[test]
    fn only_the_right_content_passes() {
        let digest = Digest::of(b"content");
        check(b"content", digest, 7, true);
        check(b"Content", digest, 7, false);
        check(b"conten", digest, 7, false);
        check(b"content", digest, 6, false);
        check(b"content", digest, 8, false);
        check(b"", Digest::of(b""), 0, true);
        let diff_id = DiffId::of(b"tar");
        assert_eq!(
            io::read_to_string(Verified::layer(&b"tar"[..], &diff_id)).unwrap(),
            "tar"
        );
        assert!(io::read_to_string(Verified::layer(&b"rat"[..], &diff_id)).is_err());
    }
}
