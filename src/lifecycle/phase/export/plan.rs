//! Which layers the image and the cache get.

use super::work::Job;
use super::{Export, Reusable};
use crate::buildpack::LayersDir;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::label::CacheMetadata;
use lifecycle_core::data::launch::Process;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::layer::{LayerRecipe, MadeEntry, slice};
use lifecycle_image::oci::DiffId;
use std::path::PathBuf;

/// What is known before any layer is made; jobs by their index. What fails is reported when its turn comes, after the
/// layers before it.
pub(super) struct Plan<'a> {
    /// In group order.
    pub buildpacks: Vec<PlannedBuildpack<'a>>,
    pub sbom: Option<usize>,
    pub app: Result<Vec<usize>>,
    pub launcher: usize,
    pub config: usize,
    /// `None` when the app has no processes.
    pub process_types: Result<Option<usize>>,
    pub cached_sbom: Option<usize>,
}

/// A buildpack and the jobs of its layers, one each; layers that need none or have no contents have none.
pub(super) struct PlannedBuildpack<'a> {
    pub buildpack: &'a GroupElement,
    pub dir: Result<LayersDir>,
    pub jobs: Vec<Option<usize>>,
}

/// Plans the layers of the image, and those of the cache where `cached` says what the old one has.
pub(super) fn plan<'a>(
    export: &'a Export<'_>,
    reusable: &Reusable,
    cached: Option<&CacheMetadata>,
) -> (Vec<Job>, Plan<'a>) {
    let previous = export.previous_metadata;
    let recorded = |sha: &str| reusable.recorded(sha).into_iter().collect::<Vec<_>>();
    let mut jobs = Vec::new();
    let mut add = |job| {
        jobs.push(job);
        jobs.len() - 1
    };

    let mut buildpacks = Vec::new();
    for buildpack in &export.group.buildpacks {
        let dir = LayersDir::read(export.layers_dir, buildpack);
        let in_image = previous.buildpack(&buildpack.id);
        let in_cache = cached.map(|cached| cached.buildpack(&buildpack.id));
        let mut jobs = Vec::new();
        for layer in dir.iter().flat_map(|dir| &dir.layers) {
            let metadata = layer.metadata.as_ref().ok();
            let types = metadata.map(|metadata| metadata.types).unwrap_or_default();
            let image = types.launch.then(|| {
                let record = in_image.and_then(|record| record.layer(&layer.name));
                record
                    .map(|record| recorded(&record.sha))
                    .unwrap_or_default()
            });
            let cache = in_cache.filter(|_| types.cache).map(|record| {
                let record = record.and_then(|record| record.layer(&layer.name));
                record.and_then(|record| DiffId::parse(&record.sha).ok())
            });
            let wanted = (image.is_some() || cache.is_some()) && layer.has_contents();
            let job = || Job {
                recipe: export.directory(layer.path.clone()),
                known: export.known.get(&layer.identifier),
                image,
                cache,
            };
            jobs.push(wanted.then(|| add(job())));
        }
        buildpacks.push(PlannedBuildpack {
            buildpack,
            dir,
            jobs,
        });
    }

    let sbom_dir = |kind: &str| {
        let dir = export.layers_dir.join("sbom").join(kind);
        Some(dir).filter(|dir| export.sbom_layers && dir.is_dir())
    };
    let sbom = sbom_dir("launch").map(|dir| {
        let recorded = recorded(previous.sbom.as_deref().unwrap_or_default());
        add(Job::for_image(export.directory(dir), recorded))
    });
    let app_shas = previous.app.iter().flatten();
    let app_ids: Vec<_> = app_shas.filter_map(|sha| reusable.recorded(sha)).collect();
    let (uid, gid) = (export.uid, export.gid);
    let recipes = slice::slices(export.app_dir, &export.metadata.slices, uid, gid);
    let app = recipes.context(|| "creating app layers").map(|recipes| {
        let recipes = recipes.into_iter();
        recipes
            .map(|recipe| add(Job::for_image(recipe, app_ids.clone())))
            .collect()
    });
    let launcher = add(Job::for_image(
        launcher(export),
        recorded(&previous.launcher),
    ));
    let config_dir = export.directory(export.layers_dir.join("config"));
    let config = add(Job::for_image(config_dir, recorded(&previous.config)));
    let process_types = process_types(&export.metadata.processes).map(|recipe| {
        recipe.map(|recipe| add(Job::for_image(recipe, recorded(&previous.process_types))))
    });
    let cached_sbom = cached.zip(sbom_dir("cache")).map(|(cached, dir)| {
        let old = DiffId::parse(&cached.sbom).ok();
        add(Job::for_cache(export.directory(dir), old))
    });
    let plan = Plan {
        buildpacks,
        sbom,
        app,
        launcher,
        config,
        process_types,
        cached_sbom,
    };
    (jobs, plan)
}

impl Export<'_> {
    fn directory(&self, path: PathBuf) -> LayerRecipe {
        LayerRecipe::Directory {
            path,
            uid: self.uid,
            gid: self.gid,
        }
    }
}

fn launcher(export: &Export<'_>) -> LayerRecipe {
    LayerRecipe::Entries(vec![
        MadeEntry::Directory("/cnb".to_owned()),
        MadeEntry::Directory("/cnb/lifecycle".to_owned()),
        MadeEntry::File {
            name: super::config::LAUNCHER.to_owned(),
            source: export.launcher.to_owned(),
        },
    ])
}

/// The most bytes that a file name has on Linux.
const NAME_LIMIT: usize = 255;

/// A link to the launcher for every process (platform.md, "Launcher").
fn process_types(processes: &[Process]) -> Result<Option<LayerRecipe>> {
    if processes.is_empty() {
        return Ok(None);
    }
    let mut entries = ["/cnb", super::config::PROCESSES]
        .map(|dir| MadeEntry::Directory(dir.to_owned()))
        .to_vec();
    for Process { r#type, .. } in processes {
        let cause = match r#type.as_str() {
            "" => "type is required for all processes".to_owned(),
            name if name.contains(['/', '>', '<', ':', '|', '&', '\\']) => {
                format!("invalid process type '{name}': type may not contain characters '/><:|&\\'")
            }
            // The reference lets these pass; they would replace directories.
            "." | ".." => format!("invalid process type '{type}'"),
            name if name.contains('\0') => {
                "invalid process type: it contains a NUL byte".to_owned()
            }
            // No file system could unpack the image.
            name if name.len() > NAME_LIMIT => {
                format!("invalid process type '{name}': longer than {NAME_LIMIT} bytes")
            }
            name => {
                entries.push(MadeEntry::Symlink {
                    name: format!("{}/{name}", super::config::PROCESSES),
                    target: super::config::LAUNCHER.to_owned(),
                });
                continue;
            }
        };
        return Err(Error::other(cause).in_context("creating layer ''"));
    }
    Ok(Some(LayerRecipe::Entries(entries)))
}
