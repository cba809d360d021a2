//! From flags to inputs: argument counts, images that files name, and the checks of each program, in the contract's
//! order (FACTS 1.8).

use super::inputs::Inputs;
use super::mirror;
use super::program::Program;
use crate::log::Log;
use lifecycle_core::api::{Feature, PlatformApi};
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::run::{RunImageMirrors, RunImages};
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_image::oci::Reference;
use std::path::Path;

/// What resolving needs to know beyond the command line: documents, and which images can be read.
pub struct Sources<'a> {
    /// Reads run.toml; without the file there are no images.
    pub run_images: &'a dyn Fn(&Path) -> Result<RunImages>,
    /// Reads stack.toml; without the file there are no images.
    pub stack_images: &'a dyn Fn(&Path) -> Result<RunImages>,
    /// Reads analyzed.toml; without the file nothing is known.
    pub analyzed: &'a dyn Fn(&Path) -> Result<Analyzed>,
    /// Whether the registry lets the reference be read; not asked with a daemon or a layout. An error means that the
    /// credentials are unusable, which ends the search.
    pub readable: &'a dyn Fn(&Inputs, &str) -> Result<bool>,
}

/// Checks the number of operands and puts them into `inputs`.
///
/// # Errors
/// Kind `InvalidArguments`: the count is not the program's.
pub fn check_operands(program: Program, inputs: &mut Inputs, operands: Vec<String>) -> Result<()> {
    let count = operands.len();
    let mut operands = operands.into_iter();
    let problem = match program {
        Program::Analyzer | Program::Creator if count != 1 => {
            format!("received {count} arguments, but expected 1")
        }
        Program::Detector | Program::Builder | Program::Extender | Program::Dockerfile
            if count != 0 =>
        {
            "received unexpected arguments".into()
        }
        Program::Restorer if count != 0 => "received unexpected Args".into(),
        Program::Exporter | Program::Rebaser if count == 0 => {
            "at least one image argument is required".into()
        }
        _ => {
            inputs.output_image = operands.next().filter(|image| !image.is_empty());
            inputs.additional_tags.extend(operands);
            return Ok(());
        }
    };
    Err(invalid(problem).in_context("failed to parse arguments"))
}

/// Completes and checks `inputs` for `program`.
///
/// # Errors
/// Kind `InvalidArguments`, `failed to resolve inputs: ...`.
pub fn resolve(
    program: Program,
    inputs: &mut Inputs,
    working_dir: &Path,
    sources: &Sources<'_>,
    log: &Log,
) -> Result<()> {
    inputs.finish_paths(working_dir);
    complete(program, inputs, sources, log).map_err(|error| {
        error
            .with_kind(ErrorKind::InvalidArguments)
            .in_context("failed to resolve inputs")
    })
}

fn complete(program: Program, inputs: &mut Inputs, sources: &Sources<'_>, log: &Log) -> Result<()> {
    match program {
        Program::Detector | Program::Builder | Program::Extender | Program::Dockerfile => Ok(()),
        Program::Restorer => {
            check_cache(inputs, log);
            Ok(())
        }
        Program::Analyzer => {
            find_images(inputs, sources)?;
            check_launch_cache(inputs, log);
            check_references(inputs)?;
            check_parallel(inputs, log);
            Ok(())
        }
        Program::Creator => {
            find_images(inputs, sources)?;
            check_cache(inputs, log);
            check_launch_cache(inputs, log);
            check_references(inputs)?;
            check_parallel(inputs, log);
            Ok(())
        }
        Program::Exporter => {
            output_image(inputs)?;
            inputs.run_image = Some(analyzed_run_image(inputs, sources)?);
            check_cache(inputs, log);
            check_launch_cache(inputs, log);
            check_references(inputs)
        }
        Program::Rebaser => {
            output_image(inputs)?;
            if let Some(deprecated) = inputs.deprecated_run_image.clone() {
                if run_image_by_flag(inputs) {
                    return Err(invalid(
                        "supply only one of -run-image or (deprecated) -image",
                    ));
                }
                inputs.run_image = Some(deprecated);
            }
            check_references(inputs)
        }
    }
}

fn invalid(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArguments, cause)
}

fn output_image(inputs: &Inputs) -> Result<&str> {
    inputs
        .output_image
        .as_deref()
        .ok_or_else(|| invalid("image argument is required"))
}

/// Whether `-run-image` was given, as opposed to the environment variable.
fn run_image_by_flag(inputs: &Inputs) -> bool {
    let from_env = inputs
        .process_env
        .get("CNB_RUN_IMAGE")
        .map(|value| value.to_string_lossy());
    inputs.run_image.as_deref().unwrap_or_default() != from_env.as_deref().unwrap_or_default()
}

/// Analyzer and creator: the previous image is the output image unless given, the run image comes from the builder's
/// list unless given.
fn find_images(inputs: &mut Inputs, sources: &Sources<'_>) -> Result<()> {
    let output = output_image(inputs)?.to_owned();
    inputs.previous_image.get_or_insert_with(|| output.clone());
    if inputs.run_image.is_some() {
        return Ok(());
    }
    let output = Reference::parse(&output)?;
    let candidates = listed_run_image(inputs, sources)?;
    inputs.run_image = Some(choose_mirror(
        output.registry(),
        &candidates,
        inputs,
        sources,
    )?);
    Ok(())
}

/// The first run image of run.toml, or stack.toml's.
fn listed_run_image(inputs: &Inputs, sources: &Sources<'_>) -> Result<RunImageMirrors> {
    if uses_run_toml(inputs.platform_api) {
        let listed = (sources.run_images)(&inputs.run)?.images.into_iter().next();
        listed.ok_or_else(|| {
            invalid("-run-image is required when there is no run metadata available")
        })
    } else {
        Ok((sources.stack_images)(&inputs.stack)?
            .images
            .into_iter()
            .next()
            .unwrap_or_default())
    }
}

const fn uses_run_toml(api: PlatformApi) -> bool {
    api.has(Feature::RunToml)
}

/// The image or mirror to use: the first readable one on the output image's registry, else the first readable one
/// (FACTS 8.6).
fn choose_mirror(
    registry: &str,
    run_image: &RunImageMirrors,
    inputs: &Inputs,
    sources: &Sources<'_>,
) -> Result<String> {
    if run_image.image.is_empty() {
        return Err(invalid("missing run image metadata (-run-image)"));
    }
    let local = inputs.use_daemon || inputs.use_layout;
    let readable = |name: &str| Ok(local || (sources.readable)(inputs, name)?);
    mirror::choose(run_image, registry, &readable)
        .map_err(|error| error.with_kind(ErrorKind::InvalidArguments))
}

/// Exporter: only analysis says what the run image is.
fn analyzed_run_image(inputs: &Inputs, sources: &Sources<'_>) -> Result<String> {
    if inputs.run_image.is_some() && run_image_by_flag(inputs) {
        return Err(invalid("-run-image is unsupported"));
    }
    if inputs.deprecated_run_image.is_some() {
        return Err(invalid("-image is unsupported"));
    }
    let run_image = (sources.analyzed)(&inputs.analyzed)?.run_image;
    let reference = run_image
        .map(|image| image.reference)
        .filter(|reference| !reference.is_empty());
    reference.ok_or_else(|| invalid("run image not found in analyzed metadata"))
}

fn has_cache(inputs: &Inputs) -> bool {
    inputs.cache_image.is_some() || inputs.cache_dir.is_some()
}

fn check_cache(inputs: &Inputs, log: &Log) {
    if !has_cache(inputs) {
        log.warn("No cached data will be used, no cache specified.");
    }
}

fn check_launch_cache(inputs: &Inputs, log: &Log) {
    if !inputs.use_daemon && inputs.launch_cache_dir.is_some() {
        log.warn("Ignoring -launch-cache, only intended for use with -daemon");
    }
}

fn check_parallel(inputs: &Inputs, log: &Log) {
    if inputs.parallel_export && !has_cache(inputs) {
        log.warn(
            "Parallel export has been enabled, but it has not taken effect because no cache has been specified.",
        );
    }
}

/// Every reference must parse; what is written must be in one registry, unless a daemon takes it.
fn check_references(inputs: &Inputs) -> Result<()> {
    // Analysis on a layout records where the image is: `<path>@<digest>`.
    let is_path = |image: &str| inputs.use_layout && image.starts_with('/');
    for image in inputs.images().into_iter().filter(|image| !is_path(image)) {
        Reference::parse(image)?;
    }
    if inputs.use_daemon {
        return Ok(());
    }
    let registries = inputs
        .destinations()
        .into_iter()
        .map(|image| Reference::parse(image).map(|r| r.registry().to_owned()));
    let registries = registries.collect::<Result<std::collections::BTreeSet<_>>>()?;
    if registries.len() > 1 {
        return Err(invalid("writing to multiple registries is unsupported"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
