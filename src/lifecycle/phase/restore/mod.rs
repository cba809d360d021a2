//! Restoration: what buildpacks left at the last build comes back (FACTS 8.2; platform.md, Layer Restoration).
//!
//! Metadata first, from the app image and the cache; then the data of every cached layer whose metadata and data
//! belong together. What the cache lost or damaged is a miss: the buildpack makes it again.

mod data;
mod metadata;
mod sbom;

use crate::buildpack::dir::Dir;
use crate::log::Log;
use crate::phase::known::RestoredLayer;
use data::CachedLayer;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::label::{CacheMetadata, LayersMetadata};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_image::cache::Cache;
use lifecycle_image::layer::{Workers, extract};
use rayon::prelude::*;
use std::ffi::OsStr;
use std::path::Path;

/// What the platform decided about restoration.
#[derive(Clone, Copy, Debug)]
pub struct Decisions {
    /// What happens to layers; store.toml comes back anyway.
    pub layers: Layers,
    /// Whether SBOM files come back.
    pub sbom: bool,
}

/// Whether layers come back.
#[derive(Clone, Copy, Debug)]
pub enum Layers {
    /// They don't, and cached layers on disk are removed.
    Skipped,
    /// They do.
    Restored {
        /// Whether the cache's metadata is used for a launch layer that the app image does not know.
        cached_launch_metadata: bool,
    },
}

/// Where things are restored from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The layers of the previous image.
    pub previous: &'a LayersMetadata,
    /// The cache, if the platform gave one.
    pub cache: Option<&'a dyn Cache>,
}

/// Restores metadata and layers of `buildpacks` into `layers_dir`, several layers at once. Returns the layers that came
/// back whole.
///
/// # Errors
/// The cache cannot be reached, or a file cannot be written or removed.
pub fn restore(
    layers_dir: &Path,
    buildpacks: &[GroupElement],
    sources: Sources<'_>,
    decisions: Decisions,
    workers: &Workers,
    log: &Log,
) -> Result<Vec<RestoredLayer>> {
    let _timer = log.timer("Restorer");
    let cached = cache_metadata(sources.cache, log)?;
    let layers = Dir::open(layers_dir)?;
    remove_unfinished(&layers, log)?;
    log.debug("Restoring Layer Metadata");
    restore_stores(&layers, buildpacks, sources.previous)?;
    let shas = match decisions.layers {
        Layers::Skipped => {
            log.info("Skipping buildpack layer analysis");
            metadata::Shas::new()
        }
        Layers::Restored {
            cached_launch_metadata,
        } => {
            let records = metadata::Records {
                previous: sources.previous,
                cached: &cached,
            };
            metadata::restore(&layers, buildpacks, records, cached_launch_metadata, log)?
        }
    };
    let mut jobs = Vec::new();
    for buildpack in buildpacks {
        log.debug(format_args!(
            "Reading Buildpack Layers directory {}",
            layers_dir.display()
        ));
        let found = data::remove_stale(&layers, buildpack, &cached, &shas, log)?;
        jobs.extend(found.into_iter().map(Job::Layer));
    }
    if decisions.sbom {
        jobs.push(Job::Sbom);
    }
    let run = |job: &Job| match job {
        Job::Layer(layer) => data::restore(layer, &layers, sources.cache, workers, log),
        Job::Sbom => sbom::restore(
            &layers,
            buildpacks,
            sources.cache,
            &cached.sbom,
            workers,
            log,
        )
        .map(|()| None),
    };
    // Every job ends before the first failure, in the order of the group, is reported.
    let results: Vec<_> = jobs.par_iter().map(run).collect();
    results
        .into_iter()
        .filter_map(Result::transpose)
        .collect::<Result<_>>()
        .context(|| "restoring data")
}

enum Job {
    Layer(CachedLayer),
    Sbom,
}

/// Removes what a restoration that was killed had not put into place yet.
fn remove_unfinished(layers: &Dir, log: &Log) -> Result<()> {
    let names = layers.names()?;
    for name in names.iter().filter(|name| extract::is_unfinished(name)) {
        // It is of no use, and in nobody's way.
        if let Err(error) = layers.remove(name) {
            log.debug(format_args!("Leaving {}: {error}", name.display()));
        }
    }
    Ok(())
}

fn cache_metadata(cache: Option<&dyn Cache>, log: &Log) -> Result<CacheMetadata> {
    let Some(cache) = cache else {
        log.debug("Usable cache not provided, using empty cache metadata");
        return Ok(CacheMetadata::default());
    };
    let metadata = cache.metadata().context(|| "retrieving cache metadata")?;
    if metadata.is_none() {
        log.info("Layer cache not found");
    }
    Ok(metadata.unwrap_or_default())
}

fn restore_stores(
    layers: &Dir,
    buildpacks: &[GroupElement],
    previous: &LayersMetadata,
) -> Result<()> {
    for buildpack in buildpacks {
        let record = previous.buildpack(&buildpack.id);
        if let Some(store) = record.and_then(|record| record.store.as_ref()) {
            let dir = layers.make_dir(OsStr::new(&buildpack.escaped_id()))?;
            dir.write(OsStr::new("store.toml"), store.to_toml().as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
