//! `<layer>.toml`.

use super::decode::from_toml;
use crate::error::{Error, Result};
use crate::toml;
use crate::value::{Table, Value};

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
        from_toml(text, |root| {
            let types = root.table("types", |types| {
                Ok(LayerTypes {
                    launch: types.flag("launch")?,
                    build: types.flag("build")?,
                    cache: types.flag("cache")?,
                })
            })?;
            if ["build", "launch", "cache"]
                .into_iter()
                .any(|key| root.has(key))
            {
                return Err(Error::other(format!(
                    "the launch, cache and build flags should be in the types table of {}",
                    path.display()
                )));
            }
            Ok(Self {
                types: types.unwrap_or_default(),
                metadata: root.any("metadata"),
            })
        })
    }

    /// The form that restoration writes: `[metadata]` alone; nothing at all without metadata.
    pub fn metadata_to_toml(metadata: Option<&Value>) -> String {
        toml::to_string(&Table::new().with_some("metadata", metadata.cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check(text: &str, expected: std::result::Result<(LayerTypes, &str), &str>) {
        let result = LayerMetadata::parse(text, Path::new("/layers/a/x.toml"));
        let summary = result.map(|layer| {
            (
                layer.types,
                LayerMetadata::metadata_to_toml(layer.metadata.as_ref()),
            )
        });
        assert_eq!(
            summary.map_err(|error| error.to_string()),
            expected
                .map(|(types, toml)| (types, toml.to_owned()))
                .map_err(str::to_owned)
        );
    }

    #[test]
    fn types_have_their_table() {
        let none = LayerTypes::default();
        check("", Ok((none, "")));
        check(
            "[types]\nlaunch = true\ncache = true\n[metadata]\nb = 1\na = 2",
            Ok((
                LayerTypes {
                    launch: true,
                    cache: true,
                    build: false,
                },
                "[metadata]\n  a = 2\n  b = 1\n",
            )),
        );
        check("metadata = 'text'", Ok((none, "metadata = \"text\"\n")));
        check(
            "build = true",
            Err(
                "the launch, cache and build flags should be in the types table of /layers/a/x.toml",
            ),
        );
        check(
            "types = 1",
            Err(
                "toml: key \"types\": incompatible types: TOML value has type int64; destination has type table",
            ),
        );
    }
}
