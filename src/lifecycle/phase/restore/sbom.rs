//! SBOM files: the lifecycle keeps them in one layer for the image and one for the cache; buildpacks find theirs
//! beside their layers.

use super::data::{is_miss, unpack};
use crate::buildpack::dir::Dir;
use crate::log::Log;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file;
use lifecycle_image::cache::Cache;
use lifecycle_image::layer::Workers;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// Restores the cached SBOM layer, and gives every buildpack the files of its layers; those of the image win.
pub(super) fn restore(
    layers: &Dir,
    buildpacks: &[GroupElement],
    cache: Option<&dyn Cache>,
    sha: &str,
    workers: &Workers,
    log: &Log,
) -> Result<()> {
    if let Some(cache) = cache.filter(|_| !sha.is_empty()) {
        log.info("Restoring data for SBOM from cache");
        log.debug(format_args!("Retrieving SBOM layer data for {sha:?}"));
        let root = layers.path().join("sbom").join("cache");
        match unpack(cache, sha, layers, &root, workers) {
            Err(error) if is_miss(&error) => {
                log.warn(format_args!("Skipping restore for SBOM layer: {error}"));
            }
            result => drop(result.context(|| "restoring SBOM layer")?),
        }
    }
    let name = OsStr::new("sbom");
    if let Some(sbom) = layers.dir(name)? {
        for kind in ["cache", "launch"] {
            if let Some(files) = sbom.dir(OsStr::new(kind))? {
                distribute(&files, layers, buildpacks)?;
            }
        }
    }
    layers.remove(name)
}

/// Copies `<buildpack>/<layer>/sbom*json` to `<layers>/<buildpack>/<layer>.sbom*json`, for buildpacks that have a
/// directory there.
fn distribute(files: &Dir, layers: &Dir, buildpacks: &[GroupElement]) -> Result<()> {
    for buildpack in buildpacks {
        let id = buildpack.escaped_id();
        let id = OsStr::new(&id);
        let (Some(from), Some(to)) = (existing_dir(files, id)?, layers.dir(id)?) else {
            continue;
        };
        for layer in from.names()? {
            let Some(dir) = existing_dir(&from, &layer)? else {
                continue;
            };
            for name in dir.names()? {
                if is_sbom(&name) {
                    copy(&dir, &name, &to, &layer)?;
                }
            }
        }
    }
    Ok(())
}

/// The directory `name`; nothing if there is none or it is something else.
fn existing_dir(parent: &Dir, name: &OsStr) -> Result<Option<Dir>> {
    match fs::symlink_metadata(parent.path().join(name)) {
        Ok(metadata) if metadata.is_dir() => parent.dir(name),
        _ => Ok(None),
    }
}

fn is_sbom(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.len() > "sbomjson".len() && name.starts_with(b"sbom") && name.ends_with(b"json")
}

fn copy(dir: &Dir, name: &OsStr, to: &Dir, layer: &OsStr) -> Result<()> {
    let source = dir.path().join(name);
    if !fs::symlink_metadata(&source).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(());
    }
    let mut copy = OsString::from(layer);
    copy.push(".");
    copy.push(name);
    to.write(&copy, file::open(&source)?)?;
    // Whatever the umask: buildpacks' own SBOM files are readable, and the mode must not depend on the process.
    let path = to.path().join(&copy);
    fs::set_permissions(&path, Permissions::from_mode(0o644))
        .context(|| format!("chmod {}", path.display()))
}
