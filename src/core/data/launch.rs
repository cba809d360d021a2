//! launch.toml of a buildpack.

use super::sbom::BomEntry;
use crate::api::BuildpackApi;
use crate::error::Result;

/// A process that the app image can start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its type, e.g. `web`.
    pub r#type: String,
    /// The command and the arguments that users cannot replace.
    pub command: Vec<String>,
    /// Default arguments; `None` where the document has none (the label then says `null`).
    pub args: Option<Vec<String>>,
    /// Started without a shell.
    pub direct: bool,
    /// Declared as the default process type.
    pub default: bool,
    /// The buildpack that contributed it.
    pub buildpack_id: String,
    /// Its working directory; empty means the app directory.
    pub working_dir: String,
    /// Execution environments in which it exists; empty means all.
    pub exec_env: Vec<String>,
}

/// A label for the app image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The label's key.
    pub key: String,
    /// The label's value.
    pub value: String,
}

/// Glob patterns of one slice of the app directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The patterns.
    pub paths: Vec<String>,
}

/// launch.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launch {
    /// Legacy bill of materials.
    pub bom: Vec<BomEntry>,
    /// Labels.
    pub labels: Vec<Label>,
    /// Processes in file order, without a buildpack id.
    pub processes: Vec<Process>,
    /// Slices.
    pub slices: Vec<Slice>,
    /// Types of processes whose `working-dir` was dropped because the module's API does not know it.
    pub dropped_working_dirs: Vec<String>,
}

impl Launch {
    /// Reads launch.toml of a buildpack that declares `api` (FACTS 3.11).
    ///
    /// # Errors
    /// Malformed TOML, a command of the wrong form for `api`, `direct` where it is not allowed, several defaults.
    pub fn parse(text: &str, api: BuildpackApi) -> Result<Self> {
        let _ = (text, api);
        todo!()
    }
}
