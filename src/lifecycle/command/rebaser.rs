//! Rebaser: swaps the base image of an app image.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Swaps the base image of an app image.
pub struct Rebaser;

impl Command for Rebaser {
    const PROGRAM: Program = Program::Rebaser;
    type Session = ();

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::run_as_user(inputs)?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the rebaser is not implemented yet").into())
    }
}
