//! Restorer: brings cached layers and metadata back.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Brings cached layers and metadata back.
pub struct Restorer;

impl Command for Restorer {
    const PROGRAM: Program = Program::Restorer;
    type Session = ();

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<(), Failure> {
        let dirs = [
            Some(&inputs.layers_dir),
            inputs.cache_dir.as_ref(),
            Some(&inputs.kaniko_dir),
        ];
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the restorer is not implemented yet").into())
    }
}
