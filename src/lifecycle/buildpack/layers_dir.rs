//! A buildpack's directory below `<layers>` as the phases after build find it.

use crate::log::Log;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::layer::LayerMetadata;
use lifecycle_core::data::store::Store;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{DOCUMENT_LIMIT, read_if_exists};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a buildpack has in its layers directory.
#[derive(Debug)]
pub struct LayersDir {
    /// The directory.
    pub path: PathBuf,
    /// Its store.toml.
    pub store: Option<Store>,
    /// Its layers, sorted by name. A layer is a directory, a `<layer>.toml`, or both.
    pub layers: Vec<LayerDir>,
    items: Vec<String>,
}

/// One layer on disk.
#[derive(Debug)]
pub struct LayerDir {
    /// `<buildpack id>:<layer>`, what messages call it.
    pub identifier: String,
    /// The layer's name.
    pub name: String,
    /// Its directory, which may not exist.
    pub path: PathBuf,
    /// Its `<layer>.toml`; all types are off when there is none.
    pub metadata: Result<LayerMetadata>,
}

impl LayersDir {
    /// Reads the directory of `buildpack`, which may not exist.
    ///
    /// # Errors
    /// The directory or store.toml cannot be read.
    pub fn read(layers_dir: &Path, buildpack: &GroupElement) -> Result<Self> {
        let path = layers_dir.join(buildpack.escaped_id());
        let items = items(&path)?;
        let (mut names, mut store) = (BTreeSet::new(), None);
        for (item, is_dir) in &items {
            match item.strip_suffix(".toml") {
                _ if *is_dir => drop(names.insert(item.as_str())),
                Some("store") => store = Some(read_store(&path, buildpack)?),
                Some("launch" | "build") | None => {}
                Some(layer) => drop(names.insert(layer)),
            }
        }
        let layers = names.into_iter().map(|name| LayerDir {
            identifier: format!("{}:{name}", buildpack.id),
            name: name.to_owned(),
            path: path.join(name),
            metadata: read_metadata(&path, name),
        });
        let layers = layers.collect();
        let items = items.into_iter().map(|(item, _)| item).collect();
        Ok(Self {
            path,
            store,
            layers,
            items,
        })
    }

    /// Logs what was read, where the contract has it.
    pub fn describe(&self, log: &Log) {
        log.debug(format_args!(
            "Reading buildpack directory: {}",
            self.path.display()
        ));
        for item in &self.items {
            log.debug(format_args!("Reading buildpack directory item: {item}"));
        }
    }

    /// The identifiers of layers whose `<layer>.toml` cannot be used.
    pub fn malformed(&self) -> Vec<&str> {
        let malformed = self.layers.iter().filter(|layer| layer.metadata.is_err());
        malformed.map(|layer| layer.identifier.as_str()).collect()
    }
}

impl LayerDir {
    /// Whether there is anything at the layer's path.
    pub fn has_contents(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }
}

/// The entries of a directory with whether they are directories, sorted; none if it does not exist.
fn items(dir: &Path) -> Result<Vec<(String, bool)>> {
    let context = || format!("read {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(context)?,
    };
    let mut items = Vec::new();
    for entry in entries {
        let entry = entry.context(context)?;
        let is_dir = entry.file_type().context(context)?.is_dir();
        items.push((entry.file_name().to_string_lossy().into_owned(), is_dir));
    }
    items.sort();
    Ok(items)
}

fn read_store(dir: &Path, buildpack: &GroupElement) -> Result<Store> {
    let read = || {
        Store::parse(&read_if_exists(&dir.join("store.toml"), DOCUMENT_LIMIT)?.unwrap_or_default())
    };
    read().context(|| {
        format!(
            "failed decoding store.toml for buildpack {:?}",
            buildpack.id
        )
    })
}

fn read_metadata(dir: &Path, name: &str) -> Result<LayerMetadata> {
    // These would stand for the directory itself or the one above.
    if ["", ".", ".."].contains(&name) {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("'{name}' cannot be a layer"),
        ));
    }
    let path = dir.join(format!("{name}.toml"));
    match read_if_exists(&path, DOCUMENT_LIMIT)? {
        Some(text) => LayerMetadata::parse(&text, &path),
        None => Ok(LayerMetadata::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_core::data::ModuleKind;

    fn read(files: &[(&str, &str)]) -> Result<LayersDir> {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join("a_b").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let buildpack = GroupElement {
            kind: ModuleKind::Buildpack,
            id: "a/b".to_owned(),
            version: "1".to_owned(),
            api: "0.10".to_owned(),
            homepage: None,
            optional: false,
        };
        LayersDir::read(dir.path(), &buildpack)
    }

    fn check(files: &[(&str, &str)], layers: &str, malformed: &[&str]) {
        let dir = read(files).unwrap();
        let layer = |layer: &LayerDir| {
            let types = layer
                .metadata
                .as_ref()
                .map(|metadata| metadata.types)
                .unwrap_or_default();
            format!(
                "{}:{}{}",
                layer.name,
                u8::from(types.launch),
                u8::from(types.cache)
            )
        };
        assert_eq!(
            dir.layers.iter().map(layer).collect::<Vec<_>>().join(" "),
            layers
        );
        assert_eq!(dir.malformed(), malformed);
    }

    #[test]
    fn layers_are_directories_and_documents() {
        check(&[], "", &[]);
        let launch = "[types]\nlaunch = true\n";
        check(
            &[
                ("l/f", ""),
                ("l.toml", launch),
                ("only.toml", launch),
                ("dir/f", ""),
            ],
            "dir:00 l:10 only:10",
            &[],
        );
        check(
            &[
                ("launch.toml", ""),
                ("build.toml", ""),
                ("store.toml", ""),
                ("x.sbom.cdx.json", ""),
            ],
            "",
            &[],
        );
        check(
            &[("l.toml", "["), ("...toml", launch), (".toml", launch)],
            ":00 ..:00 l:00",
            &["a/b:", "a/b:..", "a/b:l"],
        );
        assert!(
            read(&[("store.toml", "[metadata]\na = 1\n")])
                .unwrap()
                .store
                .unwrap()
                .metadata
                .is_some()
        );
        let error = read(&[("store.toml", "[")]).unwrap_err().to_string();
        assert!(
            error.starts_with("failed decoding store.toml for buildpack \"a/b\": "),
            "{error}"
        );
    }
}
