//! Detector: chooses the buildpack group, and lets its extensions generate Dockerfiles.

use super::{Command, documents};
use crate::buildpack::{self, Detection, Module, OS_RELEASE, Store, Surroundings};
use crate::log::Log;
use crate::phase::detect::{self, Decisions, Modules};
use crate::phase::generate::{self, Job, Layout};
use crate::platform::{Experimental, ExperimentalMode, Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::order::Orders;
use lifecycle_core::data::plan::Plan;
use lifecycle_core::data::target::Target;
use lifecycle_core::error::{ErrorKind, Result, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use std::path::Path;
use std::sync::Arc;

/// Chooses the buildpack group.
pub struct Detector;

impl Command for Detector {
    const PROGRAM: Program = Program::Detector;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::refuse_root("detect")?;
        Ok(())
    }

    fn execute(inputs: &Inputs, (): (), log: &Log) -> Result<(), Failure> {
        let detection = prepare(inputs, log)?;
        if !detection.orders.extensions.is_empty()
            && !inputs.platform_api.has(Feature::GeneratedContexts)
        {
            let mode = ExperimentalMode::from_env(&inputs.process_env);
            mode.guard(Experimental::Dockerfiles, log)?;
        }
        let (group, plan) = detect(inputs, &detection, log)?;
        if group.extensions.is_empty() {
            return Ok(());
        }
        generate(inputs, &detection.store, &group, plan, log)
    }
}

/// What detection starts from.
pub struct Preparation {
    analyzed: Analyzed,
    orders: Orders,
    store: Store,
}

/// Reads what detection needs, and verifies the modules of the order (FACTS 6.1).
///
/// # Errors
/// A document or descriptor cannot be read; kind `BuildpackApi` if a module's API is not supported.
pub fn prepare(inputs: &Inputs, log: &Log) -> Result<Preparation> {
    read(inputs, log).map_err(|error| match error.kind() {
        ErrorKind::BuildpackApi => error,
        _ => error.in_context("failed to initialize detector"),
    })
}

/// Detects, and writes group.toml and plan.toml.
///
/// # Errors
/// No group passes, or a file cannot be written.
pub fn detect(
    inputs: &Inputs,
    preparation: &Preparation,
    log: &Log,
) -> Result<(Group, Plan), Failure> {
    let modules = BuildEnvironment {
        store: &preparation.store,
        surroundings: Surroundings::new(inputs),
        analyzed: &preparation.analyzed,
        log,
    };
    let exec_env = Some(inputs.exec_env.as_str())
        .filter(|exec_env| inputs.platform_api.has(Feature::ExecEnv) && !exec_env.is_empty());
    let decisions = Decisions {
        match_targets: inputs.platform_api.has(Feature::Targets),
        exec_env,
    };
    let (group, plan) = detect::detect(&preparation.orders, decisions, &modules, log)
        .context(|| "failed to detect")
        .during(Phase::Detect)?;
    documents::write_group(&inputs.group, &group)?;
    documents::write_plan(&inputs.plan, &plan)?;
    Ok((group, plan))
}

fn read(inputs: &Inputs, log: &Log) -> Result<Preparation> {
    let analyzed = documents::read_analyzed(&inputs.analyzed, log)?;
    let mut orders = documents::read_order(&inputs.order).context(|| "reading order")?;
    if inputs.platform_api.has(Feature::SystemBuildpacks) {
        let system = documents::read_system(&inputs.system, log).context(|| "reading system")?;
        orders = detect::with_system(orders, &system, log);
    }
    let store = Store::new(&inputs.buildpacks_dir, &inputs.extensions_dir);
    for element in orders.buildpacks.iter().chain(&orders.extensions).flatten() {
        let module = store.find(element.kind, &element.id, &element.version)?;
        module.group_element(element).buildpack_api()?;
    }
    Ok(Preparation {
        analyzed,
        orders,
        store,
    })
}

/// Lets the group's extensions generate, and writes analyzed.toml and plan.toml anew.
fn generate(
    inputs: &Inputs,
    store: &Store,
    group: &Group,
    plan: Plan,
    log: &Log,
) -> Result<(), Failure> {
    let read = || -> Result<_> {
        let run_images = documents::read_run(&inputs.run, log)?;
        // Read anew, as the reference does: an absent file is warned of twice.
        let analyzed = documents::read_analyzed(&inputs.analyzed, log)?;
        Ok((run_images, analyzed))
    };
    let (run_images, analyzed) = read().context(|| "failed to initialize generator")?;
    let layout = match inputs.platform_api.has(Feature::GeneratedContexts) {
        true => Layout::ByExtension,
        false => Layout::ByKind,
    };
    let job = Job {
        extensions: &group.extensions,
        plan,
        analyzed,
        run_images: &run_images,
        store,
        surroundings: &Surroundings::new(inputs),
        generated_dir: &inputs.generated_dir,
        layout,
        compares_names: inputs.platform_api.has(Feature::Targets),
    };
    // The words are the reference's.
    let (analyzed, plan) = generate::generate(job, log)
        .context(|| "failed to build")
        .during(Phase::Generate)?;
    documents::write_analyzed(&inputs.analyzed, &analyzed, log)?;
    documents::write_plan(&inputs.plan, &plan)?;
    Ok(())
}

/// The modules on disk.
struct BuildEnvironment<'a> {
    store: &'a Store,
    surroundings: Surroundings,
    analyzed: &'a Analyzed,
    log: &'a Log,
}

impl Modules for BuildEnvironment<'_> {
    fn find(&self, kind: ModuleKind, id: &str, version: &str) -> Result<Arc<Module>> {
        self.store.find(kind, id, version)
    }

    fn detect(&self, module: &Module, target: &Target) -> Detection {
        buildpack::detect(module, &self.surroundings, target)
    }

    fn target(&self) -> Target {
        target(self.analyzed, self.log)
    }
}

/// The run image's target, completed from this build environment.
fn target(analyzed: &Analyzed, log: &Log) -> Target {
    let run_image = analyzed.run_image.as_ref();
    let target = run_image.and_then(|image| image.target.clone());
    buildpack::complete_target(target.unwrap_or_default(), Path::new(OS_RELEASE), log)
}
