//! Runs `bin/build` of one buildpack and collects what it wrote (FACTS 7; buildpack.md, Phase #3: Build).

use super::dir::Dir;
use super::layers::{self, Layer};
use super::plan_file::PlanFile;
use super::sbom::{self, SbomFile};
use super::{Module, Surroundings, add_target};
use crate::exec::{self, Program};
use crate::log::Log;
use lifecycle_core::api::ModuleFeature;
use lifecycle_core::data::build::Build;
use lifecycle_core::data::group::escape_id;
use lifecycle_core::data::launch::{Label, Launch, Process, Slice};
use lifecycle_core::data::plan::BuildpackPlan;
use lifecycle_core::data::sbom::BomEntry;
use lifecycle_core::data::target::Target;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

/// Where buildpacks build.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// What the platform provides.
    pub surroundings: &'a Surroundings,
    /// What the run image is.
    pub target: &'a Target,
    /// `<layers>`.
    pub layers_dir: &'a Dir,
    /// Where progress and the buildpacks' output go.
    pub log: &'a Log,
}

/// What a buildpack contributed besides its layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildOutput {
    /// Names of the plan entries that it met.
    pub met: Vec<String>,
    /// Processes in file order.
    pub processes: Vec<Process>,
    /// Labels for the app image.
    pub labels: Vec<Label>,
    /// Slices of the app directory.
    pub slices: Vec<Slice>,
    /// SBOM files that are to be copied below `<layers>/sbom`.
    pub sbom_files: Vec<SbomFile>,
    /// Legacy bill of materials of the app image.
    pub launch_bom: Vec<BomEntry>,
    /// Legacy bill of materials of the build environment.
    pub build_bom: Vec<BomEntry>,
}

/// Runs `bin/build` of `module` with its part of the plan, and adds to `env` what its build layers give to later
/// buildpacks.
///
/// # Errors
/// Kind `BuildpackFailed` if the program does not start or fails; others if what it wrote is malformed.
pub fn build(
    module: &Module,
    plan: &BuildpackPlan,
    site: &Site<'_>,
    env: &mut Env,
) -> Result<BuildOutput> {
    let log = site.log;
    let id = escape_id(&module.descriptor.id);
    log.debug("Creating plan directory");
    let plan_file = PlanFile::write(&site.surroundings.temp_dir, &id, plan)?;
    log.debug("Preparing paths");
    site.layers_dir.make_dir(id.as_ref())?;
    log.debug("Running build command");
    run(module, site, env, plan_file.path())?;
    log.debug("Processing layers");
    // Not the directory of before: the buildpack may have put something else in its place.
    let dir = site.layers_dir.make_dir(id.as_ref())?;
    let layers = layers::read(&dir)
        .and_then(|layers| layers::ignore_typeless(&dir, &layers).map(|()| layers))
        .context(|| "failed to process buildpack layer")?;
    log.debug("Updating environment");
    layers::add_to_env(&dir, &layers, env)?;
    log.debug("Reading output files");
    read_output(module, plan, &dir, &layers, log)
}

fn run(module: &Module, site: &Site<'_>, env: &Env, plan_path: &Path) -> Result<()> {
    let Surroundings {
        app_dir,
        platform_dir,
        exec_env,
        ..
    } = site.surroundings;
    let layers_dir = site
        .layers_dir
        .path()
        .join(escape_id(&module.descriptor.id));
    let api = module.api()?;
    let mut env = site.surroundings.env_on(env, module)?;
    env.set("CNB_BUILDPACK_DIR", &module.root);
    if api.has(ModuleFeature::PathVariables) {
        env.set("CNB_PLATFORM_DIR", platform_dir);
        env.set("CNB_BP_PLAN_PATH", plan_path);
        env.set("CNB_LAYERS_DIR", &layers_dir);
    }
    if api.has(ModuleFeature::Targets) {
        add_target(&mut env, site.target);
    }
    if api.has(ModuleFeature::ExecEnv) && !exec_env.is_empty() {
        env.set("CNB_EXEC_ENV", exec_env);
    }
    let args: [&OsStr; 3] = [
        layers_dir.as_ref(),
        platform_dir.as_ref(),
        plan_path.as_ref(),
    ];
    let program = Program {
        path: &module.program("build"),
        args: &args,
        env: &env,
        dir: app_dir,
    };
    let mut output = site.log.output();
    // Like every log line: a closed standard output does not stop the build.
    let exit = exec::run(&program, |bytes| drop(output.write_all(bytes)))
        .map_err(|error| error.with_kind(ErrorKind::BuildpackFailed))?;
    if exit.is_success() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::BuildpackFailed, exit))
    }
}

fn read_output(
    module: &Module,
    plan: &BuildpackPlan,
    dir: &Dir,
    layers: &[Layer],
    log: &Log,
) -> Result<BuildOutput> {
    let descriptor = &module.descriptor;
    let name = format!("{}@{}", descriptor.id, descriptor.version);
    let sbom_names = sbom::names(dir)?;
    let bom = |entries: Vec<BomEntry>, warnings: usize| {
        if sbom_names.is_empty() && !entries.is_empty() {
            (0..warnings).for_each(|_| log.warn(BOM_DEPRECATION));
        }
        attributed(entries, module)
    };

    let build = read_document(&dir.path().join("build.toml"), Build::parse)?.unwrap_or_default();
    // The reference checks this file twice.
    let build_bom = bom(build.bom, 2)?;
    let met = met(plan, &build.unmet)?;
    let sbom_files = sbom::find(dir, &sbom_names, layers, &descriptor.sbom_formats, &name)?;

    let api = module.api()?;
    let launch = read_document(&dir.path().join("launch.toml"), |text| {
        Launch::parse(text, api)
    })?;
    let Launch {
        bom: launch_bom,
        labels,
        mut processes,
        slices,
        dropped_working_dirs,
    } = launch.unwrap_or_default();
    let launch_bom = bom(launch_bom, 1)?;
    for process_type in dropped_working_dirs {
        log.warn(format_args!(
            "Warning: process working directory isn't supported in this buildpack api version. Ignoring working \
             directory for process '{process_type}'"
        ));
    }
    for process in &mut processes {
        process.buildpack_id.clone_from(&descriptor.id);
    }
    Ok(BuildOutput {
        met,
        processes,
        labels,
        slices,
        sbom_files,
        launch_bom,
        build_bom,
    })
}

const BOM_DEPRECATION: &str = "BOM table is deprecated in this buildpack api version, though it remains supported \
    for backwards compatibility. Buildpack authors should write BOM information to <layer>.sbom.<ext>, \
    launch.sbom.<ext>, or build.sbom.<ext>.";

/// The entries with the buildpack's name on them.
fn attributed(entries: Vec<BomEntry>, module: &Module) -> Result<Vec<BomEntry>> {
    if let Some(entry) = entries.iter().find(|entry| !entry.version.is_empty()) {
        return Err(Error::other(format!(
            "bom entry '{}' has a top level version which is not allowed. The buildpack should instead set \
             metadata.version",
            entry.name
        )));
    }
    let buildpack = (
        module.descriptor.id.clone(),
        module.descriptor.version.clone(),
    );
    Ok(entries
        .into_iter()
        .map(|entry| BomEntry {
            buildpack: Some(buildpack.clone()),
            ..entry
        })
        .collect())
}

/// Names of the plan's entries that are not `unmet` (buildpack.md, build.toml).
fn met(plan: &BuildpackPlan, unmet: &[String]) -> Result<Vec<String>> {
    let planned = || plan.entries.iter().map(|entry| &entry.name);
    for name in unmet {
        if name.is_empty() {
            return Err(Error::other("unmet.name is required"));
        }
        if !planned().any(|planned| planned == name) {
            return Err(Error::other(format!(
                "unmet.name '{name}' must match a requested dependency"
            )));
        }
    }
    Ok(planned()
        .filter(|name| !unmet.contains(name))
        .cloned()
        .collect())
}

fn read_document<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    let text = file::read_if_exists(path, DOCUMENT_LIMIT)?;
    text.map(|text| in_document(path, parse(&text))).transpose()
}

/// Names the file in what is wrong with its TOML: behind the words that the contract puts first.
pub(super) fn in_document<T>(path: &Path, parsed: Result<T>) -> Result<T> {
    parsed.map_err(|error| match error.kind() {
        ErrorKind::Corrupt => Error::new(
            ErrorKind::Corrupt,
            format!("{error} (in {})", path.display()),
        ),
        _ => error,
    })
}
