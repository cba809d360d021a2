//! report.toml.

use super::sbom::BomEntry;
use crate::toml;
use crate::value::{Table, Value};

/// report.toml of an export or a rebase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Legacy build bill of materials (exports before Platform API 0.9).
    pub build_bom: Vec<BomEntry>,
    /// Names as given on the command line.
    pub tags: Vec<String>,
    /// The image ID (daemon), bare hex.
    pub image_id: Option<String>,
    /// The manifest's digest (registry).
    pub digest: Option<String>,
    /// The manifest's size in bytes.
    pub manifest_size: Option<u64>,
}

impl Report {
    /// The report of an export: `[build]` and `[image]`.
    pub fn to_toml(&self) -> String {
        let bom: Vec<_> = self.build_bom.iter().map(BomEntry::to_table).collect();
        let build = (!bom.is_empty()).then(|| Table::new().with("bom", bom));
        let size = self
            .manifest_size
            .and_then(|size| i64::try_from(size).ok())
            .filter(|size| *size != 0);
        let image = Table::new()
            .with_some(
                "tags",
                Some(self.tags.clone()).filter(|tags| !tags.is_empty()),
            )
            .with_some("image-id", self.image_id.as_deref())
            .with_some("digest", self.digest.as_deref())
            .with_some("manifest-size", size.map(Value::Integer));
        toml::to_string(&Table::new().with_some("build", build).with("image", image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_written() {
        // FACTS D.3.
        let report = Report {
            tags: vec!["a".into(), "b".into()],
            digest: Some("sha256:x".into()),
            manifest_size: Some(1234),
            ..Report::default()
        };
        let image =
            "[image]\n  tags = [\"a\", \"b\"]\n  digest = \"sha256:x\"\n  manifest-size = 1234\n";
        assert_eq!(report.to_toml(), image);
        let bom = BomEntry {
            name: "n".into(),
            buildpack: Some(("a".into(), "1".into())),
            ..BomEntry::default()
        };
        let report = Report {
            build_bom: vec![bom],
            ..report
        };
        assert_eq!(
            report.to_toml(),
            format!(
                "[build]\n\n  [[build.bom]]\n    name = \"n\"\n    [build.bom.buildpack]\n      id = \"a\"\n      version = \"1\"\n\n{image}"
            )
        );
    }
}
