//! Analyzer: finds the previous image and the run image.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Finds the previous image and the run image.
pub struct Analyzer;

impl Command for Analyzer {
    const PROGRAM: Program = Program::Analyzer;
    type Session = ();

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<(), Failure> {
        let dirs = [
            Some(&inputs.layers_dir),
            inputs.cache_dir.as_ref(),
            inputs.launch_cache_dir.as_ref(),
        ];
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the analyzer is not implemented yet").into())
    }
}
