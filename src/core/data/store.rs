//! store.toml.

use crate::error::Result;
use crate::value::Table;

/// store.toml: what a buildpack wants to find at its next build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// `[metadata]`.
    pub metadata: Table,
}

impl Store {
    /// Reads store.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// The TOML form.
    pub fn to_toml(&self) -> String {
        todo!()
    }
}
