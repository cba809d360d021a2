//! Builder: runs the buildpacks of the group.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Runs the buildpacks of the group.
pub struct Builder;

impl Command for Builder {
    const PROGRAM: Program = Program::Builder;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::refuse_root("build")?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the builder is not implemented yet").into())
    }
}
