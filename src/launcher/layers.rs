//! The launch layers on disk.

use crate::sys::{self, Entry, Kind};
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::io;
use std::path::{Path, PathBuf};

/// A layer directory.
pub(crate) struct Layer {
    path: PathBuf,
    /// What it contains; `None` if it cannot be listed (it may still be traversed).
    entries: Option<Vec<Entry>>,
}

impl Layer {
    /// The path of `name` in this layer, if there may be such an entry. Answers from one listing, because most layers
    /// have few of the directories that matter at launch.
    pub(crate) fn entry(&self, name: &str) -> Option<PathBuf> {
        let may_exist = self
            .entries
            .as_ref()
            .is_none_or(|entries| entries.iter().any(|entry| entry.name == name));
        may_exist.then(|| self.path.join(name))
    }

    /// The path of `name` in this layer, if it exists; links are followed.
    ///
    /// # Errors
    /// It cannot be found out.
    pub(crate) fn existing(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(path) = self.entry(name) else {
            return Ok(None);
        };
        let is_listed = |entry: &Entry| entry.name == name && entry.kind != Kind::Link;
        let exists = self.entries.iter().flatten().any(is_listed) || exists(&path)?;
        Ok(exists.then_some(path))
    }
}

/// The layers of each buildpack that has a directory in `<layers>`, sorted by name. Links to directories are no
/// layers.
///
/// # Errors
/// A directory cannot be listed, or a buildpack's id cannot name one.
pub(crate) fn of_buildpacks(
    layers_dir: &Path,
    buildpacks: &[GroupElement],
) -> Result<Vec<Vec<Layer>>> {
    buildpacks
        .iter()
        .map(|buildpack| of_buildpack(layers_dir, buildpack))
        .collect()
}

fn of_buildpack(layers_dir: &Path, buildpack: &GroupElement) -> Result<Vec<Layer>> {
    let name = buildpack.escaped_id();
    if matches!(name.as_str(), "" | "." | "..") {
        return Err(Error::other(format_args!(
            "buildpack ID '{}' cannot name a directory",
            buildpack.id
        )));
    }
    let directory = layers_dir.join(name);
    let layers = list(&directory)?
        .into_iter()
        .filter(|entry| entry.kind == Kind::Directory);
    Ok(layers
        .map(|entry| {
            let path = directory.join(entry.name);
            Layer {
                entries: sys::list(&path).ok(),
                path,
            }
        })
        .collect())
}

/// The files below `directory` of each layer and, behind each layer's, those below `directory/<process type>`; sorted
/// by name, sub-directories left out.
///
/// # Errors
/// A directory cannot be listed.
pub(crate) fn files(
    layers: &[Vec<Layer>],
    directory: &str,
    process_type: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in layers
        .iter()
        .flatten()
        .filter_map(|layer| layer.entry(directory))
    {
        let entries = list(&directory)?;
        let own = of_process_type(&directory, &entries, process_type);
        push_files(&mut files, &directory, entries);
        if let Some(own) = own {
            push_files(&mut files, &own, list(&own)?);
        }
    }
    Ok(files)
}

fn push_files(files: &mut Vec<PathBuf>, directory: &Path, entries: Vec<Entry>) {
    let entries = entries
        .into_iter()
        .filter(|entry| entry.kind != Kind::Directory);
    files.extend(entries.map(|entry| directory.join(entry.name)));
}

/// `directory/<process type>`, if it is among the entries of `directory`.
pub(crate) fn of_process_type(
    directory: &Path,
    entries: &[Entry],
    process_type: Option<&str>,
) -> Option<PathBuf> {
    process_type
        .filter(|process_type| entries.iter().any(|entry| entry.name == **process_type))
        .map(|process_type| directory.join(process_type))
}

/// The entries of `directory` in byte order; none if it does not exist.
///
/// # Errors
/// It cannot be listed.
pub(crate) fn list(directory: &Path) -> Result<Vec<Entry>> {
    match sys::list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .context(|| format!("open {}", directory.display()))
            .context(|| format!("failed to list files in dir '{}'", directory.display())),
    }
}

/// Whether `path` exists; links are followed.
///
/// # Errors
/// It cannot be found out.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .context(|| format!("stat {}", path.display()))
}
