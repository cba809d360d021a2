//! analyzed.toml: what analysis found out about images.

use super::label::LayersMetadata;
use super::target::Target;
use crate::api::PlatformApi;
use crate::error::Result;

/// The run image as analysis, generation and restoration leave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalyzedRunImage {
    /// Its identifier; empty when it was not found (semantics per store: FACTS 3.4).
    pub reference: String,
    /// Its name as given (Platform API 0.12).
    pub image: String,
    /// Whether extensions will extend it.
    pub extend: bool,
    /// What it is.
    pub target: Option<Target>,
}

/// analyzed.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analyzed {
    /// `[image] reference`: the previous image's identifier, empty when not found.
    pub previous_image: Option<String>,
    /// `[build-image] reference`.
    pub build_image: Option<String>,
    /// The previous image's layers.
    pub metadata: LayersMetadata,
    /// `[run-image]`.
    pub run_image: Option<AnalyzedRunImage>,
}

impl Analyzed {
    /// Reads analyzed.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// analyzed.toml as `api` has it (`image` and `target` of the run image only from 0.12 on).
    pub fn to_toml(&self, api: PlatformApi) -> String {
        let _ = api;
        todo!()
    }
}
