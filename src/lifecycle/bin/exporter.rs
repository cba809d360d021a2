//! Assembles the app image and the cache.

use lifecycle::command::{self, exporter::Exporter};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Exporter>()
}
