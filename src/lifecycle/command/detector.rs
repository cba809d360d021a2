//! Detector: chooses the buildpack group.

use super::Command;
use crate::log::Log;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::error::Error;
use lifecycle_core::exit::Failure;

/// Chooses the buildpack group.
pub struct Detector;

impl Command for Detector {
    const PROGRAM: Program = Program::Detector;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::refuse_root("detect")?;
        Ok(())
    }

    fn execute(_: &Inputs, (): (), _: &Log) -> Result<(), Failure> {
        Err(Error::other("the detector is not implemented yet").into())
    }
}
