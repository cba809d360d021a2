//! One module per program: it reads files, connects stores, drops privileges, calls phases and writes files. The
//! sequence that all of them share is in `run`.

pub mod analyzer;
pub mod base_image;
pub mod builder;
pub mod container;
pub mod creator;
pub mod detector;
pub mod dockerfile;
pub mod documents;
pub mod exporter;
pub mod extender;
pub mod rebaser;
pub mod restorer;
pub mod stores;

mod run;

pub use run::{Entry, dispatch, main};

use crate::log::Log;
use crate::platform::{Inputs, Program};
use lifecycle_core::error::Result;
use lifecycle_core::exit::Failure;

/// What makes a program differ from the others.
pub trait Command {
    /// Whose flags and argument rules apply.
    const PROGRAM: Program;

    /// What the privileged part hands to the rest: credentials and connections.
    type Session;

    /// Whether a registry lets `reference` be read, for the choice among mirrors; asked before privileges drop. Only
    /// programs that choose a run image have an answer.
    ///
    /// # Errors
    /// The credentials are unusable.
    fn readable(inputs: &Inputs, reference: &str) -> Result<bool> {
        let _ = (inputs, reference);
        Ok(false)
    }

    /// Everything that needs the rights with which the process was started; ends with dropping them. May complete the
    /// inputs, e.g. by the user's `HOME`. No thread may run when it drops privileges.
    ///
    /// # Errors
    /// Outside every phase, unless the contract says otherwise.
    fn prepare(inputs: &mut Inputs, log: &Log) -> Result<Self::Session, Failure>;

    /// The work itself.
    ///
    /// # Errors
    /// The failure that decides the exit code.
    fn execute(inputs: &Inputs, session: Self::Session, log: &Log) -> Result<(), Failure>;
}
