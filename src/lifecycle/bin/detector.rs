//! Chooses the buildpack group.

use lifecycle::command::{self, detector::Detector};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Detector>()
}
