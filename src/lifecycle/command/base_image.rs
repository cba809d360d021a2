//! Base images of the extender: the restorer, which has credentials, leaves what the extender needs of them on a volume that
//! both have.

use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_image::oci::Platform;
use lifecycle_image::store::layout::LayoutStore;
use lifecycle_image::store::{ImageStore, Opened};
use std::path::{Path, PathBuf};

/// Where base images are: a layout for each digest of a manifest.
pub fn directory(kaniko_dir: &Path) -> PathBuf {
    kaniko_dir.join("cache/base")
}

/// Pulls manifest and configuration of an image. Its layers stay in the registry: the extender runs in a container that
/// has their files, and the extended image only names them (the reference downloads them all the same; FACTS 8.2).
///
/// # Errors
/// There is no such image, or the layout cannot be written.
pub fn pull(store: &dyn ImageStore, name: &str, kaniko_dir: &Path) -> Result<Opened> {
    let opened = store.open(name)?;
    let opened =
        opened.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{name} not found")))?;
    let digest = opened.image.origin.as_ref();
    let digest = digest.map(|origin| origin.manifest_descriptor.digest);
    let digest = digest.ok_or_else(|| Error::other("the image has no digest"))?;
    let layout = directory(kaniko_dir).join(digest.to_string());
    let layouts = LayoutStore {
        root: PathBuf::new(),
        platform: Platform::host(),
    };
    let names = [layout.display().to_string()];
    let saved = layouts.save(&opened.image.clone().sparse(), &names);
    saved
        .and_then(|saved| saved.names.into_iter().try_for_each(|(_, result)| result))
        .context(|| format!("save {}", layout.display()))?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_image::image::Image;
    use lifecycle_image::oci::{Config, ManifestKind};

    #[test]
    fn documents_keep_their_digest() {
        let dir = tempfile::tempdir().unwrap();
        let layouts = LayoutStore {
            root: dir.path().to_owned(),
            platform: Platform::host(),
        };
        let image = Image::new(ManifestKind::Oci, Config::new("linux", "amd64"));
        let name = dir.path().join("image").display().to_string();
        layouts.save(&image, std::slice::from_ref(&name)).unwrap();
        // What nobody knows, and space, are part of the digest as well.
        let pulled = pull(&layouts, &name, dir.path()).unwrap();
        let digest = pulled.image.origin.unwrap().manifest_descriptor.digest;
        let kept = directory(dir.path()).join(digest.to_string());
        let kept = format!("{}@{digest}", kept.display());
        assert!(layouts.open(&kept).unwrap().is_some());
        let missing = dir.path().join("missing").display().to_string();
        let error = pull(&layouts, &missing, dir.path()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
