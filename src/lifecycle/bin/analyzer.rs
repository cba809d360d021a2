//! Finds the previous image and the run image.

use lifecycle::command::{self, analyzer::Analyzer};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Analyzer>()
}
