//! Images as OCI layouts on disk.
//!
//! A layout may be sparse: blobs of base layers may be missing, and then stay missing in what is made from it.

mod read;
mod write;

pub use write::save_index;
pub(super) use write::{OCI_LAYOUT, index};

use super::{ImageStore, Opened, Saved};
use crate::image::Image;
use crate::oci::{Digest, Identifier, Platform, Reference};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::path::{Component, Path, PathBuf};

/// The annotation that tells which tag or digest an image in a layout stands for: on the manifest that of the first name,
/// as all names share the manifest, in every index its own.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// OCI layouts on disk. A name is an image reference, which stands for a directory below the root, or the identifier
/// of an opened image, or the path of any layout.
pub struct LayoutStore {
    /// The directory that holds the layouts of references.
    pub root: PathBuf,
    /// Which image of an index is meant.
    pub platform: Platform,
}

/// Where `reference` lives below `root`: `<registry>/<repository>/<tag>`, or `.../sha256/<hex>` (FACTS 9.4).
///
/// # Errors
/// Kind `InvalidArguments`: the reference has `..` in it, so that it would lead elsewhere.
fn below(root: &Path, reference: &Reference) -> Result<PathBuf> {
    let identifier = match reference.identifier() {
        Identifier::Tag(tag) => tag.clone(),
        Identifier::Digest(digest) => digest.to_string().replace(':', "/"),
    };
    let below = PathBuf::from(reference.context()).join(identifier);
    let inside = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    match below.components().all(inside) {
        true => Ok(root.join(clean(&below))),
        false => {
            let cause = format!("reference {reference} leads out of the layout directory");
            Err(Error::new(ErrorKind::InvalidArguments, cause))
        }
    }
}

fn clean(path: &Path) -> PathBuf {
    let named = |part: &Component| *part != Component::CurDir;
    path.components().filter(named).collect()
}

/// What a name stands for.
struct Place {
    /// The layout's directory.
    dir: PathBuf,
    /// The manifest in it, where the name says one.
    digest: Option<Digest>,
    /// The tag or digest of a name that is a reference.
    ref_name: Option<String>,
}

impl LayoutStore {
    fn locate(&self, name: &str) -> Result<Place> {
        let identifier = name.rsplit_once('@');
        let identifier =
            identifier.and_then(|(path, digest)| Some((path, Digest::parse(digest).ok()?)));
        let (path, digest) = identifier.map_or((name, None), |(path, digest)| (path, Some(digest)));
        let path = Path::new(path);
        if path.is_absolute() || path.starts_with(&self.root) {
            let dir = path.to_owned();
            return Ok(Place {
                dir,
                digest,
                ref_name: None,
            });
        }
        let reference = Reference::parse(name)?;
        Ok(Place {
            dir: below(&self.root, &reference)?,
            digest: None,
            ref_name: Some(reference.identifier().to_string()),
        })
    }
}

impl ImageStore for LayoutStore {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let Place { dir, digest, .. } = self.locate(name)?;
        let found = read::open(&dir, digest, &self.platform)
            .context(|| format!("open OCI layout {}", dir.display()))?;
        Ok(found.map(|(image, digest)| Opened {
            image,
            identifier: format!("{}@{digest}", dir.display()),
        }))
    }

    fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
        let first = names
            .first()
            .and_then(|name| self.locate(name).ok()?.ref_name);
        let image = match first {
            Some(ref_name) => &image.clone().with_annotation(REF_NAME, &ref_name),
            None => image,
        };
        let mut written = None;
        let mut results = Vec::new();
        for name in names {
            let result = self.locate(name).and_then(|Place { dir, ref_name, .. }| {
                let manifest = write::save(&dir, image, ref_name.as_deref())?;
                let identifier = format!("{}@{}", dir.display(), manifest.digest);
                written.get_or_insert((identifier, manifest.size));
                Ok(())
            });
            results.push((name.clone(), result));
        }
        match (written, results) {
            (Some((short_id, manifest_size)), names) => Ok(Saved {
                short_id,
                digest: None,
                image_id: None,
                manifest_size: Some(manifest_size),
                names,
            }),
            (None, results) => {
                let first = results.into_iter().find_map(|(_, result)| result.err());
                Err(first.unwrap_or_else(|| Error::other("no name to save under")))
            }
        }
    }

    fn display_name(&self, name: &str) -> String {
        match self.locate(name) {
            Ok(Place { dir, .. }) => dir.display().to_string(),
            Err(_) => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
