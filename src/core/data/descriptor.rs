//! buildpack.toml and extension.toml.

use super::ModuleKind;
use super::order::Order;
use super::target::ModuleTarget;
use crate::error::Result;

/// buildpack.toml or extension.toml, as far as the lifecycle uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The declared Buildpack API as written; it is verified where the module is used.
    pub api: String,
    /// The module's id.
    pub id: String,
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The module's homepage.
    pub homepage: String,
    /// Whether user-provided environment is kept from it.
    pub clear_env: bool,
    /// Execution environments that it supports; empty means all.
    pub exec_env: Vec<String>,
    /// Media types of the SBOM files that it may write.
    pub sbom_formats: Vec<String>,
    /// Targets that it declares, those inferred from its stacks included; inference from files is the caller's
    /// ([`Descriptor::with_inferred_targets`]).
    pub targets: Vec<ModuleTarget>,
    /// Non-empty for a composite buildpack.
    pub order: Order,
}

impl Descriptor {
    /// Reads the descriptor of a module of `kind`, inferring targets from stacks (FACTS 3.10).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str, kind: ModuleKind) -> Result<Self> {
        let _ = (text, kind);
        todo!()
    }

    /// The same descriptor with targets inferred from the names of the files in its `bin` directory.
    #[must_use]
    pub fn with_inferred_targets(self, bin: &[&str]) -> Self {
        let _ = bin;
        todo!()
    }
}
