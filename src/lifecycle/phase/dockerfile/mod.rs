//! A Dockerfile alone, made into an image: stages in roots of their own, or one in this container's.

mod plan;

pub use plan::{Plan, Source};

use crate::dockerfile::Dockerfile;
use crate::extend::cache::{Key, LayerCache};
use crate::extend::jail::Jail;
use crate::extend::namespace::Owners;
use crate::extend::snapshot::{Ignored, Mode, Snapshotter};
use crate::extend::{self, Job, Machine, Origins, State};
use crate::log::Log;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::layer::Workers;
use lifecycle_image::layer::header::TRAILER;
use lifecycle_image::oci::{Config, DiffId, Digest, ManifestKind, Platform};
use plan::{origin, platform_args};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time of images that nobody gave another.
const CREATED: &str = "1980-01-01T00:00:01Z";
/// Where programs are when a base image is nothing (BuildKit's default).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A Dockerfile and all that it takes to execute it.
pub struct Build<'a> {
    /// The Dockerfile.
    pub file: &'a Dockerfile,
    /// Its path.
    pub path: &'a Path,
    /// The stages that are made.
    pub plan: &'a Plan,
    /// The build context.
    pub context: &'a Path,
    /// Build arguments; of several with one name the last counts.
    pub args: Vec<(String, String)>,
    /// Variables that every `RUN` sees and no image keeps.
    pub proxies: Vec<(String, String)>,
    /// Where the image's files are.
    pub root: Root<'a>,
    /// Opens a base image.
    pub images: &'a dyn Fn(&str) -> Result<Image>,
    /// For everything that goes when the build ends; no layer holds it.
    pub work_dir: &'a Path,
    /// Which differences count.
    pub mode: Mode,
    /// Where layers of `RUN` are kept, and for how long.
    pub cache: Option<(&'a Path, Duration)>,
}

/// Where the files of the image are that is made.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// This container's own: those of the base image are there already. Nothing of `ignored` gets into a layer.
    Container {
        /// Mounts and places of the lifecycle's.
        ignored: &'a Ignored,
    },
    /// A directory without files, of a process in a user namespace.
    Directory {
        /// Its path.
        path: &'a Path,
        /// Whose files there can be.
        owners: Owners,
    },
}

/// Makes the image of the plan's last stage. What instructions do is told to `log`.
///
/// # Errors
/// A base image is missing, an instruction is not supported, or it fails.
pub fn build(build: &Build<'_>, workers: &Workers, log: &Log) -> Result<Image> {
    let mut made = Made {
        build,
        roots: BTreeMap::new(),
        pulled: RefCell::new(BTreeMap::new()),
    };
    let mut states = BTreeMap::new();
    let mut last = None;
    for (&at, source) in &build.plan.stages {
        let Some(stage) = build.file.stages.get(at) else {
            continue;
        };
        let place = || format!("line {} (FROM {})", stage.line, stage.image);
        log.info(format_args!("FROM {}", stage.image));
        let base = base(build, source, &states).context(place)?;
        let is_last = build.plan.stages.keys().next_back() == Some(&at);
        let root = made.root_of(at, is_last).context(place)?;
        let mut machine = machine(build, &root, workers, log).context(place)?;
        if let Root::Directory { owners, .. } = build.root {
            extend::unpack(&base.image, &root, owners).context(place)?;
        }
        let job = Job {
            dockerfile: build.path,
            context: build.context,
            args: &[platform_args(), build.args.clone()].concat(),
            origins: &Stages { made: &made, at },
        };
        let state = machine.apply_stage(&job, build.file, stage, base)?;
        made.roots.insert(at, root);
        last = Some(state.image.clone());
        states.insert(at, state);
    }
    let image = last.ok_or_else(|| Error::other("there is no stage"))?;
    let config = image.config.clone().with_created(CREATED);
    Ok(without_empty_layers(image).with_config(config))
}

/// What a stage begins with.
fn base(build: &Build<'_>, source: &Source, states: &BTreeMap<usize, State>) -> Result<State> {
    match source {
        Source::Stage(at) => {
            let state = states.get(at).cloned();
            state.ok_or_else(|| Error::other("the stage was not made"))
        }
        Source::Scratch => {
            let Platform { os, architecture } = Platform::host();
            let config = Config::new(&os, &architecture).with_env("PATH", PATH);
            Ok(State {
                image: Image::new(ManifestKind::Oci, config.with_working_dir("/")),
                key: Key::of_base(&Digest::of(b"scratch")),
            })
        }
        Source::Image(name) => {
            let image = (build.images)(name)?;
            let origin = image.origin.as_ref();
            let digest = origin.map(|origin| origin.manifest_descriptor.digest);
            let digest = digest.ok_or_else(|| Error::other("the image has no digest"))?;
            Ok(State {
                image,
                key: Key::of_base(&digest),
            })
        }
    }
}

fn machine<'m>(
    build: &Build<'m>,
    root: &Path,
    workers: &'m Workers,
    log: &Log,
) -> Result<Machine<'m>> {
    let (ignored, jail) = match build.root {
        Root::Container { ignored } => (ignored.clone(), None),
        Root::Directory { owners, .. } => (
            Ignored::default(),
            Some(Jail::new(
                root,
                owners,
                build.work_dir,
                &cache_mounts(build),
            )?),
        ),
    };
    let cache = build
        .cache
        .map(|(directory, ttl)| LayerCache::open(directory, ttl));
    Ok(Machine::new(
        root,
        jail,
        Snapshotter::new(root, ignored, build.mode, build.work_dir, workers)?,
        cache.transpose()?,
        build.proxies.clone(),
        log.clone(),
    ))
}

/// Where directories are that `RUN --mount=type=cache` keeps: with the other caches, else as long as the build.
fn cache_mounts(build: &Build<'_>) -> PathBuf {
    let directory = build.cache.map(|(directory, _)| directory);
    directory.unwrap_or(build.work_dir).join("mounts")
}

/// An instruction that changed no file leaves no layer; the executor makes one of each for the extender's contract.
fn without_empty_layers(mut image: Image) -> Image {
    let empty = DiffId::of(&[0; TRAILER]);
    image.layers.retain(|layer| layer.diff_id != empty);
    image
}

/// The roots that there are so far.
struct Made<'b> {
    build: &'b Build<'b>,
    roots: BTreeMap<usize, PathBuf>,
    /// Images of which files are copied.
    pulled: RefCell<BTreeMap<String, PathBuf>>,
}

impl Made<'_> {
    /// An empty directory for a stage, the build's own for the last one.
    fn root_of(&self, at: usize, is_last: bool) -> Result<PathBuf> {
        match self.build.root {
            Root::Container { .. } => Ok(PathBuf::from("/")),
            Root::Directory { path, .. } if is_last => Ok(path.to_owned()),
            Root::Directory { .. } => self.new_root(&format!("stage-{at}")),
        }
    }

    fn new_root(&self, name: &str) -> Result<PathBuf> {
        let root = self.build.work_dir.join(name);
        fs::create_dir(&root).context(|| format!("create {}", root.display()))?;
        Ok(root)
    }

    /// The files of an image that no stage begins with.
    fn pull(&self, name: &str) -> Result<PathBuf> {
        if let Some(root) = self.pulled.borrow().get(name) {
            return Ok(root.clone());
        }
        let owners = match self.build.root {
            Root::Directory { owners, .. } => owners,
            Root::Container { .. } => Owners::All,
        };
        let image = (self.build.images)(name)?;
        let number = self.pulled.borrow().len();
        let root = self.new_root(&format!("image-{number}"))?;
        extend::unpack(&image, &root, owners)?;
        self.pulled
            .borrow_mut()
            .insert(name.to_owned(), root.clone());
        Ok(root)
    }
}

/// What `--from` can mean in one stage.
struct Stages<'b> {
    made: &'b Made<'b>,
    at: usize,
}

impl Origins for Stages<'_> {
    fn root(&self, name: &str) -> Result<PathBuf> {
        let from = || format!("--from={name}");
        match origin(self.made.build.file, self.at, name)? {
            Source::Stage(at) => {
                let root = self.made.roots.get(&at).cloned();
                let missing = || Error::other("only the Dockerfile itself may name stages");
                root.ok_or_else(missing).context(from)
            }
            Source::Image(name) => self.made.pull(&name).context(from),
            Source::Scratch => Err(Error::other("there is nothing in it").in_context(from())),
        }
    }
}
