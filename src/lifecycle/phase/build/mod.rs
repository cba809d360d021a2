//! Build: runs the group's buildpacks one after the other (FACTS 7.1; buildpack.md, Phase #3: Build).

mod processes;

use crate::buildpack::dir::Dir;
use crate::buildpack::{self, OS_RELEASE, SbomFile, SbomKind, Site, Store, Surroundings};
use crate::log::Log;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::group::{Group, GroupElement, escape_id};
use lifecycle_core::data::launch::{Label, Slice};
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::plan::Plan;
use lifecycle_core::data::sbom::{BomEntry, legacy_json};
use lifecycle_core::data::target::Target;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Result, ResultExt};
use processes::Processes;
use std::ffi::OsStr;
use std::path::Path;

/// Where software bills of materials go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbomOutput {
    /// The legacy BOM into metadata.toml; files stay where buildpacks wrote them.
    Metadata,
    /// The legacy BOM into metadata.toml, files below `<layers>/sbom`.
    MetadataAndFiles,
    /// Files below `<layers>/sbom`, the legacy BOM among them.
    Files,
}

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The buildpacks.
    pub group: &'a Group,
    /// What detection found out.
    pub plan: &'a Plan,
    /// What the run image says that it is.
    pub target: &'a Target,
    /// `<layers>`.
    pub layers_dir: &'a Path,
    /// Where software bills of materials go.
    pub sbom: SbomOutput,
}

/// Runs every buildpack of the group, each with the entries of the plan that are still to be met.
///
/// # Errors
/// Kind `BuildpackFailed` if a `bin/build` does not start or fails, kind `BuildpackApi` if a buildpack's API is not
/// supported; others if a buildpack is missing or wrote something malformed.
pub fn build(
    job: &Job<'_>,
    modules: &Store,
    surroundings: &Surroundings,
    log: &Log,
) -> Result<BuildMetadata> {
    let _timer = log.timer("Builder");
    let layers_dir = Dir::open(job.layers_dir)?;
    layers_dir
        .remove(OsStr::new("sbom"))
        .context(|| "cleaning layers SBOM directory")?;
    let target = buildpack::complete_target(job.target.clone(), Path::new(OS_RELEASE), log);
    let site = Site {
        surroundings,
        target: &target,
        layers_dir: &layers_dir,
        log,
    };

    let mut progress = Progress {
        plan: job.plan.clone(),
        env: surroundings.inherited.clone(),
        ..Progress::default()
    };
    for element in &job.group.buildpacks {
        log.debug(format_args!(
            "Running build for buildpack {}",
            element.full_name()
        ));
        progress.run(element, modules, &site)?;
        log.debug(format_args!(
            "Finished running build for buildpack {}",
            element.full_name()
        ));
    }
    write_sboms(job.sbom, &layers_dir, &progress, log)?;

    log.debug("Listing processes");
    let (processes, default_process_type) = progress.processes.finish();
    Ok(BuildMetadata {
        processes,
        default_process_type,
        bom: if job.sbom == SbomOutput::Files {
            Vec::new()
        } else {
            progress.launch_bom
        },
        buildpacks: job.group.buildpacks.clone(),
        extensions: job.group.extensions.clone(),
        labels: progress.labels,
        slices: progress.slices,
    })
}

/// What the buildpacks so far have left for later ones and for the app image.
#[derive(Default)]
struct Progress {
    plan: Plan,
    env: Env,
    processes: Processes,
    labels: Vec<Label>,
    slices: Vec<Slice>,
    launch_bom: Vec<BomEntry>,
    build_bom: Vec<BomEntry>,
    /// By the name of the buildpack's directory.
    sbom_files: Vec<(String, Vec<SbomFile>)>,
}

impl Progress {
    fn run(&mut self, element: &GroupElement, modules: &Store, site: &Site<'_>) -> Result<()> {
        site.log.debug("Looking up buildpack");
        let module = modules.find(ModuleKind::Buildpack, &element.id, &element.version)?;
        site.log.debug("Finding plan");
        let entries = self.plan.for_module(ModuleKind::Buildpack, &element.id);
        let output = buildpack::build(&module, &entries, site, &mut self.env)?;

        site.log.debug("Updating buildpack processes");
        self.plan = self.plan.without(&output.met);
        self.labels.extend(output.labels);
        self.slices.extend(output.slices);
        self.launch_bom.extend(output.launch_bom);
        self.build_bom.extend(output.build_bom);
        self.sbom_files
            .push((escape_id(&module.descriptor.id), output.sbom_files));
        site.log.debug("Updating process list");
        if let Some(lost) = self.processes.add(output.processes) {
            site.log.warn(format_args!(
                "Warning: redefining the following default process type with a process not marked as default: {lost}"
            ));
        }
        Ok(())
    }
}

fn write_sboms(output: SbomOutput, layers_dir: &Dir, progress: &Progress, log: &Log) -> Result<()> {
    if output != SbomOutput::Metadata {
        log.debug("Copying SBOM files");
        for (id, files) in &progress.sbom_files {
            buildpack::copy_sbom_files(layers_dir, id, files)?;
        }
    }
    if output == SbomOutput::Files {
        log.debug("Creating SBOM files for legacy BOM");
        for (kind, entries) in [
            (SbomKind::Launch, &progress.launch_bom),
            (SbomKind::Build, &progress.build_bom),
        ] {
            layers_dir
                .make_dir(OsStr::new("sbom"))?
                .make_dir(OsStr::new(kind.dir_name()))?
                .write(
                    OsStr::new("sbom.legacy.json"),
                    legacy_json(entries).as_bytes(),
                )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
