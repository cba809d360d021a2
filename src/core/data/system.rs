//! system.toml: system buildpacks (Platform API 0.15).

use super::order::OrderElement;
use crate::error::Result;

/// Buildpacks that the operator puts before and after every group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// `[system.pre]`.
    pub pre: Vec<OrderElement>,
    /// `[system.post]`.
    pub post: Vec<OrderElement>,
}

impl System {
    /// Reads system.toml. `optional` is honoured (spec/decisions.md).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}
