//! Images as OCI layouts on disk. A name is the path of a layout's directory, or `path@sha256:...`.
//!
//! A layout may be sparse: blobs of base layers may be missing, and then stay missing in what is made from it.

mod read;
mod write;

use super::{ImageStore, Opened, Saved};
use crate::image::Image;
use crate::oci::{Digest, Identifier, Platform, Reference};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::path::{Component, Path, PathBuf};

/// The annotation that tells which tag or digest an image in a layout stands for. [`LayoutStore::save`] takes the
/// index entry's from the image's own.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// OCI layouts on disk.
pub struct LayoutStore {
    /// Which image of an index is meant.
    pub platform: Platform,
}

/// Where `reference` lives below `root`: `<registry>/<repository>/<tag>`, or `.../sha256/<hex>` (FACTS 9.4).
///
/// # Errors
/// Kind `InvalidArguments`: the reference has `..` in it, so that it would lead elsewhere.
pub fn path(root: &Path, reference: &Reference) -> Result<PathBuf> {
    let identifier = match reference.identifier() {
        Identifier::Tag(tag) => tag.clone(),
        Identifier::Digest(digest) => digest.to_string().replace(':', "/"),
    };
    let below = PathBuf::from(reference.context()).join(identifier);
    let inside = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    match below.components().all(inside) {
        true => Ok(root.join(
            below
                .components()
                .filter(|part| *part != Component::CurDir)
                .collect::<PathBuf>(),
        )),
        false => {
            let cause = format!("reference {reference} leads out of the layout directory");
            Err(Error::new(ErrorKind::InvalidArguments, cause))
        }
    }
}

/// Splits `path@sha256:...`.
fn split(name: &str) -> (&Path, Option<Digest>) {
    let digest = name
        .rsplit_once('@')
        .and_then(|(path, digest)| Some((path, Digest::parse(digest).ok()?)));
    digest.map_or((Path::new(name), None), |(path, digest)| {
        (Path::new(path), Some(digest))
    })
}

impl ImageStore for LayoutStore {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let (dir, digest) = split(name);
        let found = read::open(dir, digest, &self.platform)
            .context(|| format!("open OCI layout {name}"))?;
        Ok(found.map(|(image, digest)| Opened {
            image,
            identifier: format!("{}@{digest}", dir.display()),
        }))
    }

    fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
        let mut written = None;
        let mut results = Vec::new();
        for name in names {
            let (dir, _) = split(name);
            let result = write::save(dir, image).map(|manifest| {
                written.get_or_insert((
                    format!("{}@{}", dir.display(), manifest.digest),
                    manifest.size,
                ));
            });
            results.push((name.clone(), result));
        }
        let (short_id, manifest_size) = written.unzip();
        let short_id = short_id.unwrap_or_default();
        Ok(Saved {
            short_id,
            digest: None,
            image_id: None,
            manifest_size,
            names: results,
        })
    }
}

#[cfg(test)]
mod tests;
