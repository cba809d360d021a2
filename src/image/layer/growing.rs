//! A blob that is read while it is being compressed, so that it can be on its way before it is whole.

use crate::oci::Descriptor;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The file of a blob, and how far it has got.
pub struct Growing {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    /// There are as many bytes so far.
    Partial(u64),
    Whole(Descriptor),
    /// It will never be whole.
    Abandoned,
}

impl Growing {
    pub(super) fn new(file: File, size: u64) -> Self {
        Self {
            file,
            state: Mutex::new(State::Partial(size)),
            changed: Condvar::new(),
        }
    }

    /// There are `size` bytes now.
    pub(super) fn grow(&self, size: u64) {
        self.set(State::Partial(size));
    }

    /// It is whole.
    pub(super) fn end(&self, descriptor: Descriptor) {
        self.set(State::Whole(descriptor));
    }

    /// Nobody writes it any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        if let State::Partial(_) = *state {
            *state = State::Abandoned;
            self.changed.notify_all();
        }
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    /// What it has become; `None` while it grows, or if it was abandoned.
    pub fn descriptor(&self) -> Option<Descriptor> {
        match &*self.lock() {
            State::Whole(descriptor) => Some(descriptor.clone()),
            State::Partial(_) | State::Abandoned => None,
        }
    }

    /// Waits for its end; `None` if it was abandoned.
    pub fn wait(&self) -> Option<Descriptor> {
        let partial = |state: &mut State| matches!(state, State::Partial(_));
        let state = self.changed.wait_while(self.lock(), partial);
        drop(state.unwrap_or_else(PoisonError::into_inner));
        self.descriptor()
    }

    /// Its bytes from `offset` on; reading waits for those that are to come, and fails if they never will.
    pub fn read_from(self: &Arc<Self>, offset: u64) -> impl Read + Send + use<> {
        Reader {
            growing: Arc::clone(self),
            offset,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reader {
    growing: Arc<Growing>,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let growing = &self.growing;
        let offset = self.offset;
        let waits = |state: &mut State| matches!(state, State::Partial(size) if *size <= offset);
        let state = growing.changed.wait_while(growing.lock(), waits);
        let end = match &*state.unwrap_or_else(PoisonError::into_inner) {
            State::Partial(size) => *size,
            State::Whole(descriptor) => descriptor.size,
            State::Abandoned => return Err(io::Error::other("the layer is not made any more")),
        };
        let rest = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(rest);
        let read = growing.file.read_at(&mut buffer[..length], offset)?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What a reader gets that starts at `offset` before anything else happens.
    fn check(offset: u64, ends: bool, expected: Option<&str>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"first").unwrap();
        let growing = Arc::new(Growing::new(file.reopen().unwrap(), 5));
        let mut reader = growing.read_from(offset);
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        file.write_all(b" and second").unwrap();
        growing.grow(12);
        assert_eq!(growing.descriptor(), None);
        if ends {
            growing.end(Descriptor::of(b"first and second", "type"));
        }
        growing.abandon();
        let text = read.join().unwrap();
        assert_eq!(text.ok().as_deref(), expected);
        assert_eq!(growing.wait().is_some(), ends);
    }

    #[test]
    fn readers_wait_for_what_comes() {
        check(0, true, Some("first and second"));
        check(6, true, Some("and second"));
        check(16, true, Some(""));
        check(0, false, None);
        check(12, false, None);
    }
}
