//! Brings cached layers and metadata back.

use lifecycle::command::{self, restorer::Restorer};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Restorer>()
}
