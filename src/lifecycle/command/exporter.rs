//! Exporter: assembles the app image and the cache.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Assembles the app image and the cache.
pub struct Exporter;

impl Command for Exporter {
    const PROGRAM: Program = Program::Exporter;
    type Session = ();

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::ensure_owner(
            inputs,
            [inputs.cache_dir.as_ref(), inputs.launch_cache_dir.as_ref()],
        )?;
        privileges::run_as_user(inputs)?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the exporter is not implemented yet").into())
    }
}
