//! Layers whose diffID is known without reading their files: restoration made the files, and nobody changed them since.

use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::{Table, Value};
use lifecycle_image::layer::LayerRecipe;
use lifecycle_image::layer::extract::Extracted;
use lifecycle_image::layer::fingerprint::{Fingerprint, settle};
use lifecycle_image::oci::DiffId;
use std::collections::BTreeMap;
use std::path::Path;

/// A layer that was restored.
pub struct RestoredLayer {
    /// `<buildpack id>:<layer>`.
    pub identifier: String,
    /// The digest of the tar that its files came from.
    pub diff_id: DiffId,
    /// Its files.
    pub extracted: Extracted,
}

/// Restored layers by identifier. Kept only where buildpacks cannot write.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownLayers(BTreeMap<String, KnownLayer>);

/// What is known about a layer as long as its files have this fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownLayer {
    fingerprint: Fingerprint,
    diff_id: DiffId,
}

impl KnownLayers {
    /// Remembers the layers that were restored into `layers_dir`, before anybody else may change files there. Nothing
    /// is known where changes could go unnoticed.
    pub fn remember(restored: Vec<RestoredLayer>, layers_dir: &Path) -> Self {
        let last_change = restored.iter().map(|layer| layer.extracted.last_change);
        let settled = last_change.max().map(|last| settle(layers_dir, last));
        if !settled.is_some_and(|settled| settled.unwrap_or(false)) {
            return Self::default();
        }
        let remember = |layer: RestoredLayer| {
            let known = KnownLayer {
                fingerprint: layer.extracted.fingerprint,
                diff_id: layer.diff_id,
            };
            (layer.identifier, known)
        };
        Self(restored.into_iter().map(remember).collect())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known about the layer `identifier`.
    pub fn get(&self, identifier: &str) -> Option<KnownLayer> {
        self.0.get(identifier).copied()
    }

    /// The form in which one phase leaves it to the next.
    pub fn to_json(&self) -> String {
        let layer = |(identifier, known): (&String, &KnownLayer)| {
            let fingerprint = known.fingerprint.to_string();
            let table = Table::new().with("fingerprint", fingerprint);
            let table = table.with("diffID", known.diff_id.to_string());
            (identifier.clone(), Value::Table(table))
        };
        json::to_string(&Value::Table(self.0.iter().map(layer).collect()))
    }

    /// Reads [`KnownLayers::to_json`].
    ///
    /// # Errors
    /// Kind `Corrupt` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::Corrupt, "not a list of restored layers");
        let Value::Table(table) = json::parse(text, Numbers::Exact)? else {
            return Err(malformed());
        };
        let layer = |(identifier, value): (&str, &Value)| {
            let text = |key: &str| value.as_table()?.get(key)?.as_str();
            let known = KnownLayer {
                fingerprint: Fingerprint::parse(text("fingerprint").ok_or_else(malformed)?)?,
                diff_id: DiffId::parse(text("diffID").ok_or_else(malformed)?)?,
            };
            Ok((identifier.to_owned(), known))
        };
        table.iter().map(layer).collect::<Result<_>>().map(Self)
    }
}

impl KnownLayer {
    /// The diffID, unless a file has changed since.
    pub fn diff_id(&self, recipe: &LayerRecipe) -> Option<DiffId> {
        (Fingerprint::of(recipe).ok()? == self.fingerprint).then_some(self.diff_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_image::layer::{self, Outputs, Workers, extract::extract};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn recipe(path: &Path) -> LayerRecipe {
        LayerRecipe::Directory {
            path: path.to_owned(),
            uid: 1,
            gid: 2,
        }
    }

    /// Whether a restored layer is still known after `change` to its directory.
    fn check(change: impl FnOnce(&Path), known: bool) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("bp/layer");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/file"), "content").unwrap();
        let (mut tar, workers) = (Vec::new(), Workers::for_machine());
        let outputs = Outputs {
            blob: None,
            tar: Some(&mut tar),
        };
        let diff_id = layer::build(&recipe(&root), outputs, &workers)
            .unwrap()
            .diff_id;
        fs::remove_dir_all(&root).unwrap();
        let extracted = extract(&*tar, diff_id, dir.path(), &root, &workers).unwrap();
        let identifier = "bp:layer".to_owned();
        let restored = RestoredLayer {
            identifier,
            diff_id,
            extracted,
        };
        let layers = KnownLayers::remember(vec![restored], dir.path());
        assert_eq!(KnownLayers::parse(&layers.to_json()).unwrap(), layers);
        change(&root);
        let found = layers.get("bp:layer");
        let found = found.and_then(|layer| layer.diff_id(&recipe(&root)));
        // In a tmpfs nothing is ever known.
        let known = known && !layers.is_empty();
        assert_eq!(found, known.then_some(diff_id));
    }

    #[test]
    fn restored_layers_are_known_until_they_change() {
        check(|_| (), true);
        check(
            |root| fs::write(root.join("sub/file"), "CONTENT").unwrap(),
            false,
        );
        check(
            |root| {
                let path = root.join("sub/file");
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, "CONTENT").unwrap();
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(modified).unwrap();
            },
            false,
        );
        check(|root| fs::write(root.join("sub/new"), "").unwrap(), false);
        check(
            |root| fs::remove_file(root.join("sub/file")).unwrap(),
            false,
        );
        check(|root| fs::remove_dir_all(root).unwrap(), false);
        check(
            |root| fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap(),
            false,
        );
        check(
            |root| {
                fs::copy(root.join("sub/file"), root.join("copy")).unwrap();
                fs::rename(root.join("copy"), root.join("sub/file")).unwrap();
            },
            false,
        );
    }

    #[test]
    fn other_documents_are_refused() {
        for text in [
            "",
            "[]",
            r#"{"a:b":1}"#,
            r#"{"a:b":{"fingerprint":"x","diffID":"y"}}"#,
        ] {
            assert!(KnownLayers::parse(text).is_err(), "{text}");
        }
        assert_eq!(KnownLayers::parse("{}").unwrap(), KnownLayers::default());
    }
}
