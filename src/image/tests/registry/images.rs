//! Images, stores and names for the tests.

use lifecycle_image::auth::{Keychain, Sources};
use lifecycle_image::image::Image;
use lifecycle_image::layer::{
    self, Begun, Layer, LayerRecipe, LayerSource, MadeEntry, Outputs, Spool, SpooledBlob, Workers,
};
use lifecycle_image::oci::{Config, History, ManifestKind, Platform};
use lifecycle_image::store::registry::{Options, Patience, RegistryStore};
use lifecycle_image::store::{ImageStore, Opened, Saved};
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

/// More than what travels in one piece.
pub(crate) const LARGE: usize = 3 << 20;
pub(crate) const SMALL: usize = 1 << 10;

/// A store that loses patience soon, without credentials.
pub(crate) fn store() -> RegistryStore {
    with_options(|_| {})
}

/// The same with `CNB_REGISTRY_AUTH` set.
pub(crate) fn store_with_auth(auth: &str) -> RegistryStore {
    let sources = Sources {
        platform_auth: Some(auth.to_owned()),
        ..Sources::default()
    };
    let registries = Vec::<String>::new();
    let keychain = Keychain::resolve(&sources, registries).unwrap();
    with_options(|options| options.keychain = keychain)
}

pub(crate) fn with_options(change: impl FnOnce(&mut Options)) -> RegistryStore {
    let mut options = Options::new(Keychain::default(), Vec::new(), Platform::host());
    options.patience = Patience {
        idle: Duration::from_millis(500),
        pause: Duration::from_millis(10),
    };
    change(&mut options);
    RegistryStore::new(options).unwrap()
}

pub(crate) fn name(registry: SocketAddr, repository: &str) -> String {
    format!("{registry}/{repository}")
}

/// A compressed layer with a file of so many bytes, which depend on `seed` and do not compress.
pub(crate) fn blob(seed: u64, size: usize) -> (Layer, Arc<SpooledBlob>) {
    blob_for(seed, size, None)
}

/// The same, with somebody who may read it meanwhile.
pub(crate) fn blob_for(
    seed: u64,
    size: usize,
    begun: Option<&Begun<'_>>,
) -> (Layer, Arc<SpooledBlob>) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("file");
    fs::write(&source, noise(seed, size)).unwrap();
    let recipe = LayerRecipe::Entries(vec![MadeEntry::File {
        name: format!("/file-{seed}"),
        source,
    }]);
    let directory = std::env::temp_dir();
    let spool = Spool {
        begun,
        ..Spool::gzip(&directory)
    };
    let outputs = Outputs {
        blob: Some(spool),
        tar: None,
    };
    let workers = Workers::new(NonZero::<usize>::MIN);
    let built = layer::build(&recipe, outputs, &workers).unwrap();
    let blob = Arc::new(built.blob.unwrap());
    let layer = Layer {
        diff_id: built.diff_id,
        history: Some(History::default()),
        source: LayerSource::Spooled(Arc::clone(&blob)),
    };
    (layer, blob)
}

fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(&mut next).take(size).collect()
}

/// An image of one layer.
pub(crate) fn image(seed: u64, size: usize) -> Image {
    let config = Config::new("linux", Platform::host().architecture.as_str());
    Image::new(
        ManifestKind::Oci,
        config.with_label("seed", &seed.to_string()),
    )
    .append([blob(seed, size).0])
}

/// Saves under one name; the first error there is.
pub(crate) fn save(store: &dyn ImageStore, image: &Image, name: &str) -> Result<Saved, String> {
    let saved = store
        .save(image, &[name.to_owned()])
        .map_err(|error| error.to_string())?;
    match &saved.names[0].1 {
        Ok(()) => Ok(saved),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn open(store: &dyn ImageStore, name: &str) -> Opened {
    store.open(name).unwrap().expect("an image of this name")
}

/// Reads every layer to its end; its digest is checked on the way.
pub(crate) fn read_layers(image: &Image) -> Result<(), String> {
    for layer in &image.layers {
        let mut tar = layer::open_stored(layer).map_err(|error| error.to_string())?;
        std::io::copy(&mut tar.by_ref(), &mut std::io::sink())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
