//! What extensions did to the run image: the extender leaves an image in `<extended>/run` (FACTS 5.5).

use crate::extend;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_image::layer::{Layer, LayerSource, Outputs, Spool, Workers, open_stored, pack};
use lifecycle_image::oci::{Config, Platform};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::layout::LayoutStore;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The extended run image.
pub struct Extension {
    /// Its configuration.
    pub config: Config,
    /// The layers that extensions made, each with its place in the image.
    layers: Vec<(usize, Layer)>,
}

impl Extension {
    /// Looks into `<extended>/run`, an OCI layout below a directory named after its digest; nothing if there is none.
    ///
    /// # Errors
    /// There are several, or one is malformed.
    pub fn read(extended_dir: &Path) -> Result<Option<Self>> {
        let parent = extended_dir.join("run");
        let Ok(entries) = parent.read_dir() else {
            return Ok(None);
        };
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let layout = match entries.as_slice() {
            [] => return Ok(None),
            [layout] => layout.path(),
            several => {
                let cause = format!(
                    "expected one image in {}, found {}",
                    parent.display(),
                    several.len()
                );
                return Err(Error::other(cause));
            }
        };
        let store = LayoutStore {
            root: PathBuf::new(),
            platform: Platform::host(),
        };
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("no image in {}", layout.display()),
            )
        };
        let opened = store
            .open(&layout.display().to_string())?
            .ok_or_else(missing)?;
        let mut layers = Vec::new();
        for (index, layer) in opened.image.layers.into_iter().enumerate() {
            // The base image's layers are named, and nothing more.
            let made = match &layer.source {
                LayerSource::Stored { descriptor, blobs } => blobs.holds(descriptor)?,
                _ => true,
            };
            if made {
                layers.push((index, layer));
            }
        }
        Ok(Some(Self {
            config: opened.image.config,
            layers,
        }))
    }

    /// The layers as the app image gets them, with the one time that all its layers have.
    ///
    /// # Errors
    /// A layer's data is malformed, or cannot be written to `spool_dir`.
    pub(super) fn layers(&self, spool_dir: &Path, workers: &Workers) -> Result<Vec<Layer>> {
        let layers = self.layers.iter().map(|(index, layer)| {
            rewritten(layer, spool_dir, workers).context(|| format!("rewrite layer {index}"))
        });
        layers.collect()
    }
}

fn rewritten(layer: &Layer, spool_dir: &Path, workers: &Workers) -> Result<Layer> {
    let tar = open_stored(layer)?;
    let blob = Spool::gzip(spool_dir);
    let outputs = Outputs {
        blob: Some(blob),
        tar: None,
    };
    let built = pack(
        |out| extend::with_constant_times(tar, out),
        outputs,
        workers,
    )?;
    let blob = built
        .blob
        .ok_or_else(|| Error::other("the layer was not compressed"))?;
    Ok(Layer {
        diff_id: built.diff_id,
        history: layer.history.clone(),
        source: LayerSource::Spooled(Arc::new(blob)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_image::image::Image;
    use lifecycle_image::layer::LayerRecipe;
    use lifecycle_image::layer::MadeEntry;
    use lifecycle_image::oci::{History, ManifestKind};

    /// An extended image of `layers`, the first of them without its data.
    fn extended(dir: &Path, layers: usize) {
        let workers = Workers::for_machine();
        let layer = |index| {
            let recipe = LayerRecipe::Entries(vec![MadeEntry::Directory(format!("d{index}"))]);
            let blob = Some(Spool::gzip(dir));
            let built =
                lifecycle_image::layer::build(&recipe, Outputs { blob, tar: None }, &workers)
                    .unwrap();
            Layer {
                diff_id: built.diff_id,
                history: Some(History {
                    created_by: format!("by {index}"),
                    ..History::default()
                }),
                source: LayerSource::Spooled(Arc::new(built.blob.unwrap())),
            }
        };
        let image = Image::new(ManifestKind::Oci, Config::new("linux", "amd64"));
        let image = image.append((0..layers).map(layer));
        let store = LayoutStore {
            root: PathBuf::new(),
            platform: Platform::host(),
        };
        let layout = dir.join("run/sha256:x");
        store.save(&image, &[layout.display().to_string()]).unwrap();
        if let Some(LayerSource::Spooled(base)) = image.layers.first().map(|layer| &layer.source) {
            let hex = base.descriptor.digest.hex();
            std::fs::remove_file(layout.join("blobs/sha256").join(hex)).unwrap();
        }
    }

    #[test]
    fn layers_with_data_are_the_extensions() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Extension::read(dir.path()).unwrap().is_none());
        extended(dir.path(), 3);
        let extension = Extension::read(dir.path()).unwrap().unwrap();
        let layers = extension
            .layers(dir.path(), &Workers::for_machine())
            .unwrap();
        let created = layers
            .iter()
            .map(|layer| layer.history.clone().unwrap().created_by);
        assert_eq!(created.collect::<Vec<_>>(), ["by 1", "by 2"]);
        // Their times were constant before.
        let before = extension.layers.iter().map(|(_, layer)| layer.diff_id);
        assert!(before.eq(layers.iter().map(|layer| layer.diff_id)));
        std::fs::create_dir(dir.path().join("run/other")).unwrap();
        assert!(Extension::read(dir.path()).is_err());
    }
}
