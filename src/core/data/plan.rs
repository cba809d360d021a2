//! Build plans: what detection contributes, plan.toml, and the plan each module gets.

use super::ModuleKind;
use crate::error::Result;
use crate::value::Table;

/// A requirement: a dependency by name, with what the requirer says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Require {
    /// The dependency's name.
    pub name: String,
    /// The deprecated top-level version (refused in contributions of detection).
    pub version: Option<String>,
    /// Free data for the provider.
    pub metadata: Option<Table>,
}

/// One alternative of a module's contribution to the build plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanSections {
    /// What the module needs.
    pub requires: Vec<Require>,
    /// Names of what the module offers.
    pub provides: Vec<String>,
}

/// What one module's `bin/detect` wrote: its main sections, then each `[[or]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildPlan {
    /// Alternatives in order of preference; the first is the main one. Never empty once parsed.
    pub options: Vec<PlanSections>,
}

impl BuildPlan {
    /// Reads a contribution of detection.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}

/// A provider in plan.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The module's id.
    pub id: String,
    /// The module's version.
    pub version: String,
}

/// One dependency of plan.toml: who may provide it, and everything that is required of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanEntry {
    /// Modules that offer it.
    pub providers: Vec<Provider>,
    /// Requirements for it, all of one name.
    pub requires: Vec<Require>,
}

/// plan.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The entries in the order in which detection met their names.
    pub entries: Vec<PlanEntry>,
}

impl Plan {
    /// Reads plan.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// plan.toml; an empty plan is an empty file.
    pub fn to_toml(&self) -> String {
        todo!()
    }

    /// The requirements that the module `id` of `kind` may meet: its buildpack plan.
    pub fn for_module(&self, kind: ModuleKind, id: &str) -> BuildpackPlan {
        let _ = (kind, id);
        todo!()
    }

    /// This plan without the entries that require any of `names`.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let _ = names;
        todo!()
    }
}

/// The plan given to one module's `bin/build` or `bin/generate`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildpackPlan {
    /// Requirements, in plan order.
    pub entries: Vec<Require>,
}

impl BuildpackPlan {
    /// The TOML form, `[[entries]]` with name, version and metadata.
    pub fn to_toml(&self) -> String {
        todo!()
    }
}
