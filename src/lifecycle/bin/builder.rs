//! Runs the buildpacks of the group.

use lifecycle::command::{self, builder::Builder};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main::<Builder>()
}
