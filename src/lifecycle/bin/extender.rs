//! Applies the extensions' Dockerfiles.

use lifecycle::command::{self, extender::Extender};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Extender>()
}
