//! The label `io.buildpacks.lifecycle.metadata`, also inside analyzed.toml, and the cache metadata.

use crate::error::Result;
use crate::value::{Table, Value};
use std::collections::BTreeMap;

/// A layer as the lifecycle metadata label and the cache metadata record it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerRecord {
    /// The layer's diffID, `sha256:...`; free text when read.
    pub sha: String,
    /// `[metadata]` of `<layer>.toml`; [`Value::Null`] when there was none.
    pub data: Option<Value>,
    /// Available to later buildpacks.
    pub build: bool,
    /// In the app image.
    pub launch: bool,
    /// In the cache.
    pub cache: bool,
}

/// The layers of one buildpack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildpackRecord {
    /// The buildpack's id.
    pub key: String,
    /// The buildpack's version.
    pub version: String,
    /// Layers by name.
    pub layers: BTreeMap<String, LayerRecord>,
    /// `[metadata]` of store.toml.
    pub store: Option<Table>,
}

/// `runImage` of the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunImageRecord {
    /// The diffID of the run image's top layer.
    pub top_layer: String,
    /// The run image's identifier.
    pub reference: String,
    /// The run image's name (Platform API 0.12).
    pub image: String,
    /// Its mirrors.
    pub mirrors: Vec<String>,
}

/// `stack.runImage` of the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackRecord {
    /// The run image's name.
    pub image: String,
    /// Its mirrors.
    pub mirrors: Vec<String>,
}

/// The label `io.buildpacks.lifecycle.metadata`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayersMetadata {
    /// DiffIDs of the app layers in order; `None` where the label has `null` or none.
    pub app: Option<Vec<String>>,
    /// DiffID of the SBOM layer.
    pub sbom: Option<String>,
    /// Buildpacks in group order; `None` where the label has `null` or none.
    pub buildpacks: Option<Vec<BuildpackRecord>>,
    /// DiffID of the config layer.
    pub config: String,
    /// DiffID of the launcher layer.
    pub launcher: String,
    /// DiffID of the process types layer.
    pub process_types: String,
    /// The run image.
    pub run_image: RunImageRecord,
    /// The run image for readers of before 0.12.
    pub stack: Option<StackRecord>,
}

impl LayersMetadata {
    /// Reads the label. Numbers in layer metadata become floats, as the reference's do.
    ///
    /// # Errors
    /// Malformed JSON or a value of the wrong type.
    pub fn parse_json(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// The label's JSON, in the reference's key order (FACTS 4.1).
    pub fn to_json(&self) -> String {
        todo!()
    }

    /// The record of the buildpack `id`.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackRecord> {
        self.buildpacks.iter().flatten().find(|record| record.key == id)
    }
}

/// Metadata of a cache (volume or image): `{"sbom":{"sha"},"buildpacks":[...]}` (FACTS 8.5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheMetadata {
    /// DiffID of the SBOM layer; empty when there is none.
    pub sbom: String,
    /// Buildpacks in group order; `None` is written as `null`.
    pub buildpacks: Option<Vec<BuildpackRecord>>,
}

impl CacheMetadata {
    /// Reads cache metadata.
    ///
    /// # Errors
    /// Malformed JSON or a value of the wrong type.
    pub fn parse_json(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        todo!()
    }

    /// The record of the buildpack `id`.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackRecord> {
        self.buildpacks.iter().flatten().find(|record| record.key == id)
    }
}
