//! build.toml of a buildpack.

use super::sbom::BomEntry;
use crate::error::Result;

/// build.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    /// Legacy build bill of materials.
    pub bom: Vec<BomEntry>,
    /// Names of plan entries that the buildpack leaves to later providers.
    pub unmet: Vec<String>,
}

impl Build {
    /// Reads build.toml. Names are not validated here.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}
