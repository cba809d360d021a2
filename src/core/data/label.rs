//! The label `io.buildpacks.lifecycle.metadata`, also inside analyzed.toml, and the cache metadata.

use super::decode::{Fields, from_json};
use super::store::Store;
use crate::error::Result;
use crate::json;
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
    /// Layers by name; `None` where the document has `null` or none.
    pub layers: Option<BTreeMap<String, LayerRecord>>,
    /// Its store.toml, if it has one.
    pub store: Option<Store>,
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
        from_json(text, |root| Self::read(root, &JSON))
    }

    /// The label's JSON, in the reference's key order (FACTS 4.1).
    pub fn to_json(&self) -> String {
        json::to_string(&Value::Table(self.to_table(&JSON)))
    }

    /// The JSON of `runImage` alone, for messages.
    pub fn run_image_json(&self) -> String {
        json::to_string(&Value::Table(self.run_image.to_table(&JSON)))
    }

    pub(super) fn read(fields: &Fields<'_>, keys: &Keys) -> Result<Self> {
        Ok(Self {
            app: fields.tables("app", |layer| layer.text_or_empty("sha"))?,
            sbom: fields.table("sbom", |layer| layer.text_or_empty("sha"))?,
            buildpacks: fields
                .tables("buildpacks", |record| BuildpackRecord::read(record, keys))?,
            config: read_sha(fields, "config")?,
            launcher: read_sha(fields, "launcher")?,
            process_types: read_sha(fields, "process-types")?,
            run_image: fields
                .table(keys.run_image, |image| RunImageRecord::read(image, keys))?
                .unwrap_or_default(),
            stack: fields.table("stack", |stack| StackRecord::read(stack, keys))?,
        })
    }

    pub(super) fn to_table(&self, keys: &Keys) -> Table {
        let app = self
            .app
            .as_ref()
            .map(|layers| Value::from(layers.iter().map(|layer| sha(layer)).collect::<Vec<_>>()));
        let buildpacks = buildpacks_value(self.buildpacks.as_deref(), keys);
        Table::new()
            .with("app", app.unwrap_or(Value::Null))
            .with_some("sbom", self.sbom.as_deref().map(sha))
            .with("buildpacks", buildpacks)
            .with("config", sha(&self.config))
            .with("launcher", sha(&self.launcher))
            .with("process-types", sha(&self.process_types))
            .with(keys.run_image, self.run_image.to_table(keys))
            .with_some(
                "stack",
                self.stack.as_ref().map(|stack| stack.to_table(keys)),
            )
    }

    /// The record of the buildpack `id`.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackRecord> {
        self.buildpacks
            .iter()
            .flatten()
            .find(|record| record.key == id)
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
        from_json(text, |root| {
            Ok(Self {
                sbom: read_sha(root, "sbom")?,
                buildpacks: root
                    .tables("buildpacks", |record| BuildpackRecord::read(record, &JSON))?,
            })
        })
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        let table = Table::new().with("sbom", sha(&self.sbom)).with(
            "buildpacks",
            buildpacks_value(self.buildpacks.as_deref(), &JSON),
        );
        json::to_string(&Value::Table(table))
    }

    /// The record of the buildpack `id`.
    pub fn buildpack(&self, id: &str) -> Option<&BuildpackRecord> {
        self.buildpacks
            .iter()
            .flatten()
            .find(|record| record.key == id)
    }
}

/// What the label calls otherwise than analyzed.toml.
pub(super) struct Keys {
    run_image: &'static str,
    stack_run_image: &'static str,
    top_layer: &'static str,
    layer_data: &'static str,
}

const JSON: Keys = Keys {
    run_image: "runImage",
    stack_run_image: "runImage",
    top_layer: "topLayer",
    layer_data: "data",
};

/// The keys of `[metadata]` in analyzed.toml.
pub(super) const TOML: Keys = Keys {
    run_image: "run-image",
    stack_run_image: "run-image",
    top_layer: "top-layer",
    layer_data: "metadata",
};

impl BuildpackRecord {
    /// The record of the layer `name`.
    pub fn layer(&self, name: &str) -> Option<&LayerRecord> {
        self.layers.as_ref()?.get(name)
    }

    fn read(fields: &Fields<'_>, keys: &Keys) -> Result<Self> {
        let layers = fields.named_tables("layers", |layer| LayerRecord::read(layer, keys))?;
        Ok(Self {
            key: fields.text_or_empty("key")?,
            version: fields.text_or_empty("version")?,
            layers: layers.map(|layers| layers.into_iter().collect()),
            store: fields.table("store", Store::read)?,
        })
    }

    fn to_table(&self, keys: &Keys) -> Table {
        let layers = self.layers.as_ref().map(|layers| {
            let entry = |(name, layer): (&String, &LayerRecord)| {
                (name.clone(), Value::Table(layer.to_table(keys)))
            };
            Value::Table(layers.iter().map(entry).collect())
        });
        let store = self.store.clone().map(|store| {
            Table::new().with("metadata", store.metadata.map_or(Value::Null, Value::Table))
        });
        Table::new()
            .with("key", self.key.as_str())
            .with("version", self.version.as_str())
            .with("layers", layers.unwrap_or(Value::Null))
            .with_some("store", store)
    }
}

impl LayerRecord {
    fn read(fields: &Fields<'_>, keys: &Keys) -> Result<Self> {
        Ok(Self {
            sha: fields.text_or_empty("sha")?,
            data: fields.any(keys.layer_data),
            build: fields.flag("build")?,
            launch: fields.flag("launch")?,
            cache: fields.flag("cache")?,
        })
    }

    fn to_table(&self, keys: &Keys) -> Table {
        Table::new()
            .with("sha", self.sha.as_str())
            .with(keys.layer_data, self.data.clone().unwrap_or(Value::Null))
            .with("build", self.build)
            .with("launch", self.launch)
            .with("cache", self.cache)
    }
}

impl RunImageRecord {
    fn read(fields: &Fields<'_>, keys: &Keys) -> Result<Self> {
        Ok(Self {
            top_layer: fields.text_or_empty(keys.top_layer)?,
            reference: fields.text_or_empty("reference")?,
            image: fields.text_or_empty("image")?,
            mirrors: fields.texts("mirrors")?.unwrap_or_default(),
        })
    }

    fn to_table(&self, keys: &Keys) -> Table {
        with_mirrors(
            Table::new()
                .with(keys.top_layer, self.top_layer.as_str())
                .with("reference", self.reference.as_str()),
            &self.image,
            &self.mirrors,
        )
    }
}

impl StackRecord {
    fn read(fields: &Fields<'_>, keys: &Keys) -> Result<Self> {
        let record = fields.table(keys.stack_run_image, |image| {
            Ok(Self {
                image: image.text_or_empty("image")?,
                mirrors: image.texts("mirrors")?.unwrap_or_default(),
            })
        })?;
        Ok(record.unwrap_or_default())
    }

    fn to_table(&self, keys: &Keys) -> Table {
        Table::new().with(
            keys.stack_run_image,
            with_mirrors(Table::new(), &self.image, &self.mirrors),
        )
    }
}

fn with_mirrors(table: Table, image: &str, mirrors: &[String]) -> Table {
    table
        .with_some("image", Some(image).filter(|image| !image.is_empty()))
        .with_some(
            "mirrors",
            Some(mirrors.to_vec()).filter(|mirrors| !mirrors.is_empty()),
        )
}

fn buildpacks_value(records: Option<&[BuildpackRecord]>, keys: &Keys) -> Value {
    let tables = |records: &[BuildpackRecord]| {
        Value::from(
            records
                .iter()
                .map(|record| record.to_table(keys))
                .collect::<Vec<_>>(),
        )
    };
    records.map_or(Value::Null, tables)
}

fn read_sha(fields: &Fields<'_>, key: &str) -> Result<String> {
    Ok(fields
        .table(key, |layer| layer.text_or_empty("sha"))?
        .unwrap_or_default())
}

fn sha(sha: &str) -> Table {
    Table::new().with("sha", sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FACTS D.2.
    const LABEL: &str = r#"{"app":[{"sha":"sha256:a1"}],"sbom":{"sha":"sha256:s"},"buildpacks":[{"key":"some/bp","version":"1.0","layers":{"a":{"sha":"sha256:l","data":{"b":"x\u003cy\u003e\u0026z","d":"2020-01-02T03:04:05Z","f":1,"n":12345678},"build":false,"launch":true,"cache":false}},"store":{"metadata":{"k":"v"}}},{"key":"other","version":"2","layers":{}}],"config":{"sha":""},"launcher":{"sha":""},"process-types":{"sha":""},"runImage":{"topLayer":"sha256:t","reference":"index.docker.io/library/run@sha256:r","image":"run","mirrors":["m"]},"stack":{"runImage":{"image":"run","mirrors":["m"]}}}"#;
    const CACHE: &str = r#"{"sbom":{"sha":""},"buildpacks":[{"key":"some/bp","version":"1.0","layers":{"l":{"sha":"sha256:l","data":null,"build":false,"launch":false,"cache":true}}}]}"#;
    const EMPTY: &str = r#"{"app":null,"buildpacks":null,"config":{"sha":""},"launcher":{"sha":""},"process-types":{"sha":""},"runImage":{"topLayer":"","reference":""}}"#;

    fn check(text: &str, expected: std::result::Result<&str, &str>) {
        let result = LayersMetadata::parse_json(text);
        assert_eq!(
            result
                .map(|label| label.to_json())
                .map_err(|error| error.to_string()),
            expected.map(str::to_owned).map_err(str::to_owned)
        );
    }

    #[test]
    fn labels_survive_reading_and_writing() {
        check(LABEL, Ok(LABEL));
        assert_eq!(CacheMetadata::parse_json(CACHE).unwrap().to_json(), CACHE);
        assert_eq!(
            CacheMetadata::default().to_json(),
            r#"{"sbom":{"sha":""},"buildpacks":null}"#
        );
    }

    #[test]
    fn reading_is_lenient_about_absence_and_strict_about_types() {
        check("{}", Ok(EMPTY));
        check("null", Ok(EMPTY));
        check(r#"{"RUNIMAGE":null,"app":null,"unknown":[1]}"#, Ok(EMPTY));
        check(
            r#"{"buildpacks":"x"}"#,
            Err(r#"json: key "buildpacks": cannot read string as slice"#),
        );
        check(
            r#"{"app":{"sha":"x"}}"#,
            Err(r#"json: key "app": cannot read object as slice"#),
        );
        check(
            r#"{"buildpacks":[{"layers":1}]}"#,
            Err(r#"json: key "buildpacks.layers": cannot read number as map"#),
        );
        check("[]", Err(r#"json: key "": cannot read array as object"#));
    }

    #[test]
    fn numbers_of_layer_metadata_become_floats() {
        let label = LayersMetadata::parse_json(LABEL).unwrap();
        let layer = label.buildpack("some/bp").unwrap().layer("a").unwrap();
        assert_eq!(
            layer.data.as_ref().unwrap().as_table().unwrap().get("n"),
            Some(&Value::Float(12_345_678.0))
        );
    }
}
