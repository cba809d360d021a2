//! Extender: applies the extensions' Dockerfiles.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Applies the extensions' Dockerfiles.
pub struct Extender;

impl Command for Extender {
    const PROGRAM: Program = Program::Extender;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the extender is not implemented yet").into())
    }
}
