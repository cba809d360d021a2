//! The launch environment that layers make (FACTS 12.3).

use crate::layers::{self, Layer};
use crate::sys::{self, Entry, Kind};
use lifecycle_core::env::{DefaultAction, Env, MAX_VALUE_LENGTH};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Directories of a layer that belong to lists of directories.
const PATHS: [(&str, &str); 2] = [("bin", "PATH"), ("lib", "LD_LIBRARY_PATH")];

/// Adds what the layers contribute, buildpack by buildpack: their `bin` and `lib` directories, then the files of
/// `env`, `env.launch` and, for a process that a buildpack provided, `env.launch/<type>`.
///
/// # Errors
/// A directory or file cannot be read.
pub(crate) fn apply(env: &mut Env, buildpacks: &[Vec<Layer>], process_type: Option<&str>) -> Result<()> {
    for layers in buildpacks {
        for layer in layers {
            add_paths(env, layer).context(|| "add layer root")?;
        }
        for layer in layers {
            apply_files(env, layer, process_type).context(|| "add layer env")?;
        }
    }
    Ok(())
}

fn add_paths(env: &mut Env, layer: &Layer) -> Result<()> {
    for (directory, variable) in PATHS {
        if let Some(path) = layer.existing(directory)? {
            env.prepend_path(variable, &path);
        }
    }
    Ok(())
}

fn apply_files(env: &mut Env, layer: &Layer, process_type: Option<&str>) -> Result<()> {
    if let Some(directory) = layer.entry("env") {
        apply_directory(env, &directory)?;
    }
    if let Some(directory) = layer.entry("env.launch") {
        apply_directory(env, &directory)?;
        if let Some(process_type) = process_type {
            apply_directory(env, &directory.join(process_type))?;
        }
    }
    Ok(())
}

fn apply_directory(env: &mut Env, directory: &Path) -> Result<()> {
    let files = read_files(directory).context(|| format!("apply env files from dir '{}'", directory.display()))?;
    env.apply_files(&files, DefaultAction::Override);
    Ok(())
}

/// Contents by name; directories and links to directories are no files.
fn read_files(directory: &Path) -> Result<BTreeMap<OsString, OsString>> {
    let mut files = BTreeMap::new();
    for Entry { name, kind } in layers::list(directory)? {
        let path = directory.join(&name);
        if kind == Kind::File || kind == Kind::Link && !path.is_dir() {
            let content = file::read_opened(sys::open(&path)?, &path, MAX_VALUE_LENGTH)?;
            files.insert(name, OsString::from_vec(content));
        }
    }
    Ok(files)
}
