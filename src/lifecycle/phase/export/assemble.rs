//! Layers in the contract's order, with its log lines, whatever order they were made in (FACTS 4.5).

use super::plan::{Plan, PlannedBuildpack};
use super::work::{ForCache, ForImage, Made, Results};
use super::{Export, Reusable};
use crate::buildpack::{LayerDir, LayersDir};
use crate::log::Log;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::label::{BuildpackRecord, LayerRecord, LayersMetadata};
use lifecycle_core::data::layer::LayerMetadata;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::layer::{Layer, LayerSource};
use lifecycle_image::oci::{DiffId, History};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the image gets on top of the run image, and what the cache gets.
pub(super) struct Assembled {
    /// The label, but for the run image.
    pub metadata: LayersMetadata,
    /// Bottom first.
    pub layers: Vec<Layer>,
    pub cached: Cached,
}

/// Layers for the cache.
#[derive(Default)]
pub(super) struct Cached {
    /// Buildpacks in group order, with their directories and the layers made from them.
    pub buildpacks: Vec<CachedBuildpack>,
    /// The SBOM files' directory and the layer made from it.
    pub sbom: Option<(PathBuf, CachedJob)>,
}

pub(super) struct CachedBuildpack {
    pub buildpack: GroupElement,
    pub dir: LayersDir,
    /// One for each layer of the directory.
    pub layers: Vec<Option<CachedJob>>,
}

pub(super) type CachedJob = Result<(DiffId, ForCache)>;

/// Takes the layers' results in order.
///
/// # Errors
/// The first layer in that order that could not be made.
pub(super) fn assemble(
    export: &Export<'_>,
    plan: Plan<'_>,
    reusable: &Reusable,
    results: Results,
    log: &Log,
) -> Result<Assembled> {
    let mut assembly = Assembly {
        export,
        reusable,
        results,
        log,
        layers: Vec::new(),
        cached: BTreeMap::new(),
    };
    let mut metadata = LayersMetadata::default();
    let mut dirs = Vec::new();
    for PlannedBuildpack {
        buildpack,
        dir,
        jobs,
    } in plan.buildpacks
    {
        let dir = dir.context(|| format!("reading layers for buildpack '{}'", buildpack.id))?;
        let record = assembly.buildpack(buildpack, &dir, &jobs)?;
        metadata.buildpacks.get_or_insert_default().push(record);
        dirs.push((buildpack, dir, jobs));
    }
    if let Some(job) = plan.sbom {
        let dir = export.layers_dir.join("sbom/launch");
        log.debug(format_args!(
            "Found SBOM of type launch for at {}",
            dir.display()
        ));
        let id = "buildpacksio/lifecycle:launch.sbom";
        metadata.sbom = Some(assembly.layer(job, id, "Software Bill-of-Materials")?);
    }
    metadata.app = Some(assembly.app(plan.app).context(|| "exporting app layers")?);
    metadata.launcher = assembly.layer(
        plan.launcher,
        "buildpacksio/lifecycle:launcher",
        "Buildpacks Application Launcher",
    )?;
    metadata.config = assembly.layer(
        plan.config,
        "buildpacksio/lifecycle:config",
        "Buildpacks Launcher Config",
    )?;
    if let Some(job) = plan.process_types? {
        let id = "buildpacksio/lifecycle:process-types";
        metadata.process_types = assembly.layer(job, id, "Buildpacks Process Types")?;
    }
    let buildpacks = dirs
        .into_iter()
        .map(|(buildpack, dir, jobs)| CachedBuildpack {
            layers: jobs.into_iter().map(|job| assembly.cached(job?)).collect(),
            buildpack: buildpack.clone(),
            dir,
        });
    let buildpacks = buildpacks.collect();
    let sbom = plan.cached_sbom.and_then(|job| {
        let dir = export.layers_dir.join("sbom/cache");
        Some((dir, assembly.cached(job)?))
    });
    Ok(Assembled {
        metadata,
        layers: assembly.layers,
        cached: Cached { buildpacks, sbom },
    })
}

struct Assembly<'a> {
    export: &'a Export<'a>,
    reusable: &'a Reusable,
    results: Results,
    log: &'a Log,
    layers: Vec<Layer>,
    /// The cache's part of jobs whose result was taken for the image.
    cached: BTreeMap<usize, (DiffId, Option<ForCache>)>,
}

impl Assembly<'_> {
    fn buildpack(
        &mut self,
        buildpack: &GroupElement,
        dir: &LayersDir,
        jobs: &[Option<usize>],
    ) -> Result<BuildpackRecord> {
        dir.describe(self.log);
        self.log.debug(format_args!(
            "Processing buildpack directory: {}",
            dir.path.display()
        ));
        let mut layers = BTreeMap::new();
        for (layer, job) in dir.layers.iter().zip(jobs) {
            let Ok(metadata) = &layer.metadata else {
                continue;
            };
            if metadata.types.launch {
                let sha = self.launch_layer(buildpack, layer, metadata, *job)?;
                layers.insert(layer.name.clone(), record(metadata, sha));
            }
        }
        let malformed = dir.malformed();
        if !malformed.is_empty() {
            let cause = format!(
                "failed to parse metadata for layers '[{}]'",
                malformed.join(" ")
            );
            return Err(Error::other(cause));
        }
        Ok(BuildpackRecord {
            key: buildpack.id.clone(),
            version: buildpack.version.clone(),
            layers: Some(layers),
            store: dir.store.clone(),
        })
    }

    fn launch_layer(
        &mut self,
        buildpack: &GroupElement,
        layer: &LayerDir,
        metadata: &LayerMetadata,
        job: Option<usize>,
    ) -> Result<String> {
        let LayerDir {
            identifier,
            name,
            path,
            ..
        } = layer;
        self.log
            .debug(format_args!("Processing launch layer: {}", path.display()));
        let created_by = format!(
            "Layer: '{name}', Created by buildpack: {}",
            buildpack.full_name()
        );
        if let Some(job) = job {
            return self.layer(job, identifier, &created_by);
        }
        if metadata.types.cache {
            return Err(Error::other(format!(
                "layer '{identifier}' is cache=true but has no contents"
            )));
        }
        // The buildpack kept what the previous image has without looking at it (buildpack.md, "Launch layers").
        let previous = self.export.previous_metadata.buildpack(&buildpack.id);
        let Some(record) = previous.and_then(|record| record.layer(name)) else {
            let cause = "previous image has no metadata for layer";
            return Err(Error::other(format!(
                "cannot reuse '{identifier}', {cause} '{identifier}'"
            )));
        };
        let diff_id = DiffId::parse(&record.sha);
        let source = diff_id.and_then(|id| Ok((id, self.reusable.source(&id)?)));
        let (diff_id, source) = source.context(|| format!("reusing layer: '{identifier}'"))?;
        self.say("Reusing", identifier, &diff_id);
        self.push(diff_id, source, &created_by);
        Ok(record.sha.clone())
    }

    fn app(&mut self, jobs: Result<Vec<usize>>) -> Result<Vec<String>> {
        self.log.debug("Adding app layers");
        let jobs = jobs?;
        let (mut shas, mut reused) = (Vec::new(), 0);
        for (index, job) in jobs.iter().enumerate() {
            let made = self.take(*job).context(|| "creating app layers")?;
            self.log
                .debug(format_args!("Layer 'slice-{}' SHA: {}", index + 1, made.0));
            let created_by = match self.export.metadata.slices.as_slice() {
                [] => "Application Layer".to_owned(),
                _ => format!("Application Slice: {}", index + 1),
            };
            reused += usize::from(matches!(made.1, ForImage::Reused(_)));
            let (ForImage::Reused(source) | ForImage::Added(source)) = made.1;
            self.push(made.0, source, &created_by);
            shas.push(made.0.to_string());
        }
        let (all, added) = (jobs.len(), jobs.len() - reused);
        for (verb, count) in [("Reused", reused), ("Added", added)] {
            if count > 0 {
                self.log
                    .info(format_args!("{verb} {count}/{all} app layer(s)"));
            }
        }
        Ok(shas)
    }

    /// One layer of the image: waits for it, says what became of it, and gives its diffID.
    fn layer(&mut self, job: usize, id: &str, created_by: &str) -> Result<String> {
        let (diff_id, image) = self
            .take(job)
            .context(|| format!("creating layer '{id}'"))?;
        let (verb, source) = match image {
            ForImage::Reused(source) => ("Reusing", source),
            ForImage::Added(source) => ("Adding", source),
        };
        self.say(verb, id, &diff_id);
        self.push(diff_id, source, created_by);
        Ok(diff_id.to_string())
    }

    fn say(&self, verb: &str, id: &str, diff_id: &DiffId) {
        self.log.info(format_args!("{verb} layer '{id}'"));
        self.log.debug(format_args!("Layer '{id}' SHA: {diff_id}"));
    }

    fn push(&mut self, diff_id: DiffId, source: LayerSource, created_by: &str) {
        let created_by = created_by.to_owned();
        let history = Some(History {
            created_by,
            ..History::default()
        });
        self.layers.push(Layer {
            diff_id,
            history,
            source,
        });
    }

    fn take(&mut self, job: usize) -> Result<(DiffId, ForImage)> {
        let Made {
            diff_id,
            image,
            cache,
        } = self.results.take(job)?;
        self.cached.insert(job, (diff_id, cache));
        let image = image.ok_or_else(|| Error::other("the layer was not made for the image"))?;
        Ok((diff_id, image))
    }

    /// The cache's part of a job; `None` if it has none.
    fn cached(&mut self, job: usize) -> Option<CachedJob> {
        let (diff_id, cache) = match self.cached.remove(&job) {
            Some(taken) => taken,
            None => match self.results.take(job) {
                Ok(made) => (made.diff_id, made.cache),
                Err(error) => return Some(Err(error)),
            },
        };
        cache.map(|cache| Ok((diff_id, cache)))
    }
}

/// What labels and caches record about a layer.
pub(super) fn record(metadata: &LayerMetadata, sha: String) -> LayerRecord {
    LayerRecord {
        sha,
        data: metadata.metadata.clone(),
        build: metadata.types.build,
        launch: metadata.types.launch,
        cache: metadata.types.cache,
    }
}
