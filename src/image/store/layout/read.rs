//! Reading layouts. Nothing in them is trusted: sizes are bounded, digests checked, links and devices refused.

use crate::disk::open_file;
use crate::image::{Documents, Image};
use crate::layer::BlobSource;
use crate::oci::{
    Config, Descriptor, Digest, Document, Index, MAX_CONFIG, MAX_MANIFEST, Manifest, Platform,
    Verified, read_bounded, read_document,
};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::value::Table;
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
    let first = match digest {
        Some(digest) => named(dir, digest, &index)?,
        None => chosen(&index, platform)?.clone(),
    };
    let (document, manifest) = find(dir, first, platform, MAX_DEPTH)?;
    let config = read_document(
        required(dir, &manifest.config)?,
        &manifest.config,
        MAX_CONFIG,
    )?;
    let origin = Documents::stored(config.clone(), document, manifest.kind);
    let config = Config::parse(&config)?;
    let blobs: Arc<dyn BlobSource> = Arc::new(LayoutBlobs {
        dir: dir.to_owned(),
    });
    let digest = origin.manifest_descriptor.digest;
    Ok(Some((
        Image::opened(origin, manifest, config, &blobs)?,
        digest,
    )))
}

/// The manifest with `digest`: also one that the index named earlier, as its blobs stay.
fn named(dir: &Path, digest: Digest, index: &Index) -> Result<Descriptor> {
    let listed = index
        .manifests
        .iter()
        .find(|manifest| manifest.digest == digest);
    if let Some(listed) = listed {
        return Ok(listed.clone());
    }
    let missing = || Error::new(ErrorKind::NotFound, format!("no image {digest}"));
    let blob = open_file(&blob_path(dir, &digest))?.ok_or_else(missing)?;
    Ok(Descriptor {
        media_type: String::new(),
        digest,
        size: blob.metadata()?.len(),
        extra: Table::new(),
    })
}

/// The only manifest, else the one for `platform`.
fn chosen<'a>(index: &'a Index, platform: &Platform) -> Result<&'a Descriptor> {
    let chosen = match index.manifests.as_slice() {
        [only] => Some(only),
        _ => index.select(platform),
    };
    chosen.ok_or_else(|| {
        let Platform { os, architecture } = platform;
        let cause = format!("no image for {os}/{architecture} in the index");
        Error::new(ErrorKind::NotFound, cause)
    })
}

/// The manifest that `descriptor` names, itself or through indexes.
fn find(
    dir: &Path,
    descriptor: Descriptor,
    platform: &Platform,
    depth: usize,
) -> Result<(Vec<u8>, Manifest)> {
    let document = read_document(required(dir, &descriptor)?, &descriptor, MAX_MANIFEST)?;
    match (
        Document::parse(&document, &descriptor.media_type)?,
        depth.checked_sub(1),
    ) {
        (Document::Manifest(manifest), _) => Ok((document, manifest)),
        (Document::Index(index), Some(depth)) => {
            find(dir, chosen(&index, platform)?.clone(), platform, depth)
        }
        (Document::Index(_), None) => Err(Error::new(
            ErrorKind::Corrupt,
            "indexes name indexes too deeply",
        )),
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
