//! The bytes of a tar on their way to the reader of entries: hashed, and bounded where the reader keeps them.

use crate::oci::DiffId;
use lifecycle_core::error::{Result, ResultExt};
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::io::{self, Read};

const BUFFER: usize = 256 << 10;

/// A tar that is being read; both the reader of entries and its user hold it.
pub(super) struct Stream<R>(RefCell<State<R>>);

struct State<R> {
    inner: R,
    buffer: Vec<u8>,
    /// How much of the buffer holds bytes, and how much of them was taken.
    filled: usize,
    position: usize,
    hash: Sha256,
    /// Hashes what is read between entries' contents.
    skeleton: Sha256,
    in_content: bool,
    /// How much may be read until it changes.
    limit: u64,
    failure: Option<io::Error>,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(inner: R) -> Self {
        Self(RefCell::new(State {
            inner,
            buffer: vec![0; BUFFER],
            filled: 0,
            position: 0,
            hash: Sha256::new(),
            skeleton: Sha256::new(),
            in_content: false,
            limit: u64::MAX,
            failure: None,
        }))
    }

    /// What is read next are headers, which the reader keeps: at most `limit` bytes.
    pub(super) fn enter_headers(&self, limit: u64) {
        let mut state = self.0.borrow_mut();
        (state.limit, state.in_content) = (limit, false);
    }

    /// What is read next is an entry's content.
    pub(super) fn enter_content(&self) {
        let mut state = self.0.borrow_mut();
        (state.limit, state.in_content) = (u64::MAX, true);
    }

    /// The error with which the underlying reader failed, if it did: then the tar is not to blame.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.0.borrow_mut().failure.take()
    }

    /// Reads to the end and returns the digest of everything, and the hash of everything but contents.
    ///
    /// # Errors
    /// The underlying reader fails.
    pub(super) fn finish(self) -> Result<(DiffId, Sha256)> {
        let mut state = self.0.into_inner();
        loop {
            let rest = state.position..state.filled;
            state.skeleton.update(&state.buffer[rest]);
            if state.fill().context(|| "read layer")? == 0 {
                break;
            }
        }
        let diff_id = DiffId::from_bytes(state.hash.finalize().into());
        Ok((diff_id, state.skeleton))
    }
}

impl<R: Read> State<R> {
    /// Replaces the buffer's content by the next bytes and returns how many they are.
    fn fill(&mut self) -> io::Result<usize> {
        (self.position, self.filled) = (0, 0);
        self.filled = loop {
            match self.inner.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.hash.update(&self.buffer[..self.filled]);
        Ok(self.filled)
    }
}

impl<R: Read> Read for &Stream<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        if state.position == state.filled
            && let Err(error) = state.fill()
        {
            let kind = error.kind();
            state.failure = Some(error);
            return Err(kind.into());
        }
        let State {
            buffer,
            filled,
            position,
            skeleton,
            in_content,
            limit,
            ..
        } = &mut *state;
        let length = into.len().min(*filled - *position);
        *limit = limit
            .checked_sub(length as u64)
            .ok_or_else(|| io::Error::other("headers are too long"))?;
        let bytes = &buffer[*position..*position + length];
        into[..length].copy_from_slice(bytes);
        if !*in_content {
            skeleton.update(bytes);
        }
        *position += length;
        Ok(length)
    }
}
