//! The launch environment that layers make (FACTS 12.3).

use crate::layers::{self, Layer};
use lifecycle_core::env::{DefaultAction, Env};
use lifecycle_core::error::{Result, ResultExt};

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
        if let Some(path) = layer.entry(directory)
            && layers::exists(&path)?
        {
            env.prepend_path(variable, &path);
        }
    }
    Ok(())
}

fn apply_files(env: &mut Env, layer: &Layer, process_type: Option<&str>) -> Result<()> {
    if let Some(directory) = layer.entry("env") {
        env.apply_env_dir(&directory, DefaultAction::Override)?;
    }
    if let Some(directory) = layer.entry("env.launch") {
        env.apply_env_dir(&directory, DefaultAction::Override)?;
        if let Some(process_type) = process_type {
            env.apply_env_dir(&directory.join(process_type), DefaultAction::Override)?;
        }
    }
    Ok(())
}
