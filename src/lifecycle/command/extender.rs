//! Extender: applies the extensions' Dockerfiles.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program};
use lifecycle_core::error::{Error, ErrorKind};
use lifecycle_core::exit::Failure;

/// Applies the extensions' Dockerfiles.
pub struct Extender;

impl Command for Extender {
    const PROGRAM: Program = Program::Extender;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        Ok(())
    }

    fn execute(inputs: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        match inputs.extend_kind.as_str() {
            "build" | "run" => Err(Error::other("the extender is not implemented yet").into()),
            kind => {
                let text =
                    format!("failed to extend: unknown kind '{kind}', expected 'build' or 'run'");
                Err(Error::new(ErrorKind::InvalidArguments, text).into())
            }
        }
    }
}
