//! Generation: the group's extensions write Dockerfiles, which decide about run image and plan (FACTS 6.6;
//! image_extension.md, Phase: Generation).

use crate::buildpack::dir::Dir;
use crate::buildpack::{
    self, DockerfileKind, EXTEND_CONFIG, GenerateSite, Generated, OS_RELEASE, Store, Surroundings,
};
use crate::log::Log;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::analyzed::{Analyzed, AnalyzedRunImage};
use lifecycle_core::data::group::{GroupElement, escape_id};
use lifecycle_core::data::plan::Plan;
use lifecycle_core::data::run::RunImages;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_image::oci::Reference;
use std::path::Path;

/// How generated files are handed to the extender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `<generated>/<kind>/<extension>/Dockerfile`: copies of the Dockerfiles alone (before Platform API 0.13).
    ByKind,
    /// `<generated>/<extension>/<kind>.Dockerfile`: where extensions wrote, with context directories.
    ByExtension,
}

/// What generation works on.
pub struct Job<'a> {
    /// The group's extensions.
    pub extensions: &'a [GroupElement],
    /// The group's plan.
    pub plan: Plan,
    /// What analysis found out.
    pub analyzed: Analyzed,
    /// The run images that the platform knows.
    pub run_images: &'a RunImages,
    /// Where extensions are.
    pub store: &'a Store,
    /// What they find around them.
    pub surroundings: &'a Surroundings,
    /// `<generated>`.
    pub generated_dir: &'a Path,
    /// The form of `<generated>`.
    pub layout: Layout,
    /// Whether a run image of the same name as the analyzed one is no new run image.
    pub compares_names: bool,
}

/// Runs every extension; returns what is now known about the run image, and the plan without what they met.
///
/// # Errors
/// Kind `BuildpackFailed` if an extension fails; others if what it generated is not permitted.
pub fn generate(job: Job<'_>, log: &Log) -> Result<(Analyzed, Plan)> {
    let _timer = log.timer("Generator");
    let run_image = job.analyzed.run_image.as_ref();
    let target = run_image.and_then(|image| image.target.clone());
    let target = buildpack::complete_target(target.unwrap_or_default(), Path::new(OS_RELEASE), log);
    let (outputs, _temp_dir) = match job.layout {
        Layout::ByExtension => (Dir::open(job.generated_dir)?, None),
        Layout::ByKind => {
            let dir = tempfile::Builder::new()
                .prefix("cnb-extensions-generated.")
                .tempdir_in(&job.surroundings.temp_dir)
                .context(|| "make a directory for the extensions")?;
            (Dir::open(dir.path())?, Some(dir))
        }
    };
    let site = GenerateSite {
        surroundings: job.surroundings,
        target: &target,
        outputs: &outputs,
        handed_on: job.layout == Layout::ByExtension,
        log,
    };
    let mut plan = job.plan;
    let mut generated = Vec::with_capacity(job.extensions.len());
    for element in job.extensions {
        let name = element.full_name();
        log.debug(format_args!("Running generate for extension {name}"));
        log.debug("Looking up extension");
        let extension = job
            .store
            .find(ModuleKind::Extension, &element.id, &element.version)?;
        log.debug("Finding plan");
        let own_plan = plan.for_module(ModuleKind::Extension, &element.id);
        log.debug("Invoking command");
        let output = buildpack::generate(&extension, &own_plan, &site)?;
        generated.push((element.id.as_str(), output));
        let met: Vec<_> = own_plan
            .entries
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        plan = plan.without(&met);
        log.debug(format_args!(
            "Finished running generate for extension {name}"
        ));
    }
    log.debug("Checking run image");
    let choice = choose_run_image(&generated, log);
    let mut analyzed = job.analyzed;
    update(
        &mut analyzed,
        &choice,
        job.run_images,
        job.compares_names,
        log,
    );
    log.debug("Copying Dockerfiles");
    match job.layout {
        Layout::ByExtension => ignore_in_place(&outputs, &generated, choice.first_in_force)?,
        Layout::ByKind => copy(job.generated_dir, &generated, choice.first_in_force, log)?,
    }
    Ok((analyzed, plan))
}

/// What all `run.Dockerfile`s together do to the run image.
#[derive(Debug, Default, PartialEq, Eq)]
struct RunImageChoice {
    /// The image that replaces the run image.
    new_base: Option<String>,
    /// Whether there are instructions to apply.
    extends: bool,
    /// The extension from which on `run.Dockerfile`s count: the last that switches the run image.
    first_in_force: usize,
}

fn choose_run_image(generated: &[(&str, Generated)], log: &Log) -> RunImageChoice {
    let mut choice = RunImageChoice::default();
    for (index, (id, output)) in generated.iter().enumerate().rev() {
        let Some((_, change)) = &output.run else {
            continue;
        };
        choice.extends |= change.extends;
        if let Some(base) = &change.new_base {
            // The space at the end is the reference's.
            log.debug(format_args!(
                "Found a run.Dockerfile from extension '{id}' setting run image to '{base}' "
            ));
            choice.new_base = Some(base.clone());
            choice.first_in_force = index;
            break;
        }
    }
    choice
}

fn update(
    analyzed: &mut Analyzed,
    choice: &RunImageChoice,
    known: &RunImages,
    compares_names: bool,
    log: &Log,
) {
    let old = analyzed.run_image.as_ref();
    let old = old.map_or("", |image| image.image.as_str());
    let is_new = |base: &&String| !compares_names || *base != old;
    if let Some(base) = choice.new_base.as_ref().filter(is_new) {
        if !is_known(base, known) {
            log.warn(format_args!(
                "new runtime base image '{base}' not found in run metadata"
            ));
        }
        log.debug(format_args!(
            "Updating analyzed metadata with new run image '{base}'"
        ));
        // What the new image is gets known when it is read.
        analyzed.run_image = Some(AnalyzedRunImage {
            reference: base.clone(),
            image: base.clone(),
            extend: choice.extends,
            target: None,
        });
    }
    if choice.extends
        && let Some(image) = &mut analyzed.run_image
    {
        log.debug("Updating analyzed metadata to indicate run image extension");
        image.extend = true;
    }
}

/// Whether run.toml names the image, in whatever spelling; digests do not count.
fn is_known(image: &str, known: &RunImages) -> bool {
    let normal = |name: &str| {
        let name = match name.split_once('@') {
            Some((name, digest)) if digest.starts_with("sha256:") => name,
            _ => name,
        };
        Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.name())
    };
    let image = normal(image);
    let names = known
        .images
        .iter()
        .flat_map(|run| run.mirrors.iter().chain([&run.image]));
    names.into_iter().any(|name| normal(name) == image)
}

/// Renames every `run.Dockerfile` that a later one makes void.
fn ignore_in_place(
    outputs: &Dir,
    generated: &[(&str, Generated)],
    first_in_force: usize,
) -> Result<()> {
    for (id, output) in generated.iter().take(first_in_force) {
        if output.run.is_some() {
            let dir = outputs.make_dir(escape_id(id).as_ref())?;
            let name = DockerfileKind::Run.file_name();
            dir.rename(name.as_ref(), format!("{name}.ignore").as_ref())
                .context(|| "failed to rename Dockerfile")?;
        }
    }
    Ok(())
}

/// Copies every Dockerfile, with the build arguments beside it.
fn copy(
    generated_dir: &Path,
    generated: &[(&str, Generated)],
    first_in_force: usize,
    log: &Log,
) -> Result<()> {
    let root = Dir::open(generated_dir)?;
    for (index, (id, output)) in generated.iter().enumerate() {
        let run = output.run.as_ref().map(|(text, _)| text);
        let run_name = match index < first_in_force {
            true => "Dockerfile.ignore",
            false => "Dockerfile",
        };
        let files = [
            (DockerfileKind::Run, run, run_name),
            (DockerfileKind::Build, output.build.as_ref(), "Dockerfile"),
        ];
        for (kind, text, name) in files {
            let Some(text) = text else { continue };
            let dir = root.make_dir(kind.as_str().as_ref())?;
            let dir = dir.make_dir(escape_id(id).as_ref())?;
            log.debug(format_args!(
                "Copying {} to {}",
                output.dir.join(kind.file_name()).display(),
                dir.path().join(name).display()
            ));
            dir.write(name.as_ref(), text.as_bytes())?;
            if let Some(config) = &output.extend_config {
                dir.write(EXTEND_CONFIG.as_ref(), config.as_bytes())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
