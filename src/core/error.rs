//! The one error type: a kind to branch on, a cause, and a chain of context.

use std::fmt;

/// What kind of failure an [`Error`] is. Code that branches on errors branches on this, never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Arguments or inputs are wrong (platform.md, exit codes: 3).
    InvalidArguments,
    /// The requested Platform API is missing, malformed or unsupported.
    PlatformApi,
    /// A module declares a malformed or unsupported Buildpack API.
    BuildpackApi,
    /// No group passed detection, and nothing errored.
    NoGroupPassed,
    /// A buildpack or extension itself failed: in detect, no group passed and a module errored.
    BuildpackFailed,
    /// The named thing does not exist (file, image, layer).
    NotFound,
    /// A registry refused access.
    Unauthorized,
    /// Only asked for: a rebase is due.
    RebaseDue,
    /// Content does not match its digest or its format.
    Corrupt,
    /// Everything else.
    Other,
}

/// An error with its kind, its cause and the operations that were under way, outermost last.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    cause: String,
    context: Vec<String>,
}

/// The result of every fallible function of the lifecycle.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` whose cause is `cause`, a lowercase fragment.
    pub fn new(kind: ErrorKind, cause: impl fmt::Display) -> Self {
        Self {
            kind,
            cause: cause.to_string(),
            context: Vec::new(),
        }
    }

    /// An error of kind [`ErrorKind::Other`].
    pub fn other(cause: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Other, cause)
    }

    /// The kind to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error with one more operation around it.
    #[must_use]
    pub fn in_context(mut self, context: impl Into<String>) -> Self {
        self.context.push(context.into());
        self
    }

    /// The same error under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.context.iter().rev() {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    /// An error that was wrapped to pass through a reader or writer keeps its kind.
    fn from(error: std::io::Error) -> Self {
        let wrapped = error.get_ref();
        if let Some(wrapped) = wrapped.and_then(|wrapped| wrapped.downcast_ref::<Self>()) {
            return Self::new(wrapped.kind, wrapped);
        }
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        };
        Self::new(kind, io_cause(&error))
    }
}

/// The operating system's words in the contract's form: lower case, without the error number.
fn io_cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    let Some(number) = system_error(error) else {
        return text;
    };
    match WORDS.iter().find(|(known, _)| *known == number) {
        Some((_, words)) => (*words).to_owned(),
        None => {
            let text = text.split(" (os error").next().unwrap_or_default();
            text.to_ascii_lowercase()
        }
    }
}

/// The number of a system error, also where a crate has wrapped it to add a path (tempfile does), which contexts name already.
fn system_error(error: &std::io::Error) -> Option<i32> {
    let wrapped = || {
        let source = error.get_ref()?.source()?;
        source.downcast_ref::<std::io::Error>()?.raw_os_error()
    };
    error.raw_os_error().or_else(wrapped)
}

/// The reference's words for errors (Linux, amd64 and arm64) for which static binaries have others, because the C library
/// musl has.
const WORDS: [(i32, &str); 18] = [
    (5, "input/output error"),
    (10, "no child processes"),
    (12, "cannot allocate memory"),
    (16, "device or resource busy"),
    (18, "invalid cross-device link"),
    (23, "too many open files in system"),
    (24, "too many open files"),
    (25, "inappropriate ioctl for device"),
    (36, "file name too long"),
    (40, "too many levels of symbolic links"),
    (95, "operation not supported"),
    (98, "address already in use"),
    (99, "cannot assign requested address"),
    (101, "network is unreachable"),
    (110, "connection timed out"),
    (113, "no route to host"),
    (116, "stale NFS file handle"),
    (122, "disk quota exceeded"),
];

/// Adds context to the error of a [`Result`].
pub trait ResultExt<T> {
    /// Names the operation and its object, as a lowercase fragment: `read /layers/group.toml`.
    ///
    /// # Errors
    /// The same error, with the context.
    fn context<C: Into<String>>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn context<C: Into<String>>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.into().in_context(context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_reads_outermost_first() {
        let error = Error::new(ErrorKind::NotFound, "no such file")
            .in_context("open x")
            .in_context("failed to detect");
        assert_eq!(error.to_string(), "failed to detect: open x: no such file");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn io_errors_have_the_references_words() {
        let check = |number, expected: &str| {
            let result: std::result::Result<(), _> = Err(std::io::Error::from_raw_os_error(number));
            let error = result.context(|| "open x").unwrap_err();
            assert_eq!(error.to_string(), format!("open x: {expected}"));
        };
        check(2, "no such file or directory");
        check(24, "too many open files");
        check(40, "too many levels of symbolic links");
    }
}
