//! The launch layers on disk.

use lifecycle_core::data::group::GroupElement;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

/// A layer directory.
pub(crate) struct Layer {
    path: PathBuf,
    /// What it contains; `None` if it cannot be listed (it may still be traversed).
    names: Option<Vec<OsString>>,
}

impl Layer {
    /// The path of `name` in this layer, if there may be such an entry. Answers from one listing, because most layers
    /// have few of the directories that matter at launch.
    pub(crate) fn entry(&self, name: &str) -> Option<PathBuf> {
        let may_exist = self.names.as_ref().is_none_or(|names| names.iter().any(|known| known == name));
        may_exist.then(|| self.path.join(name))
    }
}

/// The layers of each buildpack that has a directory in `<layers>`, sorted by name. Links to directories are no
/// layers.
///
/// # Errors
/// A directory cannot be listed, or a buildpack's id cannot name one.
pub(crate) fn of_buildpacks(layers_dir: &Path, buildpacks: &[GroupElement]) -> Result<Vec<Vec<Layer>>> {
    buildpacks.iter().map(|buildpack| of_buildpack(layers_dir, buildpack)).collect()
}

fn of_buildpack(layers_dir: &Path, buildpack: &GroupElement) -> Result<Vec<Layer>> {
    let name = buildpack.escaped_id();
    if matches!(name.as_str(), "" | "." | "..") {
        return Err(Error::other(format_args!("buildpack ID '{}' cannot name a directory", buildpack.id)));
    }
    let layers = list(&layers_dir.join(name), |entry| entry.file_type().map(|kind| kind.is_dir()))?;
    Ok(layers
        .into_iter()
        .map(|path| {
            let names = fs::read_dir(&path).and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
            });
            Layer { path, names: names.ok() }
        })
        .collect())
}

/// The files below `directory` of each layer and, behind each layer's, those below `directory/<process type>`; sorted
/// by name, sub-directories left out.
///
/// # Errors
/// A directory cannot be listed.
pub(crate) fn files(layers: &[Vec<Layer>], directory: &str, process_type: Option<&str>) -> Result<Vec<PathBuf>> {
    let is_file = |entry: &DirEntry| entry.file_type().map(|kind| !kind.is_dir());
    let mut files = Vec::new();
    for directory in layers.iter().flatten().filter_map(|layer| layer.entry(directory)) {
        files.extend(list(&directory, is_file)?);
        if let Some(process_type) = process_type {
            files.extend(list(&directory.join(process_type), is_file)?);
        }
    }
    Ok(files)
}

/// The entries of `directory` that `wanted` takes, in byte order; none if it does not exist.
fn list(directory: &Path, wanted: impl Fn(&DirEntry) -> io::Result<bool>) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    let paths = || {
        let mut paths = Vec::new();
        for entry in entries? {
            let entry = entry?;
            if wanted(&entry)? {
                paths.push(entry.path());
            }
        }
        paths.sort_unstable();
        io::Result::Ok(paths)
    };
    paths()
        .context(|| format!("open {}", directory.display()))
        .context(|| format!("failed to list files in dir '{}'", directory.display()))
}

/// Whether `path` exists; links are followed.
///
/// # Errors
/// It cannot be found out.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    path.try_exists().context(|| format!("stat {}", path.display()))
}

