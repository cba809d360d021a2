//! SBOM files and the legacy BOM.

use crate::value::Table;

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
            name.strip_suffix(format.file_name()).is_some_and(|stem| stem.ends_with('.'))
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
    let _ = entries;
    todo!()
}
