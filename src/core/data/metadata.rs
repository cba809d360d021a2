//! `<layers>/config/metadata.toml` and the label `io.buildpacks.build.metadata`.

use super::group::GroupElement;
use super::launch::{Label, Process, Slice};
use super::sbom::BomEntry;
use crate::api::PlatformApi;
use crate::error::Result;

/// What the build produced besides layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildMetadata {
    /// Processes, sorted by type.
    pub processes: Vec<Process>,
    /// The type that buildpacks declared as default; empty when none.
    pub default_process_type: String,
    /// Legacy bill of materials (before Platform API 0.9).
    pub bom: Vec<BomEntry>,
    /// The group's buildpacks.
    pub buildpacks: Vec<GroupElement>,
    /// The group's extensions.
    pub extensions: Vec<GroupElement>,
    /// Labels for the app image.
    pub labels: Vec<Label>,
    /// Slices of the app directory.
    pub slices: Vec<Slice>,
}

/// The lifecycle that built an image, for the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LauncherSource {
    /// The lifecycle's version, without commit.
    pub version: String,
    /// The source repository.
    pub repository: String,
    /// The commit.
    pub commit: String,
}

impl BuildMetadata {
    /// Reads metadata.toml; `command` may be text or a list (FACTS 3.7).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str, api: PlatformApi) -> Result<Self> {
        let _ = (text, api);
        todo!()
    }

    /// metadata.toml as `api` has it.
    pub fn to_toml(&self, api: PlatformApi) -> String {
        let _ = api;
        todo!()
    }

    /// The JSON of the label `io.buildpacks.build.metadata` (FACTS 4.2).
    pub fn to_label_json(&self, api: PlatformApi, launcher: &LauncherSource) -> String {
        let _ = (api, launcher);
        todo!()
    }
}
