//! The one place that reads arguments, environment and working directory of the process.

use lifecycle_core::env::Env;
use std::ffi::OsString;
use std::path::PathBuf;

/// How the process was started.
#[derive(Clone, Debug)]
pub struct Process {
    /// The command line, the program's own name first.
    pub argv: Vec<OsString>,
    /// The environment.
    pub env: Env,
    /// The working directory; `/` when it no longer exists.
    pub working_dir: PathBuf,
}

impl Process {
    /// The current process.
    pub fn current() -> Self {
        Self {
            argv: std::env::args_os().collect(),
            env: Env::from_pairs(std::env::vars_os()),
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }
}
