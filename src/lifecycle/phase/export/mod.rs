//! Export: the app image out of the run image and what the build left, then the cache.
//!
//! ```text
//! Plan (what is wanted, what it may be compared with) ─▶ work (several layers at once) ─▶ taken in the contract's order
//!   ─▶ configuration ─▶ save ─▶ report ─▶ cache
//! ```
//! Layers for the cache are made in the same pass as those for the image. Nothing is visible before the save; a failed
//! export leaves the old image and the old cache.

mod assemble;
mod cache;
mod config;
mod extension;
mod plan;
mod reusable;
mod sbom;
mod work;

pub use cache::PendingCache;
pub use extension::Extension;
pub use sbom::LauncherSboms;

use super::known::KnownLayers;
use crate::log::Log;
use crate::phase::save::save;
use assemble::Assembled;
use lifecycle_core::data::build::Build;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::label::{LayersMetadata, RunImageRecord, StackRecord};
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::report::Report;
use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::data::sbom::BomEntry;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{DOCUMENT_LIMIT, read_if_exists};
use lifecycle_image::cache::Cache;
use lifecycle_image::image::Image;
use lifecycle_image::layer::{Layer, Workers};
use lifecycle_image::oci::History;
use lifecycle_image::store::{ImageStore, Opened};
use reusable::Reusable;
use std::path::Path;
use work::Shop;

/// What is exported, and how.
pub struct Export<'a> {
    /// The group that built the app.
    pub group: &'a Group,
    /// What the build produced besides layers.
    pub metadata: &'a BuildMetadata,
    /// The previous image's layers, as analysis recorded them.
    pub previous_metadata: &'a LayersMetadata,
    /// Layers that need not be read if nobody changed them.
    pub known: &'a KnownLayers,
    /// The previous image, if there is one.
    pub previous: Option<&'a Image>,
    /// The run image.
    pub run_image: &'a Opened,
    /// What extensions made of the run image.
    pub extension: Option<&'a Extension>,
    /// Whether the app image takes the extended image's configuration, not the run image's.
    pub extended_config: bool,
    /// The run image's name and mirrors for the label.
    pub run_image_names: &'a RunImageMirrors,
    /// Whether `runImage` in the label has them (Platform API 0.12), not only `stack`.
    pub names_run_image: bool,
    /// `<layers>`, absolute.
    pub layers_dir: &'a Path,
    /// `<app>`, absolute.
    pub app_dir: &'a Path,
    /// The launcher for the image.
    pub launcher: &'a Path,
    /// Owner of files that come from buildpacks and the app.
    pub uid: u32,
    /// Group of these files.
    pub gid: u32,
    /// SBOM layers (Platform API 0.8).
    pub sbom_layers: bool,
    /// SBOM files of launcher and lifecycle to add (Platform API 0.11).
    pub launcher_sboms: Option<LauncherSboms<'a>>,
    /// The Platform API in force, for the image's environment.
    pub platform_api: &'a str,
    /// The label `io.buildpacks.build.metadata`.
    pub build_label: &'a str,
    /// The label `io.buildpacks.project.metadata`.
    pub project_label: &'a str,
    /// The label `io.buildpacks.exec-env`, if there is to be one.
    pub exec_env: Option<&'a str>,
    /// The process type that the user wants as default.
    pub default_process_type: Option<&'a str>,
    /// The image's time, RFC 3339.
    pub created: &'a str,
    /// What history says about layers.
    pub history: HistoryStyle,
    /// Whether the report has the legacy build BOM (before Platform API 0.9).
    pub reports_bom: bool,
    /// Where the image goes.
    pub store: &'a dyn ImageStore,
    /// Its names there.
    pub names: &'a [String],
    /// Where compressed layers wait until they are saved.
    pub spool_dir: &'a Path,
}

/// What the history of an image says about its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStyle {
    /// What made them (Platform API 0.12).
    Full,
    /// Nothing but the time.
    Blank,
}

/// An image that was saved.
pub struct Exported {
    /// What to report.
    pub report: Report,
    /// The cache of this build, not yet committed; `None` without a cache.
    pub cache: Option<PendingCache>,
}

/// Exports the image. The cache is filled, but not committed.
///
/// # Errors
/// A layer cannot be made, or the image could not be saved under every name.
pub fn export(
    export: &Export<'_>,
    cache: Option<&dyn Cache>,
    workers: &Workers,
    log: &Log,
) -> Result<Exported> {
    let _timer = log.timer("Exporter");
    if let Some(sboms) = &export.launcher_sboms {
        sbom::copy(sboms, export.layers_dir, log)
            .context(|| "failed to copy buildpacksio SBOMs")?;
    }
    let run_image = run_image_record(export).context(|| "get run image top layer SHA")?;
    let reusable = Reusable::of(export.previous)?;
    let mut pending = cache.map(PendingCache::begin);
    let (jobs, plan) = plan::plan(
        export,
        &reusable,
        pending.as_ref().and_then(PendingCache::old),
    );
    let shop = Shop {
        reusable: &reusable,
        cache: pending.as_ref().and_then(PendingCache::update),
        store: export.store,
        names: export.names,
        spool_dir: export.spool_dir,
        workers,
    };
    let extended = match export.extension {
        Some(extension) => extension
            .layers(export.spool_dir, workers)
            .context(|| "exporting extension layers")?,
        None => Vec::new(),
    };
    let assembled = work::run(&jobs, shop, |results| {
        assemble::assemble(export, plan, &reusable, results, log)
    })?;
    let Assembled {
        metadata,
        layers,
        cached,
    } = assembled;
    if let Some(pending) = &mut pending {
        pending.fill(cached);
    }
    let names = export.run_image_names;
    let metadata = LayersMetadata {
        run_image,
        stack: Some(StackRecord {
            image: names.image.clone(),
            mirrors: names.mirrors.clone(),
        }),
        ..metadata
    };
    let image = finish_image(export, &metadata, [extended, layers].concat(), log)?;
    let build_bom = match export.reports_bom {
        true => build_bom(export)?,
        false => Vec::new(),
    };
    let saved = save(export.store, &image, export.names, log)?;
    let tags = export.names.iter();
    let report = Report {
        build_bom,
        tags: tags.map(|name| export.store.display_name(name)).collect(),
        image_id: saved.image_id,
        digest: saved.digest.map(|digest| digest.to_string()),
        manifest_size: saved.manifest_size,
    };
    Ok(Exported {
        report,
        cache: pending,
    })
}

/// The run image as the label has it.
fn run_image_record(export: &Export<'_>) -> Result<RunImageRecord> {
    let no_layers = || Error::new(ErrorKind::Corrupt, "image has no layers");
    let top_layer = export.run_image.image.layers.last().ok_or_else(no_layers)?;
    let names = Some(export.run_image_names).filter(|_| export.names_run_image);
    let names = names.cloned().unwrap_or_default();
    Ok(RunImageRecord {
        top_layer: top_layer.diff_id.to_string(),
        reference: export.run_image.identifier.clone(),
        image: names.image,
        mirrors: names.mirrors,
    })
}

/// The run image with the layers on top, its new configuration, and one history.
fn finish_image(
    export: &Export<'_>,
    metadata: &LayersMetadata,
    layers: Vec<Layer>,
    log: &Log,
) -> Result<Image> {
    let base = export.run_image.image.clone();
    let config = match export.extension.filter(|_| export.extended_config) {
        Some(extension) => base.config.clone().with_runtime_of(&extension.config),
        None => base.config.clone(),
    };
    let config = config::configure(export, config, metadata, log)?;
    let created = |history: History| History {
        created: export.created.to_owned(),
        ..history
    };
    Ok(base
        .append(layers)
        .with_config(config)
        .map_history(|history| match export.history {
            HistoryStyle::Full => history.map(created),
            HistoryStyle::Blank => None,
        }))
}

/// The legacy build BOM out of the buildpacks' build.toml files.
fn build_bom(export: &Export<'_>) -> Result<Vec<BomEntry>> {
    let mut all = Vec::new();
    for buildpack in &export.group.buildpacks {
        let path = export
            .layers_dir
            .join(buildpack.escaped_id())
            .join("build.toml");
        let text = read_if_exists(&path, DOCUMENT_LIMIT)?.unwrap_or_default();
        let build = Build::parse(&text).context(|| format!("parse {}", path.display()))?;
        let identity = (buildpack.id.clone(), buildpack.version.clone());
        all.extend(build.bom.into_iter().map(|entry| BomEntry {
            buildpack: Some(identity.clone()),
            ..entry
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
