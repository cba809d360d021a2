//! Extender: applies the extensions' Dockerfiles to the container that it runs in.

use super::builder::Builder;
use super::{Command, base_image, container, documents};
use crate::buildpack::DockerfileKind;
use crate::extend::Machine;
use crate::extend::cache::LayerCache;
use crate::extend::snapshot::{Mode, Snapshotter};
use crate::log::{Level, Log};
use crate::phase::extend::{self, Extend};
use crate::phase::generate::Layout;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::group::Group;
use lifecycle_core::error::{Error, ErrorKind, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_image::image::Image;
use lifecycle_image::layer::Workers;
use std::path::{Path, PathBuf};

/// Applies the extensions' Dockerfiles.
pub struct Extender;

impl Command for Extender {
    const PROGRAM: Program = Program::Extender;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        Ok(())
    }

    fn execute(inputs: &Inputs, (): (), log: &Log) -> Result<(), Failure> {
        match inputs.extend_kind.as_str() {
            "build" => {
                let image = extend(inputs, DockerfileKind::Build, log)?;
                build(inputs, &image, log)
            }
            "run" => extend(inputs, DockerfileKind::Run, log).map(drop),
            kind => {
                let text =
                    format!("failed to extend: unknown kind '{kind}', expected 'build' or 'run'");
                Err(Error::new(ErrorKind::InvalidArguments, text).into())
            }
        }
    }
}

/// Runs the buildpacks in the extended build image: with its environment, as the build user.
fn build(inputs: &Inputs, image: &Image, log: &Log) -> Result<(), Failure> {
    let mut inputs = inputs.clone();
    for (name, value) in image.config.env() {
        inputs.process_env.set(name, value);
    }
    privileges::ensure_owner(&inputs, [Some(&inputs.layers_dir)])?;
    privileges::run_as_user(&inputs)?;
    privileges::adopt_user_environment(&mut inputs)?;
    Builder::prepare(&mut inputs, log)?;
    Builder::execute(&inputs, (), log)
}

fn extend(inputs: &Inputs, kind: DockerfileKind, log: &Log) -> Result<Image, Failure> {
    // On the platform's volume, which no layer holds.
    let work_dir = container::work_dir(&inputs.kaniko_dir);
    let work_dir = work_dir.context(|| "failed to initialize extender")?;
    let group = documents::read_group(&inputs.group)?;
    for extension in &group.extensions {
        extension.buildpack_api()?;
    }
    let analyzed = documents::read_analyzed(&inputs.analyzed, log)?;
    let reference = match kind {
        DockerfileKind::Build => analyzed.build_image,
        DockerfileKind::Run => analyzed.run_image.map(|image| image.reference),
    };
    let reference = reference.unwrap_or_default();
    let extended = extend_in(inputs, kind, &group, &reference, work_dir.path(), log);
    let extended = extended.context(|| format!("failed to extend {} image", kind.as_str()));
    extended.during(Phase::Extend)
}

fn extend_in(
    inputs: &Inputs,
    kind: DockerfileKind,
    group: &Group,
    reference: &str,
    work_dir: &Path,
    log: &Log,
) -> CoreResult<Image> {
    let job = Extend {
        kind,
        reference,
        bases: &base_image::directory(&inputs.kaniko_dir),
        extensions: &group.extensions,
        generated_dir: &inputs.generated_dir,
        layout: match inputs.platform_api.has(Feature::GeneratedContexts) {
            true => Layout::ByExtension,
            false => Layout::ByKind,
        },
        app_dir: &inputs.app_dir,
    };
    // They end with this function: later the process changes its user, which threads would not.
    let workers = Workers::for_machine();
    let extended = extend::extend(&job, || machine(inputs, work_dir, &workers, log), log)?;
    if kind == DockerfileKind::Run {
        extend::save(&extended, &inputs.extended_dir, log)?;
    }
    Ok(extended.image)
}

fn machine<'a>(
    inputs: &Inputs,
    work_dir: &'a Path,
    workers: &'a Workers,
    log: &Log,
) -> CoreResult<Machine<'a>> {
    let root = Path::new("/");
    let paths = [
        &inputs.app_dir,
        &inputs.layers_dir,
        &inputs.platform_dir,
        &inputs.kaniko_dir,
        &inputs.generated_dir,
        &inputs.extended_dir,
    ]
    .map(PathBuf::as_path);
    let ignored = container::ignored(&inputs.process_env, &paths)?;
    let cache = inputs.kaniko_dir.join("cache/layers");
    Ok(Machine::new(
        root,
        None,
        Snapshotter::new(root, ignored, Mode::Full, work_dir, workers)?,
        Some(LayerCache::open(&cache, inputs.kaniko_cache_ttl)?),
        container::proxies(&inputs.process_env),
        Log::to(std::io::stderr(), Level::Info, log.color()),
    ))
}
