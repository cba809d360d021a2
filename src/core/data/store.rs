//! store.toml.

use super::decode::{Fields, from_toml};
use crate::error::Result;
use crate::toml;
use crate::value::Table;

/// store.toml: what a buildpack wants to find at its next build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// `[metadata]`.
    pub metadata: Option<Table>,
}

impl Store {
    /// Reads store.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, Self::read)
    }

    /// The `store` of a buildpack in labels has the same form.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            metadata: fields.map("metadata")?,
        })
    }

    /// The TOML form.
    pub fn to_toml(&self) -> String {
        toml::to_string(&Table::new().with_some("metadata", self.metadata.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_counts() {
        for (text, toml) in [
            (
                "a = 1\n[metadata]\nz = 1\n[metadata.b]\nc = 2",
                "[metadata]\n  z = 1\n  [metadata.b]\n    c = 2\n",
            ),
            ("[metadata]", "[metadata]\n"),
            ("metadata = 1", ""),
            ("", ""),
        ] {
            assert_eq!(Store::parse(text).unwrap().to_toml(), toml);
        }
    }
}
