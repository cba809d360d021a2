//! Dockerfiles, executed on the file system of the container that this process runs in: no daemon, no second root, no rights
//! but the container's own.
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
mod patterns;
mod process;
pub mod snapshot;
mod stage;
mod tar;
mod users;

use crate::dockerfile;
use crate::log::Log;
use cache::{Key, LayerCache};
use disk::Disk;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use lifecycle_image::image::Image;
use snapshot::Snapshotter;
use stage::Stage;
use std::io::{Read, Write};
use std::path::Path;

/// A Dockerfile and what comes with it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The Dockerfile.
    pub dockerfile: &'a Path,
    /// The build context.
    pub context: &'a Path,
    /// Build arguments; of several with one name the last counts.
    pub args: &'a [(String, String)],
}

/// The container whose files instructions change.
pub struct Machine<'a> {
    disk: Disk,
    snapshotter: Snapshotter<'a>,
    cache: Option<LayerCache>,
    /// Variables that every `RUN` sees and no image keeps (Docker's predefined arguments).
    proxies: Vec<(String, String)>,
    progress: Log,
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
    /// A container whose root is `root`: this process's own, where anything is to be run. What instructions do is told
    /// to `progress`.
    pub fn new(
        root: &Path,
        snapshotter: Snapshotter<'a>,
        cache: Option<LayerCache>,
        proxies: Vec<(String, String)>,
        progress: Log,
    ) -> Self {
        Self {
            disk: Disk::new(root),
            snapshotter,
            cache,
            proxies,
            progress,
            missed: false,
        }
    }

    /// Applies a Dockerfile of one stage to `base`, whose files are those of the container. The image that its `FROM`
    /// names is taken to be `base`.
    ///
    /// # Errors
    /// The Dockerfile is malformed, an instruction is not supported, or it fails.
    pub fn apply(&mut self, job: &Job<'_>, base: State) -> Result<State> {
        let text = file::read(job.dockerfile, DOCUMENT_LIMIT)?;
        let name = || format!("parsing {}", job.dockerfile.display());
        let parsed = dockerfile::parse(&text).context(name)?;
        match parsed.stages.as_slice() {
            [stage] => Stage::new(self, job, &parsed, base)?.run(stage),
            [] => Err(Error::other("there is no FROM").in_context(name())),
            _ => Err(Error::other("more than one stage is not supported").in_context(name())),
        }
    }
}

/// Rewrites the tar of a layer that an extender made, so that the same files give the same layer: all times become one.
///
/// # Errors
/// Kind `Corrupt`: not a tar. Or reading or writing fails.
pub fn with_constant_times(layer: impl Read, out: &mut dyn Write) -> Result<()> {
    tar::with_constant_times(layer, out)
}
