//! Exit codes: one table over the phase in which an error happened and the error's kind
//! (platform.md, exit codes of every phase).

use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// A phase in the sense of the exit code table; detector also generates, creator runs five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Find the previous image and the run image.
    Analyze,
    /// Choose the buildpack group.
    Detect,
    /// Run the extensions' `bin/generate`.
    Generate,
    /// Bring cached layers and metadata back.
    Restore,
    /// Apply the extensions' Dockerfiles.
    Extend,
    /// Run the buildpacks.
    Build,
    /// Assemble the app image and the cache.
    Export,
    /// Swap the base image.
    Rebase,
    /// Start a process in the app image.
    Launch,
}

impl Phase {
    /// Every phase, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Analyze,
        Self::Detect,
        Self::Generate,
        Self::Restore,
        Self::Extend,
        Self::Build,
        Self::Export,
        Self::Rebase,
        Self::Launch,
    ];

    /// The first code of the phase's range.
    const fn first_code(self) -> u8 {
        match self {
            Self::Detect => 20,
            Self::Analyze => 30,
            Self::Restore => 40,
            Self::Build => 50,
            Self::Export => 60,
            Self::Rebase => 70,
            Self::Launch => 80,
            Self::Generate => 90,
            Self::Extend => 100,
        }
    }
}

/// An error together with the phase in which it happened; `None` is set-up outside every phase.
#[derive(Debug)]
pub struct Failure {
    phase: Option<Phase>,
    error: Error,
}

impl Failure {
    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.phase, self.error.kind())
    }

    /// The error itself.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl From<Error> for Failure {
    /// An error outside every phase.
    fn from(error: Error) -> Self {
        Self { phase: None, error }
    }
}

/// The code for an error of `kind` in `phase`.
pub const fn exit_code(phase: Option<Phase>, kind: ErrorKind) -> u8 {
    match (kind, phase) {
        (ErrorKind::InvalidArguments, _) => 3,
        (ErrorKind::PlatformApi, _) => 11,
        (ErrorKind::BuildpackApi, _) => 12,
        (ErrorKind::NoGroupPassed, Some(phase)) => phase.first_code(),
        (ErrorKind::BuildpackFailed, Some(phase)) => phase.first_code() + 1,
        (ErrorKind::RebaseDue, Some(phase)) => phase.first_code() + 3,
        (_, Some(phase)) => phase.first_code() + 2,
        (_, None) => 1,
    }
}

/// Names the phase in which an error happened. Only `Result<T, Error>` has it: the innermost phase wins.
pub trait During<T> {
    /// The same result, its error placed in `phase`.
    ///
    /// # Errors
    /// The same error as a [`Failure`] of that phase.
    fn during(self, phase: Phase) -> std::result::Result<T, Failure>;
}

impl<T> During<T> for Result<T> {
    fn during(self, phase: Phase) -> std::result::Result<T, Failure> {
        self.map_err(|error| Failure {
            phase: Some(phase),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell: the rows are kinds, the columns phases in the order of [`Phase::ALL`], then no phase.
    #[test]
    fn every_cell() {
        let rows = [
            (ErrorKind::InvalidArguments, [3; 10]),
            (ErrorKind::PlatformApi, [11; 10]),
            (ErrorKind::BuildpackApi, [12; 10]),
            (
                ErrorKind::NoGroupPassed,
                [30, 20, 90, 40, 100, 50, 60, 70, 80, 1],
            ),
            (
                ErrorKind::BuildpackFailed,
                [31, 21, 91, 41, 101, 51, 61, 71, 81, 1],
            ),
            (
                ErrorKind::RebaseDue,
                [33, 23, 93, 43, 103, 53, 63, 73, 83, 1],
            ),
            (
                ErrorKind::NotFound,
                [32, 22, 92, 42, 102, 52, 62, 72, 82, 1],
            ),
            (
                ErrorKind::Unauthorized,
                [32, 22, 92, 42, 102, 52, 62, 72, 82, 1],
            ),
            (ErrorKind::Corrupt, [32, 22, 92, 42, 102, 52, 62, 72, 82, 1]),
            (ErrorKind::Other, [32, 22, 92, 42, 102, 52, 62, 72, 82, 1]),
        ];
        for (kind, codes) in rows {
            let phases = Phase::ALL.into_iter().map(Some).chain([None]);
            for (phase, code) in phases.zip(codes) {
                assert_eq!(exit_code(phase, kind), code, "{phase:?} {kind:?}");
            }
        }
    }
}
