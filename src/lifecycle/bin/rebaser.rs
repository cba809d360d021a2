//! Swaps the base image of an app image.

use lifecycle::command::{self, rebaser::Rebaser};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Rebaser>()
}
