//! `<layer>.toml` files: from the app image for launch layers, else from the cache.

use super::data;
use crate::buildpack::dir::Dir;
use crate::log::Log;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::label::{BuildpackRecord, CacheMetadata, LayerRecord, LayersMetadata};
use lifecycle_core::data::layer::LayerMetadata;
use lifecycle_core::error::{Result, ResultExt};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// The digests that belong to the restored metadata, by buildpack id and layer name.
pub(super) type Shas = BTreeMap<(String, String), String>;

/// What was recorded about the layers of the last build.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) previous: &'a LayersMetadata,
    pub(super) cached: &'a CacheMetadata,
}

/// Writes the metadata of every layer that its buildpack may find again.
pub(super) fn restore(
    layers: &Dir,
    buildpacks: &[GroupElement],
    records: Records<'_>,
    cached_launch_metadata: bool,
    log: &Log,
) -> Result<Shas> {
    let mut shas = Shas::new();
    for buildpack in buildpacks {
        data::read_dir(layers, buildpack, log)?;
        let previous = records.previous.buildpack(&buildpack.id);
        let cached = records.cached.buildpack(&buildpack.id);
        let from_image = entries(previous)
            .filter(|(name, layer)| {
                let in_cache = cached.and_then(|record| record.layer(name));
                image_knows(&identifier(buildpack, name), layer, in_cache, log)
            })
            .map(|entry| (entry, "app image"));
        let from_cache = entries(cached)
            .filter(|(name, layer)| {
                let in_image = previous.is_some_and(|record| record.layer(name).is_some());
                let elsewhere = layer.launch && (in_image || !cached_launch_metadata);
                cache_knows(&identifier(buildpack, name), layer, elsewhere, log)
            })
            .map(|entry| (entry, "cache"));
        for ((name, layer), origin) in from_image.chain(from_cache) {
            let identifier = identifier(buildpack, name);
            if !is_layer_name(name) {
                log.warn(format_args!(
                    "Ignoring layer {identifier:?}: not a valid layer name"
                ));
                continue;
            }
            log.info(format_args!(
                "Restoring metadata for {identifier:?} from {origin}"
            ));
            log.debug(format_args!("Writing layer metadata for {identifier:?}"));
            write(layers, buildpack, name, layer)
                .context(|| format!("writing layer metadata for {identifier:?}"))?;
            shas.insert((buildpack.id.clone(), name.clone()), layer.sha.clone());
        }
    }
    Ok(shas)
}

/// `id:name`, as messages call a layer.
pub(super) fn identifier(buildpack: &GroupElement, name: &str) -> String {
    format!("{}:{name}", buildpack.id)
}

fn entries(record: Option<&BuildpackRecord>) -> impl Iterator<Item = (&String, &LayerRecord)> {
    record
        .and_then(|record| record.layers.as_ref())
        .into_iter()
        .flatten()
}

/// Whether the app image's metadata of a layer is of use: a layer that later buildpacks need must be cached as well.
fn image_knows(
    identifier: &str,
    layer: &LayerRecord,
    in_cache: Option<&LayerRecord>,
    log: &Log,
) -> bool {
    let reason = if !layer.launch {
        "marked as launch=false"
    } else if layer.build && !layer.cache {
        "marked as build=true, cache=false"
    } else if layer.cache && !in_cache.is_some_and(|layer| layer.cache) {
        "marked as cache=true, but not found in cache"
    } else {
        return true;
    };
    log.debug(format_args!(
        "Not restoring metadata for {identifier:?}, {reason}"
    ));
    false
}

fn cache_knows(identifier: &str, layer: &LayerRecord, elsewhere: bool, log: &Log) -> bool {
    let reason = if !layer.cache {
        "marked as cache=false"
    } else if elsewhere {
        "marked as launch=true"
    } else {
        return true;
    };
    log.debug(format_args!(
        "Not restoring {identifier:?} from cache, {reason}"
    ));
    false
}

/// Whether a recorded name can be that of a directory with a `.toml` file beside it.
fn is_layer_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= 250
}

fn write(layers: &Dir, buildpack: &GroupElement, name: &str, layer: &LayerRecord) -> Result<()> {
    let dir = layers.make_dir(OsStr::new(&buildpack.escaped_id()))?;
    let text = LayerMetadata::metadata_to_toml(layer.data.as_ref());
    dir.write(OsStr::new(&format!("{name}.toml")), text.as_bytes())
}
