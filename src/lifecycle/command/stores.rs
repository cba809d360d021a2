//! Connects a command to the places that its inputs name.

use crate::platform::Inputs;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::cache::{Cache, VolumeCache};
use lifecycle_image::oci::Platform;
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::layout::LayoutStore;

/// Where images are read and written.
///
/// # Errors
/// The store cannot be reached.
pub fn images(inputs: &Inputs) -> Result<Box<dyn ImageStore>> {
    match &inputs.layout_dir {
        // Without a directory the reference takes `-layout` for a registry.
        Some(root) if inputs.use_layout => Ok(Box::new(LayoutStore {
            root: root.clone(),
            platform: Platform::host(),
        })),
        _ if inputs.use_daemon => Err(Error::other("images in a daemon are not supported yet")),
        _ => registry(inputs),
    }
}

/// Registries, wherever the other images are: extended base images and cache images always come from there.
///
/// # Errors
/// The store cannot be reached.
pub fn registry(_: &Inputs) -> Result<Box<dyn ImageStore>> {
    Err(Error::other("images in a registry are not supported yet"))
}

/// The cache; a cache image is preferred to a directory.
///
/// # Errors
/// The cache cannot be opened.
pub fn cache(inputs: &Inputs) -> Result<Option<Box<dyn Cache>>> {
    if inputs.cache_image.is_some() {
        let error = Error::other("cache images are not supported yet");
        return Err(error.in_context("failed to create image cache"));
    }
    let open = |dir| VolumeCache::open(dir).context(|| "failed to create volume cache");
    let cache = inputs.cache_dir.as_deref().map(open).transpose()?;
    Ok(cache.map(|cache| Box::new(cache) as Box<dyn Cache>))
}
