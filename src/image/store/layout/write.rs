//! Writing layouts: blobs first, each whole or not at all, the index last. A failure leaves the old image in place.

use super::REF_NAME;
use super::read::blob_path;
use crate::disk::{copy, make_dir, open_file, place, write_bytes, write_whole};
use crate::image::Image;
use crate::layer::{Layer, LayerSource};
use crate::oci::{Descriptor, Digest, Index, ManifestKind};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::json;
use lifecycle_core::value::{Table, Value};
use std::path::Path;

/// The file that marks a directory as a layout.
pub(in crate::store) const OCI_LAYOUT: &str = "{\n    \"imageLayoutVersion\": \"1.0.0\"\n}";

/// Saves `image` as the only image of the layout at `dir`, where it stands for `ref_name`; blobs of earlier images stay.
pub(super) fn save(dir: &Path, image: &Image, ref_name: Option<&str>) -> Result<Descriptor> {
    let manifest = save_image(dir, image)?;
    name(dir, &manifest, ref_name)?;
    Ok(manifest)
}

/// Saves images of several platforms as one: an index that names each with its platform is the only thing in the layout
/// at `dir`, where it stands for `ref_name`. (Several images in index.json itself would be several images to most readers.)
/// Returns the index's digest.
///
/// # Errors
/// A layer cannot be read, or the disk fails.
pub fn save_index(dir: &Path, images: &[Image], ref_name: &str) -> Result<Digest> {
    let manifests = images.iter().map(|image| {
        let mut manifest = save_image(dir, image)?;
        let platform = Table::new()
            .with("architecture", image.config.architecture())
            .with("os", image.config.os());
        manifest.extra.insert("platform", platform);
        Ok(manifest)
    });
    let index = Index {
        manifests: manifests.collect::<Result<_>>()?,
    };
    let index = index.to_json().into_bytes();
    let descriptor = Descriptor::of(&index, ManifestKind::Oci.index());
    let digest = descriptor.digest;
    write_bytes(&dir.join("blobs/sha256"), &digest.hex(), &index)?;
    name(dir, &descriptor, Some(ref_name))?;
    Ok(digest)
}

/// Makes `dir` a layout of the image or index that `manifest` names.
fn name(dir: &Path, manifest: &Descriptor, ref_name: Option<&str>) -> Result<()> {
    write_bytes(dir, "oci-layout", OCI_LAYOUT.as_bytes())?;
    write_bytes(dir, "index.json", index(manifest, ref_name).as_bytes())
}

/// Saves the image's blobs, which no index names yet.
fn save_image(dir: &Path, image: &Image) -> Result<Descriptor> {
    let blobs = dir.join("blobs/sha256");
    for dir in [dir, &dir.join("blobs"), &blobs] {
        make_dir(dir)?;
    }
    let layers = image.layers.iter().map(|layer| save_layer(dir, layer));
    let documents = image.documents(layers.collect::<Result<_>>()?);
    write_bytes(
        &blobs,
        &documents.config_descriptor.digest.hex(),
        &documents.config,
    )?;
    write_bytes(
        &blobs,
        &documents.manifest_descriptor.digest.hex(),
        &documents.manifest,
    )?;
    Ok(documents.manifest_descriptor)
}

/// Makes sure that the layer's blob is there, unless nobody has it, and names it.
fn save_layer(dir: &Path, layer: &Layer) -> Result<Descriptor> {
    let blobs = dir.join("blobs/sha256");
    match &layer.source {
        LayerSource::Stored { descriptor, .. }
            if present(dir, &descriptor.digest, descriptor.size)? =>
        {
            Ok(descriptor.clone())
        }
        LayerSource::Stored {
            descriptor,
            blobs: source,
        } => {
            let Descriptor { digest, .. } = descriptor;
            if let Some(blob) = source
                .open(descriptor)
                .context(|| format!("open layer {digest}"))?
            {
                write_whole(&blobs, &digest.hex(), |file| copy(blob, file))?;
            }
            Ok(descriptor.clone())
        }
        LayerSource::Spooled(blob) => {
            let Descriptor { digest, size, .. } = &blob.descriptor;
            if !present(dir, digest, *size)? {
                place(blob.file.path(), &blobs, &digest.hex())?;
            }
            Ok(blob.descriptor.clone())
        }
        LayerSource::Recipe(_) => Err(Error::other(format!(
            "layer {} was not compressed for saving",
            layer.diff_id
        ))),
    }
}

fn present(dir: &Path, digest: &Digest, size: u64) -> Result<bool> {
    let file = open_file(&blob_path(dir, digest))?;
    Ok(file
        .map(|file| file.metadata())
        .transpose()?
        .is_some_and(|metadata| metadata.len() == size))
}

/// index.json with one manifest, in the reference's bytes.
pub(in crate::store) fn index(manifest: &Descriptor, ref_name: Option<&str>) -> String {
    let annotations = ref_name.map(|name| {
        let name = json::to_string(&Value::from(name));
        format!(",\n         \"annotations\": {{\n            \"{REF_NAME}\": {name}\n         }}")
    });
    format!(
        r#"{{
   "schemaVersion": 2,
   "mediaType": "{}",
   "manifests": [
      {{
         "mediaType": "{}",
         "size": {},
         "digest": "{}"{}
      }}
   ]
}}"#,
        ManifestKind::Oci.index(),
        manifest.media_type,
        manifest.size,
        manifest.digest,
        annotations.unwrap_or_default(),
    )
}
