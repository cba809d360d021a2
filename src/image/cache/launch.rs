//! The launch cache: copies of layers beside a daemon, which hands out layers only with their whole image.
//!
//! It has a volume cache's form, without metadata (FACTS 9.3). Unlike the reference's it keeps only layers made of
//! directories that buildpacks need not leave behind: those of buildpacks, and SBOMs. The app's files and the launcher
//! are at hand in every export.

use super::{Cache, CacheUpdate, CachedLayer, VolumeCache};
use crate::image::Image;
use crate::layer::{self, BlobSource, LayerRecipe, LayerSource, Outputs, Workers};
use crate::oci::{Descriptor, DiffId, Verified};
use crate::store::{ImageStore, LayerForm, Opened, Saved};
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, Result};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A daemon's store with a launch cache in front of it: layers of images in the daemon are read from the cache where
/// it has them, and what is saved is cached.
pub struct LaunchCache {
    store: Arc<dyn ImageStore>,
    cache: Arc<VolumeCache>,
}

impl LaunchCache {
    /// Puts the cache in `dir` in front of `store`.
    ///
    /// # Errors
    /// Kind `NotFound` if `dir` does not exist; or it cannot be written.
    pub fn open(dir: &Path, store: Arc<dyn ImageStore>) -> Result<Self> {
        let cache = Arc::new(VolumeCache::open(dir)?);
        Ok(Self { store, cache })
    }

    /// The cache of `image` in the making. A layer that cannot be cached is left out.
    fn fill(&self, image: &Image) -> Result<Box<dyn CacheUpdate>> {
        let mut update = self.cache.update()?;
        let workers = Workers::for_machine();
        for layer in &image.layers {
            let diff_id = &layer.diff_id;
            if update.holds(diff_id) {
                update.reuse(diff_id)?;
            } else if let LayerSource::Recipe(recipe) = &layer.source
                && let LayerRecipe::Directory { .. } = **recipe
            {
                let mut file = update.new_tar()?;
                let outputs = Outputs {
                    blob: None,
                    tar: Some(&mut file),
                };
                if layer::build(recipe, outputs, &workers)?.diff_id == *diff_id {
                    update.add(diff_id, CachedLayer::Tar(file))?;
                }
            }
        }
        Ok(update)
    }
}

impl ImageStore for LaunchCache {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let Some(mut opened) = self.store.open(name)? else {
            return Ok(None);
        };
        let mut wrapped: Option<(Arc<dyn BlobSource>, Arc<dyn BlobSource>)> = None;
        for layer in &mut opened.image.layers {
            let LayerSource::Stored { blobs, .. } = &mut layer.source else {
                continue;
            };
            // Layers of one source keep one source, so that they can be fetched together.
            let known = wrapped
                .as_ref()
                .filter(|(inner, _)| Arc::ptr_eq(inner, blobs));
            let cached = match known {
                Some((_, cached)) => Arc::clone(cached),
                None => Arc::new(CachedBlobs {
                    cache: Arc::clone(&self.cache),
                    inner: Arc::clone(blobs),
                }),
            };
            wrapped = Some((std::mem::replace(blobs, Arc::clone(&cached)), cached));
        }
        Ok(Some(opened))
    }

    fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
        // Most of a save's time goes by while the daemon unpacks what it got.
        let (saved, update) = thread::scope(|scope| {
            let update = scope.spawn(|| self.fill(image));
            (self.store.save(image, names), update.join())
        });
        let saved = saved?;
        // The image is saved: a cache that cannot be written only makes a later build slower.
        if matches!(saved.names.first(), Some((_, Ok(()))))
            && let Ok(Ok(update)) = update
        {
            let _ = update.commit(&CacheMetadata::default());
        }
        Ok(saved)
    }

    fn layer_form(&self) -> LayerForm {
        self.store.layer_form()
    }

    fn display_name(&self, name: &str) -> String {
        self.store.display_name(name)
    }

    fn delete(&self, identifier: &str) -> Result<()> {
        self.store.delete(identifier)
    }

    fn check_read(&self, name: &str) -> Result<()> {
        self.store.check_read(name)
    }

    fn check_write(&self, name: &str) -> Result<()> {
        self.store.check_write(name)
    }
}

/// The tars of an image in the daemon.
struct CachedBlobs {
    cache: Arc<VolumeCache>,
    inner: Arc<dyn BlobSource>,
}

impl CachedBlobs {
    /// The cached tar, if it is what it should be.
    fn cached(&self, descriptor: &Descriptor) -> Option<Box<dyn Read + Send>> {
        let diff_id = DiffId::from_bytes(descriptor.digest.bytes());
        let tar = self.cache.open(&diff_id).ok()?;
        match io::copy(&mut Verified::layer(tar, &diff_id), &mut io::sink()) {
            Ok(_) => self.cache.open(&diff_id).ok(),
            Err(_) => {
                self.cache.discard(&diff_id);
                None
            }
        }
    }
}

impl BlobSource for CachedBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        match self.cached(descriptor) {
            Some(tar) => Ok(Some(tar)),
            None => self.inner.open(descriptor),
        }
    }

    fn open_all(&self, descriptors: &[Descriptor]) -> Result<Vec<Option<Box<dyn Read + Send>>>> {
        let cached: Vec<_> = descriptors.iter().map(|one| self.cached(one)).collect();
        let missing = descriptors.iter().zip(&cached);
        let missing = missing.filter(|(_, tar)| tar.is_none());
        let missing: Vec<_> = missing.map(|(descriptor, _)| descriptor.clone()).collect();
        if missing.is_empty() {
            return Ok(cached);
        }
        let mut fetched = self.inner.open_all(&missing)?.into_iter();
        let all = cached.into_iter().map(|tar| match tar {
            Some(tar) => Ok(Some(tar)),
            None => fetched
                .next()
                .ok_or_else(|| Error::other("a layer was left out")),
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Layer;
    use crate::oci::{Config, Digest, ManifestKind};
    use std::fs;
    use std::io::Cursor;

    /// Holds one image with a layer that is `stored`; takes every image.
    struct Daemon(&'static [u8]);

    impl BlobSource for Daemon {
        fn open(&self, _: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
            Ok(Some(Box::new(Cursor::new(self.0))))
        }
    }

    impl ImageStore for Daemon {
        fn open(&self, _: &str) -> Result<Option<Opened>> {
            let diff_id = DiffId::of(b"layer");
            let mut descriptor = Descriptor::of(b"", ManifestKind::Oci.plain_layer());
            descriptor.digest = Digest::from_bytes(diff_id.bytes());
            let source = LayerSource::Stored {
                descriptor,
                blobs: Arc::new(Self(self.0)),
            };
            let layer = Layer {
                diff_id,
                history: None,
                source,
            };
            Ok(Some(Opened {
                image: Image::new(ManifestKind::Docker, Config::default()).append([layer]),
                identifier: String::new(),
            }))
        }

        fn save(&self, _: &Image, names: &[String]) -> Result<Saved> {
            Ok(Saved {
                short_id: String::new(),
                digest: None,
                image_id: None,
                manifest_size: None,
                names: names.iter().map(|name| (name.clone(), Ok(()))).collect(),
            })
        }
    }

    fn check(cached: Option<&str>, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("committed")).unwrap();
        if let Some(content) = cached {
            let name = format!("committed/{}.tar", DiffId::of(b"layer"));
            fs::write(dir.path().join(name), content).unwrap();
        }
        let cache = LaunchCache::open(dir.path(), Arc::new(Daemon(b"from the daemon"))).unwrap();
        let image = cache.open("").unwrap().unwrap().image;
        let mut tar = layer::open_stored(&image.layers[0]).unwrap();
        let mut found = String::new();
        tar.read_to_string(&mut found).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn damage_is_a_miss() {
        check(Some("layer"), "layer");
        check(Some("laXer"), "from the daemon");
        check(None, "from the daemon");
    }

    #[test]
    fn what_is_saved_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir(&files).unwrap();
        let recipe = LayerRecipe::Directory {
            path: files,
            uid: 1,
            gid: 1,
        };
        let diff_id = layer::diff_id(&recipe, &Workers::for_machine()).unwrap();
        let layer = Layer {
            diff_id,
            history: None,
            source: LayerSource::Recipe(Arc::new(recipe)),
        };
        let image = Image::new(ManifestKind::Docker, Config::default()).append([layer]);
        let cache = LaunchCache::open(dir.path(), Arc::new(Daemon(b""))).unwrap();
        let tar = dir.path().join(format!("committed/{diff_id}.tar"));
        for _ in 0..2 {
            cache.save(&image, &["app".to_owned()]).unwrap();
            assert_eq!(DiffId::of(&fs::read(&tar).unwrap()), diff_id);
        }
    }
}
