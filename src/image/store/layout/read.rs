//! Reading layouts. Nothing in them is trusted: sizes are bounded, digests checked, links and devices refused.

use crate::disk::open_file;
use crate::image::Image;
use crate::layer::BlobSource;
use crate::oci::{
    Config, Descriptor, Digest, Document, Index, MAX_CONFIG, MAX_MANIFEST, Manifest, Platform,
    Verified, read_bounded, read_document,
};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep indexes may name indexes.
const MAX_DEPTH: usize = 4;

pub(super) fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

/// The image in the layout at `dir` with the manifest's digest; `None` if there is no layout.
pub(super) fn open(
    dir: &Path,
    digest: Option<Digest>,
    platform: &Platform,
) -> Result<Option<(Image, Digest)>> {
    let Some(index) = open_file(&dir.join("index.json"))? else {
        return Ok(None);
    };
    let index = read_bounded(index, MAX_MANIFEST).context(|| "read index.json")?;
    let Document::Index(index) = Document::parse(&index, "").context(|| "index.json")? else {
        return Err(Error::new(ErrorKind::Corrupt, "index.json is not an index"));
    };
    let (descriptor, manifest) = find(dir, &index, digest, platform, MAX_DEPTH)?;
    let config = read_document(
        required(dir, &manifest.config)?,
        &manifest.config,
        MAX_CONFIG,
    )?;
    let config = Config::parse(&config)?;
    let blobs: Arc<dyn BlobSource> = Arc::new(LayoutBlobs {
        dir: dir.to_owned(),
    });
    let digest = descriptor.digest;
    Ok(Some((
        Image::opened(descriptor, manifest, config, &blobs)?,
        digest,
    )))
}

/// The manifest with `digest`, else the only one, else the one for `platform`.
fn find(
    dir: &Path,
    index: &Index,
    digest: Option<Digest>,
    platform: &Platform,
    depth: usize,
) -> Result<(Descriptor, Manifest)> {
    let chosen = match (digest, index.manifests.as_slice()) {
        (Some(digest), manifests) if manifests.iter().any(|manifest| manifest.digest == digest) => {
            manifests.iter().find(|manifest| manifest.digest == digest)
        }
        (_, [only]) => Some(only),
        _ => index.select(platform),
    };
    let Some(chosen) = chosen.filter(|_| depth > 0) else {
        let wanted = digest.map_or_else(
            || format!("{}/{}", platform.os, platform.architecture),
            |d| d.to_string(),
        );
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("no image for {wanted} in the index"),
        ));
    };
    let document = read_document(required(dir, chosen)?, chosen, MAX_MANIFEST)?;
    match Document::parse(&document, &chosen.media_type)? {
        Document::Manifest(_) if digest.is_some_and(|digest| digest != chosen.digest) => {
            let cause = format!(
                "the index names {}, not {}",
                chosen.digest,
                digest.unwrap_or(chosen.digest)
            );
            Err(Error::new(ErrorKind::NotFound, cause))
        }
        Document::Manifest(manifest) => Ok((chosen.clone(), manifest)),
        Document::Index(index) => {
            let digest = digest.filter(|digest| *digest != chosen.digest);
            find(dir, &index, digest, platform, depth - 1)
        }
    }
}

/// A blob that has to be there.
fn required(dir: &Path, descriptor: &Descriptor) -> Result<File> {
    let missing = || {
        Error::new(
            ErrorKind::Corrupt,
            format!("blob {} is missing", descriptor.digest),
        )
    };
    open_file(&blob_path(dir, &descriptor.digest))?.ok_or_else(missing)
}

/// The blobs of one layout.
struct LayoutBlobs {
    dir: PathBuf,
}

impl BlobSource for LayoutBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        let blob = open_file(&blob_path(&self.dir, &descriptor.digest))?;
        Ok(blob.map(|file| {
            Box::new(Verified::blob(file, &descriptor.digest, descriptor.size))
                as Box<dyn Read + Send>
        }))
    }

    fn holds(&self, descriptor: &Descriptor) -> Result<bool> {
        let blob = open_file(&blob_path(&self.dir, &descriptor.digest))?;
        let size = blob
            .map(|file| file.metadata())
            .transpose()?
            .map(|metadata| metadata.len());
        Ok(size == Some(descriptor.size))
    }
}
