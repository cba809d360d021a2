//! order.toml: candidates of detection (platform.md, order.toml).

use super::ModuleKind;
use crate::error::Result;

/// One element of an order's group: a buildpack (component or composite) or an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderElement {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The module's id.
    pub id: String,
    /// The module's version.
    pub version: String,
    /// Whether the group may pass without it. Always true for extensions.
    pub optional: bool,
    /// Execution environments of this element (Buildpack API 0.12); empty means all.
    pub exec_env: Vec<String>,
}

/// Groups in the order in which they are tried.
pub type Order = Vec<Vec<OrderElement>>;

/// order.toml: the order of buildpacks and the order of extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// `[[order]]`.
    pub buildpacks: Order,
    /// `[[order-extensions]]`; every element is optional.
    pub extensions: Order,
}

impl Orders {
    /// Reads order.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}
