//! A cache as an image in a registry (FACTS 8.4): a label names the layers, the image's blobs are they.

use super::{Cache, CacheForm, CacheUpdate, CachedLayer};
use crate::image::Image;
use crate::layer::{
    Layer, LayerRecipe, LayerSource, Outputs, Spool, SpooledBlob, Workers, build, decompress,
};
use crate::oci::{Config, DiffId, ManifestKind};
use crate::store::{ImageStore, Opened};
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::env::temp_dir;
use std::io::Read;
use std::num::NonZero;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// The label that says what the layers are.
pub const METADATA_LABEL: &str = "io.buildpacks.lifecycle.cache.metadata";
const CREATED: &str = "1980-01-01T00:00:01Z";

/// What happens to the old image once the new one is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldImage {
    /// It stays, for as long as the registry keeps untagged images.
    Stays,
    /// It is deleted by its digest (before Platform API 0.13).
    Deleted,
}

/// A cache image.
pub struct ImageCache {
    store: Arc<dyn ImageStore>,
    name: String,
    old: Option<Opened>,
    old_image: OldImage,
    ahead: bool,
}

impl ImageCache {
    /// The cache image `name`. A damaged one, also one that lacks layers, counts as an empty cache; the second value then says why.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub fn open(
        store: Arc<dyn ImageStore>,
        name: &str,
        old_image: OldImage,
    ) -> Result<(Self, Option<Error>)> {
        let open = store.open(name).and_then(|old| {
            old.iter().try_for_each(|old| store.check_blobs(old))?;
            Ok(old)
        });
        let (old, damage) = match open {
            Ok(old) => (old, None),
            Err(error) if error.kind() == ErrorKind::Corrupt => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let cache = Self {
            store,
            name: name.to_owned(),
            old,
            old_image,
            ahead: false,
        };
        Ok((cache, damage))
    }

    /// With new layers on their way as soon as they are made, beside those of the app image (`-parallel`), instead of
    /// after it. The image itself always comes last.
    #[must_use]
    pub fn uploading_ahead(self, ahead: bool) -> Self {
        Self { ahead, ..self }
    }

    fn find(&self, diff_id: &DiffId) -> Option<&Layer> {
        let image = &self.old.as_ref()?.image;
        image.layers.iter().find(|layer| layer.diff_id == *diff_id)
    }
}

impl Cache for ImageCache {
    fn metadata(&self) -> Result<Option<CacheMetadata>> {
        let Some(old) = &self.old else {
            return Ok(None);
        };
        let label = old.image.config.label(METADATA_LABEL).unwrap_or_default();
        Ok(Some(CacheMetadata::parse_json(label).unwrap_or_default()))
    }

    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        let missing = || {
            let cause = format!("failed to find cache layer with SHA '{diff_id}'");
            Error::new(ErrorKind::NotFound, cause)
        };
        let layer = self.find(diff_id).ok_or_else(missing)?;
        let LayerSource::Stored { descriptor, blobs } = &layer.source else {
            return Err(missing());
        };
        let blob = blobs.open(descriptor)?.ok_or_else(missing)?;
        let tar = decompress(blob).context(|| format!("read cache layer {diff_id}"))?;
        Ok(Box::new(tar))
    }

    /// Nothing to do: a registry's blob has the right digest or none.
    fn discard(&self, _: &DiffId) {}

    fn bytes_sent(&self) -> u64 {
        self.store.bytes_sent()
    }

    fn update(&self) -> Result<Box<dyn CacheUpdate>> {
        Ok(Box::new(ImageCacheUpdate {
            store: Arc::clone(&self.store),
            name: self.name.clone(),
            old: self.old.clone(),
            old_image: self.old_image,
            ahead: self.ahead,
            layers: Vec::new(),
        }))
    }
}

struct ImageCacheUpdate {
    store: Arc<dyn ImageStore>,
    name: String,
    old: Option<Opened>,
    old_image: OldImage,
    ahead: bool,
    layers: Vec<Layer>,
}

impl ImageCacheUpdate {
    fn old_layer(&self, diff_id: &DiffId) -> Option<&Layer> {
        let image = &self.old.as_ref()?.image;
        image.layers.iter().find(|layer| layer.diff_id == *diff_id)
    }

    fn push(&mut self, layer: Layer) {
        if self
            .layers
            .iter()
            .all(|other| other.diff_id != layer.diff_id)
        {
            self.layers.push(layer);
        }
    }
}

impl CacheUpdate for ImageCacheUpdate {
    fn form(&self) -> CacheForm {
        CacheForm::Blob
    }

    fn announce(&self, blob: &Arc<SpooledBlob>) {
        if self.ahead {
            let names = std::slice::from_ref(&self.name);
            self.store.start_upload(blob, names);
        }
    }

    fn new_tar(&self) -> Result<NamedTempFile> {
        Err(Error::other("a cache image takes compressed layers"))
    }

    fn add(&mut self, diff_id: &DiffId, layer: CachedLayer) -> Result<()> {
        let CachedLayer::Blob(blob) = layer else {
            return Err(Error::other("a cache image takes compressed layers"));
        };
        let source = LayerSource::Spooled(blob);
        self.push(Layer {
            diff_id: *diff_id,
            history: None,
            source,
        });
        Ok(())
    }

    fn holds(&self, diff_id: &DiffId) -> bool {
        self.old_layer(diff_id).is_some()
    }

    fn reuse(&mut self, diff_id: &DiffId) -> Result<()> {
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("no cache layer with SHA '{diff_id}'"),
            )
        };
        let mut layer = self.old_layer(diff_id).cloned().ok_or_else(missing)?;
        layer.history = None;
        self.push(layer);
        Ok(())
    }

    fn commit(mut self: Box<Self>, metadata: &CacheMetadata) -> Result<Option<Error>> {
        if self.layers.is_empty() {
            self.layers.push(empty_layer()?);
        }
        let config = Config::new("linux", "")
            .with_created(CREATED)
            .with_label(METADATA_LABEL, &metadata.to_json());
        let image = Image::new(ManifestKind::Oci, config).append(self.layers);
        let saved = self.store.save(&image, std::slice::from_ref(&self.name))?;
        saved.names.into_iter().try_for_each(|(_, result)| result)?;
        let new = saved
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        match self.old.filter(|old| !old.identifier.ends_with(&new)) {
            Some(old) if self.old_image == OldImage::Deleted => {
                let deleted = self.store.delete(&old.identifier);
                Ok(deleted.context(|| "Unable to delete cache image").err())
            }
            _ => Ok(None),
        }
    }
}

/// The layer of a cache without layers, because registries want one.
fn empty_layer() -> Result<Layer> {
    let directory = &temp_dir();
    let blob = Some(Spool::gzip(directory));
    let outputs = Outputs { blob, tar: None };
    let built = build(
        &LayerRecipe::Entries(Vec::new()),
        outputs,
        &Workers::new(NonZero::<usize>::MIN),
    )?;
    let blob = built
        .blob
        .ok_or_else(|| Error::other("the empty layer was not compressed"))?;
    let source = LayerSource::Spooled(Arc::new(blob));
    Ok(Layer {
        diff_id: built.diff_id,
        history: None,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use crate::store::Saved;
    use std::sync::Mutex;

    /// A store with one name, which remembers what is deleted.
    #[derive(Default)]
    struct OneName {
        image: Mutex<Option<Opened>>,
        deleted: Mutex<Vec<String>>,
    }

    impl ImageStore for OneName {
        fn open(&self, _: &str) -> Result<Option<Opened>> {
            Ok(self.image.lock().unwrap().clone())
        }

        fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
            let label = image.config.label(METADATA_LABEL).unwrap_or_default();
            let digest = Digest::of(label.as_bytes());
            let identifier = format!("{}@{digest}", names[0]);
            let image = image.clone();
            *self.image.lock().unwrap() = Some(Opened { image, identifier });
            Ok(Saved {
                short_id: digest.to_string(),
                digest: Some(digest),
                image_id: None,
                manifest_size: None,
                names: names.iter().map(|name| (name.clone(), Ok(()))).collect(),
            })
        }

        fn delete(&self, identifier: &str) -> Result<()> {
            self.deleted.lock().unwrap().push(identifier.to_owned());
            Err(Error::other("not here"))
        }
    }

    fn commit(store: &Arc<OneName>, old_image: OldImage, sbom: &str) -> Option<String> {
        let dynamic: Arc<dyn ImageStore> = Arc::<OneName>::clone(store);
        let (cache, damage) = ImageCache::open(dynamic, "cache", old_image).unwrap();
        assert!(damage.is_none());
        let metadata = CacheMetadata {
            sbom: sbom.to_owned(),
            buildpacks: None,
        };
        let leftover = cache.update().unwrap().commit(&metadata).unwrap();
        leftover.map(|error| error.to_string())
    }

    #[test]
    fn only_an_old_image_is_deleted() {
        let store = Arc::new(OneName::default());
        assert_eq!(commit(&store, OldImage::Deleted, "1"), None);
        let first = store.open("cache").unwrap().unwrap().identifier;
        assert_eq!(
            commit(&store, OldImage::Deleted, "1"),
            None,
            "the same image again"
        );
        let warning = "Unable to delete cache image: not here";
        assert_eq!(
            commit(&store, OldImage::Deleted, "2").as_deref(),
            Some(warning)
        );
        assert_eq!(commit(&store, OldImage::Stays, "3"), None);
        assert_eq!(*store.deleted.lock().unwrap(), [first]);
    }

    #[test]
    fn a_reused_layer_is_listed_once() {
        let store = Arc::new(OneName::default());
        commit(&store, OldImage::Stays, "");
        let dynamic: Arc<dyn ImageStore> = Arc::<OneName>::clone(&store);
        let (cache, _) = ImageCache::open(dynamic, "cache", OldImage::Stays).unwrap();
        let diff_id = store.open("cache").unwrap().unwrap().image.layers[0].diff_id;
        let mut update = cache.update().unwrap();
        assert!(update.holds(&diff_id));
        update.reuse(&diff_id).unwrap();
        update.reuse(&diff_id).unwrap();
        update.commit(&CacheMetadata::default()).unwrap();
        let layers = store.open("cache").unwrap().unwrap().image.layers;
        assert_eq!(layers.len(), 1);
    }

    #[test]
    fn a_cache_without_layers_gets_an_empty_one() {
        let store = Arc::new(OneName::default());
        commit(&store, OldImage::Stays, "");
        let image = store.open("cache").unwrap().unwrap().image;
        let empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        let layers: Vec<_> = image
            .layers
            .iter()
            .map(|layer| layer.diff_id.to_string())
            .collect();
        assert_eq!(layers, [empty]);
    }
}
