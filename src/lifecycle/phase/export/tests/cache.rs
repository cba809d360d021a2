//! The cache: filled in the image's pass, never lost.

use super::scene::{BOTH, CACHE, Scene};
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, Result};
use lifecycle_image::cache::{Cache, CacheForm, CacheUpdate, CachedLayer, VolumeCache};
use lifecycle_image::oci::DiffId;
use std::fs;
use std::io::Read;
use tempfile::NamedTempFile;

#[test]
fn the_cache_is_filled_in_the_same_pass() {
    let scene = Scene::new(&[
        ("b/f", "x"),
        ("b.toml", BOTH),
        ("c/f", "y"),
        ("c.toml", CACHE),
        ("none.toml", CACHE),
    ]);
    scene.write("layers/sbom/cache/a_b/c/sbom.cdx.json", "{}");
    let cache_lines = |log: &str| {
        log.lines()
            .filter(|line| line.contains("cache"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (_, log) = scene.export();
    assert_eq!(
        cache_lines(&log),
        "Adding cache layer 'a/b:b'\nAdding cache layer 'a/b:c'\n\
         Warning: Failed to cache layer 'a/b:none' because it has no contents\n\
         Adding cache layer 'buildpacksio/lifecycle:cache.sbom'"
    );
    let metadata = scene.cache().metadata().unwrap().unwrap();
    for record in metadata.buildpack("a/b").unwrap().layers.iter().flatten() {
        let mut tar = Vec::new();
        scene
            .cache()
            .open(&DiffId::parse(&record.1.sha).unwrap())
            .unwrap()
            .read_to_end(&mut tar)
            .unwrap();
        assert_eq!(DiffId::of(&tar).to_string(), record.1.sha, "{}", record.0);
    }
    scene.write("layers/a_b/c/f", "changed");
    let (_, log) = scene.export();
    assert_eq!(
        cache_lines(&log),
        "Reusing cache layer 'a/b:b'\nAdding cache layer 'a/b:c'\n\
         Warning: Failed to cache layer 'a/b:none' because it has no contents\n\
         Reusing cache layer 'buildpacksio/lifecycle:cache.sbom'"
    );
    assert_eq!(
        fs::read_dir(scene.path("cache/committed")).unwrap().count(),
        4
    );
}

/// A cache on a full disk: what it has can be kept, nothing can be added.
struct Full(VolumeCache);

struct FullUpdate(Box<dyn CacheUpdate>);

impl Cache for Full {
    fn metadata(&self) -> Result<Option<CacheMetadata>> {
        self.0.metadata()
    }
    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        self.0.open(diff_id)
    }
    fn discard(&self, diff_id: &DiffId) {
        self.0.discard(diff_id);
    }
    fn update(&self) -> Result<Box<dyn CacheUpdate>> {
        Ok(Box::new(FullUpdate(self.0.update()?)))
    }
}

impl CacheUpdate for FullUpdate {
    fn form(&self) -> CacheForm {
        self.0.form()
    }
    fn new_tar(&self) -> Result<NamedTempFile> {
        Err(Error::other("no space left on device"))
    }
    fn add(&mut self, _: &DiffId, _: CachedLayer) -> Result<()> {
        Err(Error::other("no space left on device"))
    }
    fn holds(&self, diff_id: &DiffId) -> bool {
        self.0.holds(diff_id)
    }
    fn reuse(&mut self, diff_id: &DiffId) -> Result<()> {
        self.0.reuse(diff_id)
    }
    fn commit(self: Box<Self>, metadata: &CacheMetadata) -> Result<Option<Error>> {
        self.0.commit(metadata)
    }
}

#[test]
fn a_full_disk_leaves_the_old_cache_and_a_good_image() {
    let scene = Scene::new(&[
        ("b/f", "x"),
        ("b.toml", BOTH),
        ("c/f", "y"),
        ("c.toml", CACHE),
    ]);
    scene.export().0.unwrap();
    let before = scene.cache().metadata().unwrap();
    scene.write("layers/a_b/b/f", "changed");
    scene.write("layers/a_b/c/f", "changed");
    let (report, log) = scene.export_to(&Full(scene.cache()));
    report.unwrap();
    assert!(
        log.contains("Warning: Failed to cache layer 'a/b:c': no space left on device\n"),
        "{log}"
    );
    assert_eq!(scene.cache().metadata().unwrap(), before);
    assert_eq!(
        fs::read_dir(scene.path("cache/committed")).unwrap().count(),
        3
    );
}
