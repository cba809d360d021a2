//! SBOM files and the legacy BOM.

use super::decode::Fields;
use crate::error::Result;
use crate::json;
use crate::value::{Table, Value};

/// An SBOM format that the lifecycle carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SbomFormat {
    /// CycloneDX.
    CycloneDx,
    /// SPDX.
    Spdx,
    /// Syft.
    Syft,
}

impl SbomFormat {
    /// Every format, in the order in which the reference handles them.
    pub const ALL: [Self; 3] = [Self::CycloneDx, Self::Spdx, Self::Syft];

    /// The file name's end, e.g. `sbom.cdx.json`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
            Self::Syft => "sbom.syft.json",
        }
    }

    /// The media type, without parameters.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Syft => "application/vnd.syft+json",
        }
    }

    /// The format of a file name that ends in `.sbom.<format>.json`.
    pub fn of_file_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| {
            name.strip_suffix(format.file_name())
                .is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

/// An entry of the legacy bill of materials.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BomEntry {
    /// The dependency's name.
    pub name: String,
    /// The deprecated top-level version; its presence is an error for the caller to report.
    pub version: String,
    /// Free data.
    pub metadata: Option<Table>,
    /// Id and version of the buildpack that contributed it.
    pub buildpack: Option<(String, String)>,
}

/// `sbom.legacy.json`: the entries as a JSON array (`null` for none) and a newline.
pub fn legacy_json(entries: &[BomEntry]) -> String {
    json::to_string(&bom_to_json(entries)) + "\n"
}

/// The JSON list of the label and the files; `null` for none.
pub(super) fn bom_to_json(entries: &[BomEntry]) -> Value {
    if entries.is_empty() {
        return Value::Null;
    }
    let entry = |entry: &BomEntry| {
        let metadata = entry.metadata.clone().map_or(Value::Null, Value::Table);
        let (id, version) = entry.buildpack.clone().unwrap_or_default();
        entry.identity().with("metadata", metadata).with(
            "buildpack",
            Table::new().with("id", id).with("version", version),
        )
    };
    Value::from(entries.iter().map(entry).collect::<Vec<_>>())
}

impl BomEntry {
    /// `[[bom]]` of launch.toml, build.toml and metadata.toml.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        let buildpack = fields.table("buildpack", |buildpack| {
            Ok((
                buildpack.text_or_empty("id")?,
                buildpack.text_or_empty("version")?,
            ))
        })?;
        Ok(Self {
            name: fields.text_or_empty("name")?,
            version: fields.text_or_empty("version")?,
            metadata: fields.map("metadata")?,
            buildpack,
        })
    }

    /// `[[bom]]` of metadata.toml and report.toml.
    pub(super) fn to_table(&self) -> Table {
        let (id, version) = self.buildpack.clone().unwrap_or_default();
        self.identity()
            .with_some("metadata", self.metadata.clone())
            .with(
                "buildpack",
                Table::new().with("id", id).with("version", version),
            )
    }

    fn identity(&self) -> Table {
        let version = Some(self.version.as_str()).filter(|version| !version.is_empty());
        Table::new()
            .with("name", self.name.as_str())
            .with_some("version", version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_file_names() {
        for (name, format) in [
            ("launch.sbom.cdx.json", Some(SbomFormat::CycloneDx)),
            ("a.b.sbom.spdx.json", Some(SbomFormat::Spdx)),
            ("x.sbom.syft.json", Some(SbomFormat::Syft)),
            ("x.sbom.other.json", None),
            ("sbom.cdx.json", None),
        ] {
            assert_eq!(SbomFormat::of_file_name(name), format, "{name}");
        }
    }

    #[test]
    fn the_legacy_form_is_a_list_or_null() {
        let entry = BomEntry {
            name: "n".into(),
            version: String::new(),
            metadata: Some(Table::new().with("version", "1")),
            buildpack: Some(("a/b".into(), "2".into())),
        };
        assert_eq!(legacy_json(&[]), "null\n");
        assert_eq!(
            legacy_json(&[entry, BomEntry::default()]),
            concat!(
                r#"[{"name":"n","metadata":{"version":"1"},"buildpack":{"id":"a/b","version":"2"}},"#,
                r#"{"name":"","metadata":null,"buildpack":{"id":"","version":""}}]"#,
                "\n"
            )
        );
    }
}
