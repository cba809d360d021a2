//! Dockerfiles, executed without a daemon and with no rights but this process's own: on the file system of the container that
//! it runs in, or in a root of their own.
//!
//! ```text
//! Dockerfile ─▶ instructions, one after the other ─▶ config, and a layer each: of named files (COPY, ADD, WORKDIR), of what
//! has changed (RUN), from the cache (RUN), or empty
//! ```

pub mod cache;
mod configure;
pub mod container;
mod context;
mod copy;
mod disk;
pub mod jail;
mod mode;
mod mounts;
pub mod namespace;
mod patterns;
mod process;
mod resolve;
pub mod snapshot;
mod stage;
mod tar;
mod users;

use crate::dockerfile::{self, Dockerfile};
use crate::log::Log;
use cache::{Key, LayerCache};
use disk::{Archive, Disk};
use jail::Jail;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use lifecycle_image::image::Image;
use lifecycle_image::layer::open_stored;
use namespace::Owners;
use snapshot::{Ignored, Snapshotter};
use stage::Stage;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What comes with a Dockerfile.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The Dockerfile's path.
    pub dockerfile: &'a Path,
    /// The build context.
    pub context: &'a Path,
    /// Build arguments; of several with one name the last counts.
    pub args: &'a [(String, String)],
    /// Where `COPY --from` finds files.
    pub origins: &'a dyn Origins,
}

/// Other images, whose files `COPY --from` copies.
pub trait Origins {
    /// The directory that is the root of the stage or image of that name.
    ///
    /// # Errors
    /// There is none.
    fn root(&self, name: &str) -> Result<PathBuf>;
}

/// There are no other images, as in a Dockerfile of one stage.
pub struct NoOrigins;

impl Origins for NoOrigins {
    fn root(&self, name: &str) -> Result<PathBuf> {
        Err(Error::other(format!(
            "--from={name} is not supported: there is only one stage and no other image"
        )))
    }
}

/// The container whose files instructions change.
pub struct Machine<'a> {
    disk: Disk,
    snapshotter: Snapshotter<'a>,
    cache: Option<LayerCache>,
    /// Variables that every `RUN` sees and no image keeps (Docker's predefined arguments).
    proxies: Vec<(String, String)>,
    progress: Log,
    /// Where commands are run, unless that is this process's own root.
    jail: Option<Jail>,
    /// A layer that the cache lacks changes the files in a way that no later key knows.
    missed: bool,
}

/// An image, and what its files depend on.
#[derive(Clone)]
pub struct State {
    /// The image.
    pub image: Image,
    /// The key of its files.
    pub key: Key,
}

impl<'a> Machine<'a> {
    /// The files below `root`, which is that of `jail`, else this process's own. What instructions do is told to
    /// `progress`.
    pub fn new(
        root: &Path,
        jail: Option<Jail>,
        snapshotter: Snapshotter<'a>,
        cache: Option<LayerCache>,
        proxies: Vec<(String, String)>,
        progress: Log,
    ) -> Self {
        let owners = jail.as_ref().map_or(Owners::All, Jail::owners);
        Self {
            disk: Disk::new(root, owners),
            jail,
            snapshotter,
            cache,
            proxies,
            progress,
            missed: false,
        }
    }

    /// Applies a Dockerfile of one stage, the only one that the contract allows, to `base`, whose files are those of the
    /// container. The image that its `FROM` names is taken to be `base` (image_extension.md, Dockerfile Requirements).
    ///
    /// # Errors
    /// The Dockerfile is malformed, an instruction is not supported, or it fails.
    pub fn apply(&mut self, job: &Job<'_>, base: State) -> Result<State> {
        let text = file::read(job.dockerfile, DOCUMENT_LIMIT)?;
        let name = || format!("parsing {}", job.dockerfile.display());
        let parsed = dockerfile::parse(&text).context(name)?;
        match parsed.stages.as_slice() {
            [stage] => self.apply_stage(job, &parsed, stage, base),
            [] => Err(Error::other("there is no FROM").in_context(name())),
            [_, second, ..] => {
                let text = format!("line {}: more than one stage is not supported", second.line);
                Err(Error::other(text).in_context(name()))
            }
        }
    }

    /// Applies one stage of `file` to `base`, whose files are below the root.
    ///
    /// # Errors
    /// An instruction is not supported, or it fails.
    pub fn apply_stage(
        &mut self,
        job: &Job<'_>,
        file: &Dockerfile,
        stage: &dockerfile::Stage,
        base: State,
    ) -> Result<State> {
        Stage::new(self, job, file, base)?.run(stage)
    }
}

/// Puts the files of an image into `root`, an empty directory.
///
/// # Errors
/// A layer is malformed or not what its digest says, or a file cannot be written.
pub fn unpack(image: &Image, root: &Path, owners: Owners) -> Result<()> {
    let disk = Disk::new(root, owners);
    for layer in &image.layers {
        let unpacked = open_stored(layer).and_then(|mut tar| {
            let what = Archive::Layer(&Ignored::default());
            disk.unpack(&mut tar, Path::new("/"), what, &mut BTreeSet::new())?;
            // Only at its end is the blob compared with its digest.
            std::io::copy(&mut tar, &mut std::io::sink())?;
            Ok(())
        });
        unpacked.context(|| format!("unpack layer {}", layer.diff_id))?;
    }
    Ok(())
}

/// Rewrites the tar of a layer that an extender made, so that the same files give the same layer: all times become one.
///
/// # Errors
/// Kind `Corrupt`: not a tar. Or reading or writing fails.
pub fn with_constant_times(layer: impl Read, out: &mut dyn Write) -> Result<()> {
    tar::with_constant_times(layer, out)
}
