//! Runs all phases from analyze to export.

use lifecycle::command::{self, creator::Creator};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Creator>()
}
