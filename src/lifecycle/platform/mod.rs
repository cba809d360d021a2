//! What the platform says: flags, environment, defaults; resolved once into [`Inputs`].

mod experimental;
mod flags;
mod inputs;
pub mod mirror;
mod negotiate;
mod number;
pub mod privileges;
mod process;
mod program;
mod resolve;
mod version;

pub use experimental::{Experimental, ExperimentalMode};
pub use flags::{FLAGS, Flag, Group, Kind, Parsed, Settings, Stop, Use, parse};
pub use inputs::{DockerfileInputs, Inputs, Secret};
pub use negotiate::{Deprecation, negotiate};
pub use number::parse_bool;
pub use process::Process;
pub use program::Program;
pub use resolve::{Sources, check_operands, resolve};
pub use version::{VERSION, launcher_source, version_text};
