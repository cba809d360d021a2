//! Manifests and indexes, Docker's and OCI's.

use super::documents::{corrupt, object};
use super::{Descriptor, ManifestKind, Platform};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::json;
use lifecycle_core::value::{Table, Value};

/// The largest manifest or index that is read, in bytes (the limit that registries have).
pub const MAX_MANIFEST: u64 = 4 << 20;

/// An image manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Whose media types it has.
    pub kind: ManifestKind,
    /// Names the configuration.
    pub config: Descriptor,
    /// Names the layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// Annotations, text to text.
    pub annotations: Table,
}

/// A list of manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// Names the manifests.
    pub manifests: Vec<Descriptor>,
}

/// What can be under a name: an image or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several images.
    Index(Index),
}

impl Document {
    /// Reads a manifest or an index. `media_type` is what the descriptor or the HTTP header said, `""` if nothing;
    /// a `mediaType` inside the document has to agree with it.
    ///
    /// # Errors
    /// Kind `Corrupt`: malformed, ambiguous, or an unsupported media type.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Self> {
        let table = object(bytes, "manifest")?;
        let inside = table
            .get("mediaType")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !inside.is_empty() && !media_type.is_empty() && inside != media_type {
            return Err(corrupt(format!(
                "manifest: media type '{inside}' where '{media_type}' was announced"
            )));
        }
        let (manifests, layers) = (table.get("manifests"), table.get("layers"));
        let kinds = [ManifestKind::Docker, ManifestKind::Oci];
        let stated = if inside.is_empty() {
            media_type
        } else {
            inside
        };
        let manifest_kind = match kinds.into_iter().find(|kind| kind.manifest() == stated) {
            None if stated.is_empty() && layers.is_some() => Some(ManifestKind::Oci),
            found => found,
        };
        let is_index = kinds.iter().any(|kind| kind.index() == stated)
            || (stated.is_empty() && manifests.is_some());
        // A document that is both could be read as another image by every reader.
        if manifests.is_some() && layers.is_some() {
            return Err(corrupt(
                "manifest: both 'layers' and 'manifests'".to_owned(),
            ));
        }
        match manifest_kind {
            Some(kind) => Manifest::from_table(kind, &table)
                .map(Self::Manifest)
                .context(|| "manifest"),
            None if is_index => descriptors(manifests)
                .map(|manifests| Self::Index(Index { manifests }))
                .context(|| "index"),
            None => Err(corrupt(format!(
                "manifest: unsupported media type '{stated}'"
            ))),
        }
    }
}

impl Manifest {
    fn from_table(kind: ManifestKind, table: &Table) -> Result<Self> {
        let config = table
            .get("config")
            .ok_or_else(|| corrupt("no 'config'".to_owned()))?;
        let annotations = table
            .get("annotations")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        let layers = descriptors(table.get("layers"))?;
        Ok(Self {
            kind,
            config: Descriptor::from_value(config)?,
            layers,
            annotations,
        })
    }

    /// The manifest's bytes.
    pub fn to_json(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(Descriptor::to_table).collect();
        let annotations = Some(self.annotations.clone().sorted()).filter(|table| !table.is_empty());
        let table = Table::new()
            .with("schemaVersion", 2)
            .with("mediaType", self.kind.manifest())
            .with("config", self.config.to_table())
            .with("layers", layers)
            .with_some("annotations", annotations);
        json::to_string(&Value::Table(table))
    }
}

impl Index {
    /// The bytes of an OCI index.
    pub fn to_json(&self) -> String {
        let manifests: Vec<_> = self.manifests.iter().map(Descriptor::to_table).collect();
        let table = Table::new()
            .with("schemaVersion", 2)
            .with("mediaType", ManifestKind::Oci.index())
            .with("manifests", manifests);
        json::to_string(&Value::Table(table))
    }

    /// The first manifest for `platform`; one without a platform counts as linux on amd64.
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let default = || Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
        };
        self.manifests
            .iter()
            .find(|manifest| manifest.platform().unwrap_or_else(default) == *platform)
    }
}

fn descriptors(value: Option<&Value>) -> Result<Vec<Descriptor>> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(Descriptor::from_value).collect(),
        Some(_) => Err(corrupt("not a list of descriptors".to_owned())),
    }
}
