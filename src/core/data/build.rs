//! build.toml of a buildpack.

use super::decode::from_toml;
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
        from_toml(text, |root| {
            Ok(Self {
                bom: root.tables_or_empty("bom", BomEntry::read)?,
                unmet: root.tables_or_empty("unmet", |unmet| unmet.text_or_empty("name"))?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_written() {
        let build =
            Build::parse("[[unmet]]\nname = 'a'\n[[unmet]]\n[[bom]]\nname = 'b'\nversion = '1'")
                .unwrap();
        assert_eq!(build.unmet, ["a", ""]);
        assert_eq!(
            build.bom,
            [BomEntry {
                name: "b".into(),
                version: "1".into(),
                ..BomEntry::default()
            }]
        );
        assert!(Build::parse("[[unmet]]\nname = 1").is_err());
    }
}
