//! `<layer>.toml`.

use crate::error::Result;
use crate::value::Value;

/// What a layer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerTypes {
    /// In the app image.
    pub launch: bool,
    /// Available to later buildpacks.
    pub build: bool,
    /// Kept in the cache.
    pub cache: bool,
}

/// `<layer>.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerMetadata {
    /// `[types]`.
    pub types: LayerTypes,
    /// `[metadata]`, of any type.
    pub metadata: Option<Value>,
}

impl LayerMetadata {
    /// Reads `<layer>.toml`; `path` is named in the message about flags at the top level.
    ///
    /// # Errors
    /// Malformed TOML, a value of the wrong type, or the types at the top level.
    pub fn parse(text: &str, path: &std::path::Path) -> Result<Self> {
        let _ = (text, path);
        todo!()
    }

    /// The form that restoration writes: `[metadata]` alone; nothing at all without metadata.
    pub fn metadata_to_toml(metadata: Option<&Value>) -> String {
        let _ = metadata;
        todo!()
    }
}
