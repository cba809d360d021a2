//! Creator: runs all phases from analyze to export.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Runs all phases from analyze to export.
pub struct Creator;

impl Command for Creator {
    const PROGRAM: Program = Program::Creator;
    type Session = ();

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<(), Failure> {
        let dirs = [
            inputs.cache_dir.as_ref(),
            inputs.launch_cache_dir.as_ref(),
            Some(&inputs.layers_dir),
        ];
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        privileges::adopt_user_environment(inputs)?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the creator is not implemented yet").into())
    }
}
