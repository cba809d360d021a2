//! Images as immutable values; edits return new images.

use crate::layer::{BlobSource, Layer, LayerSource};
use crate::oci::{Config, Descriptor, DiffId, History, Manifest, ManifestKind};
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::value::Table;
use std::io::Read;
use std::sync::Arc;

/// An image: configuration and layers. Nothing is written before a store saves it.
#[derive(Clone)]
pub struct Image {
    /// Docker's or OCI's media types.
    pub kind: ManifestKind,
    /// The configuration. `rootfs.diff_ids` and `history` are derived from `layers` when the image is saved.
    pub config: Config,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
    /// The manifest's annotations.
    pub annotations: Table,
    /// The documents as the store had them, while the image is unchanged since it was opened.
    pub origin: Option<Arc<Documents>>,
}

/// The bytes of an image's documents, ready to be written.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The configuration.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Names the configuration.
    pub config_descriptor: Descriptor,
    /// Names the manifest.
    pub manifest_descriptor: Descriptor,
}

impl Documents {
    /// The documents that a store has.
    pub fn stored(config: Vec<u8>, manifest: Vec<u8>, kind: ManifestKind) -> Self {
        Self {
            config_descriptor: Descriptor::of(&config, kind.config()),
            manifest_descriptor: Descriptor::of(&manifest, kind.manifest()),
            config,
            manifest,
        }
    }
}

/// Where there are no blobs.
struct NoData;

impl BlobSource for NoData {
    fn open(&self, _: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(None)
    }

    fn holds(&self, _: &Descriptor) -> Result<bool> {
        Ok(false)
    }
}

impl Image {
    /// An image without layers.
    pub fn new(kind: ManifestKind, config: Config) -> Self {
        Self {
            kind,
            config,
            layers: Vec::new(),
            annotations: Table::new(),
            origin: None,
        }
    }

    /// The image that a store found: `origin` is what `manifest` and `config` were read from, `blobs` holds its layers.
    ///
    /// # Errors
    /// Kind `Corrupt`: manifest and configuration do not belong together.
    pub fn opened(
        origin: Documents,
        manifest: Manifest,
        config: Config,
        blobs: &Arc<dyn BlobSource>,
    ) -> Result<Self> {
        let diff_ids = config.diff_ids()?;
        if diff_ids.len() != manifest.layers.len() {
            let cause = format!(
                "{} layers in the manifest, {} in the config",
                manifest.layers.len(),
                diff_ids.len()
            );
            return Err(Error::new(ErrorKind::Corrupt, cause));
        }
        let history = History::per_layer(config.history(), diff_ids.len());
        let layers = diff_ids.into_iter().zip(manifest.layers).zip(history);
        let layers = layers.map(|((diff_id, descriptor), history)| {
            let source = LayerSource::Stored {
                descriptor,
                blobs: Arc::clone(blobs),
            };
            Layer {
                diff_id,
                history,
                source,
            }
        });
        let (kind, annotations) = (manifest.kind, manifest.annotations);
        Ok(Self {
            kind,
            config,
            layers: layers.collect(),
            annotations,
            origin: Some(Arc::new(origin)),
        })
    }

    /// The layer with this diffID.
    ///
    /// # Errors
    /// Kind `NotFound`: the image has no such layer.
    pub fn layer(&self, diff_id: &DiffId) -> Result<&Layer> {
        let layer = self.layers.iter().find(|layer| layer.diff_id == *diff_id);
        layer.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("image has no layer with diffID {diff_id}"),
            )
        })
    }

    /// With more layers on top.
    #[must_use]
    pub fn append(mut self, layers: impl IntoIterator<Item = Layer>) -> Self {
        self.layers.extend(layers);
        self.origin = None;
        self
    }

    /// With another configuration.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self.origin = None;
        self
    }

    /// With the annotation `key` on its manifest.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key, value);
        self.origin = None;
        self
    }

    /// With `f` applied to every layer's history entry.
    #[must_use]
    pub fn map_history(mut self, f: impl Fn(Option<History>) -> Option<History>) -> Self {
        self.layers
            .iter_mut()
            .for_each(|layer| layer.history = f(layer.history.take()));
        self.origin = None;
        self
    }

    /// Without the data of layers that a store holds: what is saved of it names them and no more (a sparse layout).
    #[must_use]
    pub fn sparse(mut self) -> Self {
        for layer in &mut self.layers {
            if let LayerSource::Stored { blobs, .. } = &mut layer.source {
                *blobs = Arc::new(NoData);
            }
        }
        self
    }

    /// The configuration's and the manifest's bytes, as they were while nothing has changed, else when the layers are stored under `layers` (one descriptor each,
    /// bottom first). Layer media types are put into the words of the manifest's kind. A layer without history gets
    /// an entry that only has the image's time.
    pub fn documents(&self, layers: Vec<Descriptor>) -> Documents {
        if let Some(origin) = &self.origin {
            return Documents::clone(origin);
        }
        let created = || self.config.created().to_owned();
        let blank = || History {
            created: created(),
            ..History::default()
        };
        let history: Vec<_> = self
            .layers
            .iter()
            .map(|layer| layer.history.clone().unwrap_or_else(blank))
            .collect();
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| layer.diff_id).collect();
        let config = self
            .config
            .clone()
            .with_layers(&diff_ids, &history)
            .to_json()
            .into_bytes();
        let config_descriptor = Descriptor::of(&config, self.kind.config());
        let in_kind = |layer: Descriptor| Descriptor {
            media_type: self.kind.layer_as(&layer.media_type),
            ..layer
        };
        let manifest = Manifest {
            kind: self.kind,
            config: config_descriptor.clone(),
            layers: layers.into_iter().map(in_kind).collect(),
            annotations: self.annotations.clone(),
        };
        let manifest = manifest.to_json().into_bytes();
        let manifest_descriptor = Descriptor::of(&manifest, self.kind.manifest());
        Documents {
            config,
            manifest,
            config_descriptor,
            manifest_descriptor,
        }
    }
}
