//! The documents that commands hand to each other and get from the platform, with the contract's words about them.

use crate::buildpack::dir::Dir;
use crate::log::Log;
use lifecycle_core::api::PlatformApi;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::order::Orders;
use lifecycle_core::data::plan::Plan;
use lifecycle_core::data::project::ProjectMetadata;
use lifecycle_core::data::report::Report;
use lifecycle_core::data::run::RunImages;
use lifecycle_core::data::system::System;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::path::Path;

/// order.toml.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_order(path: &Path) -> Result<Orders> {
    required(path, "order", Orders::parse)
}

/// group.toml.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_group(path: &Path) -> Result<Group> {
    required(path, "group", Group::parse)
}

/// plan.toml.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_plan(path: &Path) -> Result<Plan> {
    required(path, "plan", Plan::parse)
}

/// `<layers>/config/metadata.toml`.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_build_metadata(path: &Path, api: PlatformApi) -> Result<BuildMetadata> {
    required(path, "build metadata", |text| {
        BuildMetadata::parse(text, api)
    })
}

/// analyzed.toml; empty when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_analyzed(path: &Path, log: &Log) -> Result<Analyzed> {
    let missing = || log.warn(format_args!("No analyzed metadata found at path {path:?}"));
    optional(path, "analyzed", Analyzed::parse, missing)
}

/// The references of the images in analyzed.toml, to find credentials for them before anything else is done. A file
/// that cannot be read has none: whoever needs it will say so.
pub fn analyzed_images(path: &Path) -> Vec<String> {
    let text = file::read(path, DOCUMENT_LIMIT).ok();
    let analyzed = text
        .and_then(|text| Analyzed::parse(&text).ok())
        .unwrap_or_default();
    let run_image = analyzed.run_image.unwrap_or_default();
    let previous = analyzed.previous_image.into_iter();
    previous
        .chain([run_image.reference, run_image.image])
        .collect()
}

/// run.toml; no images when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_run(path: &Path, log: &Log) -> Result<RunImages> {
    let missing = || log.info(format_args!("No run metadata found at path {path:?}"));
    optional(path, "run", RunImages::parse_run, missing)
}

/// stack.toml; no image when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_stack(path: &Path, log: &Log) -> Result<RunImages> {
    let missing = || log.info(format_args!("No stack metadata found at path {path:?}"));
    optional(path, "stack", RunImages::parse_stack, missing)
}

/// system.toml; no buildpacks when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_system(path: &Path, log: &Log) -> Result<System> {
    let missing = || log.debug(format_args!("No system buildpacks found at path {path:?}"));
    optional(path, "system", System::parse, missing)
}

/// project-metadata.toml; empty when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_project_metadata(path: &Path, log: &Log) -> Result<ProjectMetadata> {
    let missing = || {
        log.debug(format_args!(
            "No project metadata found at path {path:?}, project metadata will not be exported"
        ));
    };
    optional(path, "project metadata", ProjectMetadata::parse, missing)
}

/// Writes group.toml.
///
/// # Errors
/// The file cannot be written.
pub fn write_group(path: &Path, group: &Group) -> Result<()> {
    written(path, "group", &group.to_toml())
}

/// Writes plan.toml.
///
/// # Errors
/// The file cannot be written.
pub fn write_plan(path: &Path, plan: &Plan) -> Result<()> {
    written(path, "plan", &plan.to_toml())
}

/// Writes analyzed.toml.
///
/// # Errors
/// The file cannot be written.
pub fn write_analyzed(path: &Path, analyzed: &Analyzed, log: &Log) -> Result<()> {
    log.debug("Run image info in analyzed metadata is: ");
    log.debug(
        analyzed
            .run_image
            .as_ref()
            .map_or_else(|| "null".to_owned(), |image| image.to_json()),
    );
    written(path, "analyzed", &analyzed.to_toml())
}

/// Writes `<layers>/config/metadata.toml`, where buildpacks may have put anything: no link there is followed.
///
/// # Errors
/// The file cannot be written.
pub fn write_build_metadata(
    layers_dir: &Path,
    metadata: &BuildMetadata,
    api: PlatformApi,
) -> Result<()> {
    Dir::open(layers_dir)
        .and_then(|layers| layers.make_dir("config".as_ref()))
        .and_then(|config| config.write("metadata.toml".as_ref(), metadata.to_toml(api).as_bytes()))
        .context(|| "failed to write build metadata file")
}

/// Makes sure that a report can be written, as far as that can be told before there is one.
///
/// # Errors
/// Its directory cannot be made, or takes no new file.
pub fn check_report(path: &Path) -> Result<()> {
    let context = || format!("write {}", path.display());
    match path.parent() {
        Some(parent) if !path.exists() && !parent.as_os_str().is_empty() => {
            std::fs::create_dir_all(parent).context(context)?;
            tempfile::tempfile_in(parent).map(drop).context(context)
        }
        _ => Ok(()),
    }
}

/// Writes report.toml.
///
/// # Errors
/// The file cannot be written.
pub fn write_report(path: &Path, report: &Report) -> Result<()> {
    written(path, "report", &report.to_toml())
}

fn required<T>(path: &Path, what: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    file::read(path, DOCUMENT_LIMIT)
        .and_then(|text| parse(&text).context(|| path.display().to_string()))
        .context(|| format!("failed to read {what} file"))
}

fn optional<T: Default>(
    path: &Path,
    what: &str,
    parse: impl FnOnce(&str) -> Result<T>,
    missing: impl FnOnce(),
) -> Result<T> {
    let document = file::read_if_exists(path, DOCUMENT_LIMIT)
        .and_then(|text| {
            text.map(|text| parse(&text))
                .transpose()
                .context(|| path.display().to_string())
        })
        .context(|| format!("failed to read {what} file"))?;
    Ok(document.unwrap_or_else(|| {
        missing();
        T::default()
    }))
}

fn written(path: &Path, what: &str, text: &str) -> Result<()> {
    file::write(path, text).context(|| format!("failed to write {what} file"))
}
