//! report.toml.

use super::sbom::BomEntry;

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
        todo!()
    }
}
