//! Contents of cached layers.

use super::metadata::{Shas, identifier};
use crate::buildpack::dir::Dir;
use crate::log::Log;
use crate::phase::known::RestoredLayer;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_image::cache::Cache;
use lifecycle_image::layer::Workers;
use lifecycle_image::layer::extract::{self, Extracted};
use lifecycle_image::oci::DiffId;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A cached layer that is to be restored.
pub(super) struct CachedLayer {
    identifier: String,
    sha: String,
    path: PathBuf,
}

/// Lists a buildpack's layers directory for the log; no names where there is none.
pub(super) fn read_dir(layers: &Dir, buildpack: &GroupElement, log: &Log) -> Result<Vec<OsString>> {
    let id = buildpack.escaped_id();
    log.debug(format_args!(
        "Reading buildpack directory: {}",
        layers.path().join(&id).display()
    ));
    let names = match layers
        .dir(OsStr::new(&id))
        .context(|| "reading buildpack layer directory")?
    {
        Some(dir) => dir.names()?,
        None => Vec::new(),
    };
    for name in &names {
        log.debug(format_args!(
            "Reading buildpack directory item: {}",
            name.display()
        ));
    }
    Ok(names)
}

/// Removes the layers on disk that the cache has in another version than the restored metadata, and returns those whose
/// data is to be restored.
pub(super) fn remove_stale(
    layers: &Dir,
    buildpack: &GroupElement,
    cached: &CacheMetadata,
    shas: &Shas,
    log: &Log,
) -> Result<Vec<CachedLayer>> {
    let names = read_dir(layers, buildpack, log)?;
    let Some(dir) = layers.dir(OsStr::new(&buildpack.escaped_id()))? else {
        return Ok(Vec::new());
    };
    let record = cached.buildpack(&buildpack.id);
    let mut found = Vec::new();
    for name in layer_names(&dir, &names) {
        let Some(layer) = record
            .and_then(|record| record.layer(name))
            .filter(|layer| layer.cache)
        else {
            continue;
        };
        let identifier = identifier(buildpack, name);
        let sha = shas.get(&(buildpack.id.clone(), name.to_owned()));
        if sha == Some(&layer.sha) {
            log.info(format_args!("Restoring data for {identifier:?} from cache"));
            let path = dir.path().join(name);
            found.push(CachedLayer {
                identifier,
                sha: layer.sha.clone(),
                path,
            });
        } else {
            log.info(format_args!("Removing {identifier:?}, wrong sha"));
            let sha = sha.map_or("", String::as_str);
            log.debug(format_args!(
                "Layer sha: {sha:?}, cache sha: {:?}",
                layer.sha
            ));
            for file in [
                name.to_owned(),
                format!("{name}.sha"),
                format!("{name}.toml"),
            ] {
                dir.remove(OsStr::new(&file)).context(|| "removing layer")?;
            }
        }
    }
    Ok(found)
}

/// The layers in a buildpack's layers directory: its directories, and what has a `.toml` file. Recorded names are
/// UTF-8, so others are of no interest.
fn layer_names<'a>(dir: &Dir, names: &'a [OsString]) -> BTreeSet<&'a str> {
    let is_dir = |name: &str| {
        std::fs::symlink_metadata(dir.path().join(name)).is_ok_and(|metadata| metadata.is_dir())
    };
    names
        .iter()
        .filter_map(|name| name.to_str())
        .filter_map(|name| match name.strip_suffix(".toml") {
            _ if is_dir(name) => Some(name),
            Some("store" | "launch" | "build") | None => None,
            layer => layer,
        })
        .collect()
}

/// Brings a layer's data back. If the cache does not have it whole, only its metadata stays.
pub(super) fn restore(
    layer: &CachedLayer,
    layers: &Dir,
    cache: Option<&dyn Cache>,
    workers: &Workers,
    log: &Log,
) -> Result<Option<RestoredLayer>> {
    let Some(cache) = cache else { return Ok(None) };
    let CachedLayer {
        identifier,
        sha,
        path,
    } = layer;
    log.debug(format_args!("Retrieving data for {sha:?}"));
    match unpack(cache, sha, layers, path, workers) {
        Ok((diff_id, extracted)) => Ok(Some(RestoredLayer {
            identifier: identifier.clone(),
            diff_id,
            extracted,
        })),
        Err(error) if is_miss(&error) => {
            log.warn(format_args!(
                "Skipping restore for layer {identifier}: {error}"
            ));
            Ok(None)
        }
        Err(error) => Err(error.in_context(format!("restoring layer {identifier}"))),
    }
}

/// Whether it is the cache's content that is at fault.
pub(super) fn is_miss(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt)
}

/// Unpacks a cached layer at `root`. A tar that is not the recorded one is removed from the cache, so that the next
/// build stores it again.
///
/// # Errors
/// Kind `NotFound` or `Corrupt`: the cache does not have the layer whole. Any other kind: it cannot be unpacked.
pub(super) fn unpack(
    cache: &dyn Cache,
    sha: &str,
    layers: &Dir,
    root: &Path,
    workers: &Workers,
) -> Result<(DiffId, Extracted)> {
    let diff_id = DiffId::parse(sha)?;
    match extract::extract(cache.open(&diff_id)?, diff_id, layers.path(), root, workers) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            cache.discard(&diff_id);
            Err(error)
        }
        result => result.map(|extracted| (diff_id, extracted)),
    }
}
