//! Exporter: assembles the app image and the cache.

use super::stores::{self, Stores};
use super::{Command, documents};
use crate::log::Log;
use crate::phase::export::{self, Export, Exported, Extension, HistoryStyle, LauncherSboms};
use crate::phase::known::KnownLayers;
use crate::phase::{progress, run_image};
use crate::platform::{
    Experimental, ExperimentalMode, Inputs, Program, launcher_source, privileges,
};
use lifecycle_core::api::Feature;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::project::ProjectMetadata;
use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::error::{Error, ErrorKind, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_core::time::rfc3339;
use lifecycle_image::cache::Cache;
use lifecycle_image::layer::Workers;
use lifecycle_image::store::{ImageStore, Opened};
use std::path::Path;

/// Where the lifecycle's own files are in a builder.
const LIFECYCLE_DIR: &str = "/cnb/lifecycle";
/// The time of images that nobody gave another: 1980-01-01T00:00:01Z.
const DEFAULT_CREATED: i64 = 315_532_801;
/// The seconds from the year 1 to the year 9999, which RFC 3339 can write.
const WRITABLE_TIMES: std::ops::RangeInclusive<i64> = -62_135_596_799..=253_402_300_799;

/// Assembles the app image and the cache.
pub struct Exporter;

impl Command for Exporter {
    const PROGRAM: Program = Program::Exporter;
    type Session = Stores;

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<Stores, Failure> {
        let stores = Stores::prepare(inputs, &documents::analyzed_images(&inputs.analyzed))?;
        privileges::ensure_owner(
            inputs,
            [inputs.cache_dir.as_ref(), inputs.launch_cache_dir.as_ref()],
        )?;
        privileges::run_as_user(inputs)?;
        Ok(stores)
    }

    fn execute(inputs: &Inputs, stores: Stores, log: &Log) -> Result<(), Failure> {
        let analyzed = documents::read_analyzed(&inputs.analyzed, log)?;
        let group = documents::read_group(&inputs.group)?;
        for buildpack in &group.buildpacks {
            buildpack.buildpack_api()?;
        }
        let cache = stores.cache(inputs, log)?;
        let note = cache.as_ref().and_then(|cache| cache.take_note());
        // A note that nobody understands says nothing.
        let known = note.and_then(|note| KnownLayers::parse(&note).ok());
        let build = Build {
            group: &group,
            analyzed: &analyzed,
            metadata: None,
            known: &known.unwrap_or_default(),
        };
        let workers = Workers::for_machine();
        export(inputs, &stores, &build, cache.as_deref(), &workers, log)
    }
}

/// What the phases before have found out.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// The group that built the app.
    pub group: &'a Group,
    /// The run image and the previous image.
    pub analyzed: &'a Analyzed,
    /// What the build produced besides layers; read from `<layers>` when it is not at hand.
    pub metadata: Option<&'a BuildMetadata>,
    /// Layers that need not be read if nobody changed them.
    pub known: &'a KnownLayers,
}

/// Export as `inputs` want it, report.toml and the cache included; creator composes it with other phases.
///
/// # Errors
/// An image cannot be opened; or those of [`export::export`]. The old image and the old cache are as they were then.
pub fn export(
    inputs: &Inputs,
    stores: &Stores,
    build: &Build<'_>,
    cache: Option<&dyn Cache>,
    workers: &Workers,
    log: &Log,
) -> Result<(), Failure> {
    guard_extensions(inputs, log)?;
    let project = documents::read_project_metadata(&inputs.project_metadata, log)?;
    let extension = extension(inputs, build.analyzed, log)?;
    let store = stores
        .images(inputs)
        .context(|| "failed to create new app image")?;
    let images = Images::open(inputs, store.as_ref(), build.analyzed, log)?;
    let metadata = match build.metadata {
        Some(metadata) => Ok(metadata.clone()),
        None => read_metadata(inputs),
    };
    let listed = run_image_names(inputs, build.analyzed, metadata.as_ref().ok(), log)?;
    let exported = metadata
        .and_then(|metadata| {
            let destination = Destination {
                store: store.as_ref(),
                images: &images,
                listed: &listed,
                extension: extension.as_ref(),
            };
            let work = (cache, workers);
            let run = || run(inputs, build, &metadata, &project, &destination, work, log);
            progress::showing(&|| store.bytes_sent(), log, run)
        })
        .context(|| "failed to export")
        .during(Phase::Export)?;
    documents::write_report(&inputs.report, &exported.report)
        .context(|| "failed to write export report")
        .during(Phase::Export)?;
    if let (Some(pending), Some(cache)) = (exported.cache, cache) {
        progress::showing(&|| cache.bytes_sent(), log, || pending.commit(log));
    }
    Ok(())
}

/// Where the image goes and what it is made from.
struct Destination<'a> {
    store: &'a dyn ImageStore,
    images: &'a Images,
    listed: &'a RunImageMirrors,
    extension: Option<&'a Extension>,
}

fn run(
    inputs: &Inputs,
    build: &Build<'_>,
    metadata: &BuildMetadata,
    project: &ProjectMetadata,
    destination: &Destination<'_>,
    (cache, workers): (Option<&dyn Cache>, &Workers),
    log: &Log,
) -> CoreResult<Exported> {
    let api = inputs.platform_api;
    let launcher_sboms = LauncherSboms {
        lifecycle_dir: Path::new(LIFECYCLE_DIR),
        launcher_dir: Some(inputs.launcher_sbom_dir.as_path())
            .filter(|dir| !dir.as_os_str().is_empty() && *dir != Path::new(LIFECYCLE_DIR)),
    };
    let names: Vec<_> = inputs
        .output_image
        .iter()
        .chain(&inputs.additional_tags)
        .cloned()
        .collect();
    let images = destination.images;
    let export = Export {
        group: build.group,
        metadata,
        previous_metadata: &build.analyzed.metadata,
        known: build.known,
        previous: images.previous.as_ref().map(|previous| &previous.image),
        run_image: &images.run,
        extension: destination.extension,
        extended_config: takes_extended_config(inputs, build.analyzed),
        run_image_names: destination.listed,
        names_run_image: api.has(Feature::RunImageInLabel),
        layers_dir: &inputs.layers_dir,
        app_dir: &inputs.app_dir,
        launcher: &inputs.launcher,
        uid: inputs.uid,
        gid: inputs.gid,
        sbom_layers: api.has(Feature::SbomLayers),
        launcher_sboms: api.has(Feature::LauncherSbom).then_some(launcher_sboms),
        platform_api: api.as_str(),
        build_label: &metadata.to_label_json(api, &launcher_source()),
        project_label: &project.to_json(),
        exec_env: Some(inputs.exec_env.as_str())
            .filter(|exec_env| api.has(Feature::ExecEnv) && !exec_env.is_empty()),
        default_process_type: inputs.default_process_type.as_deref(),
        created: &images.created,
        history: match api.has(Feature::History) {
            true => HistoryStyle::Full,
            false => HistoryStyle::Blank,
        },
        reports_bom: !api.has(Feature::LegacyBomFiles),
        store: destination.store,
        names: &names,
        spool_dir: &stores::temp_dir(inputs),
    };
    export::export(&export, cache, workers, log)
}

/// The images that the app image is made from, and what it has from the command line.
struct Images {
    run: Opened,
    previous: Option<Opened>,
    created: String,
}

impl Images {
    fn open(
        inputs: &Inputs,
        store: &dyn ImageStore,
        analyzed: &Analyzed,
        log: &Log,
    ) -> CoreResult<Self> {
        let previous = Some(analyzed.previous_image.as_deref().unwrap_or_default());
        let previous = previous.filter(|reference| !reference.is_empty());
        if let Some(reference) = previous {
            let shown = store.display_name(reference);
            match inputs.use_daemon {
                true => log.debug(format_args!("Reusing layers from image with id '{shown}'")),
                false => log.info(format_args!("Reusing layers from image '{shown}'")),
            }
        }
        let created = created(inputs, log);
        let output = inputs.output_image.as_deref().unwrap_or_default();
        if inputs.use_layout {
            log.info(format_args!(
                "Using app image: {}",
                store.display_name(output)
            ));
        }
        let previous = match previous.map(|reference| store.open(reference)) {
            // What is damaged or gone is not reused.
            Some(Err(error)) if is_no_image(&error) => {
                log.debug(format_args!("Not reusing the previous image: {error}"));
                None
            }
            Some(opened) => opened.context(|| "failed to create new app image")?,
            None => None,
        };
        let run = match analyzed.run_image.as_ref() {
            // Analysis leaves the reference of an image that it did not find empty.
            Some(image) if image.reference.is_empty() => Err(not_found(&image.image)),
            Some(image) => store
                .open(&image.reference)
                .and_then(|opened| opened.ok_or_else(|| not_found(&image.reference))),
            None => Err(not_found("")),
        };
        let run = run.context(|| "failed to access run image")?;
        Ok(Self {
            run,
            previous,
            created,
        })
    }
}

fn not_found(image: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("image '{image}' not found"))
}

fn is_no_image(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound)
}

/// The time of the image: `SOURCE_DATE_EPOCH` where the Platform API has it.
fn created(inputs: &Inputs, log: &Log) -> String {
    let given = inputs.source_date_epoch.as_deref();
    let given = given.filter(|_| inputs.platform_api.has(Feature::SourceDateEpoch));
    let seconds = given.and_then(|given| {
        let seconds = given
            .parse()
            .ok()
            .filter(|seconds| WRITABLE_TIMES.contains(seconds));
        if seconds.is_none() {
            log.warn("Ignoring invalid SOURCE_DATE_EPOCH");
        }
        seconds
    });
    rfc3339(seconds.unwrap_or(DEFAULT_CREATED))
}

fn read_metadata(inputs: &Inputs) -> CoreResult<BuildMetadata> {
    let path = inputs.layers_dir.join("config/metadata.toml");
    documents::read_build_metadata(&path, inputs.platform_api).context(|| "read build metadata")
}

/// The names of the run image for the label (FACTS 4.1).
fn run_image_names(
    inputs: &Inputs,
    analyzed: &Analyzed,
    metadata: Option<&BuildMetadata>,
    log: &Log,
) -> CoreResult<RunImageMirrors> {
    let name = analyzed
        .run_image
        .as_ref()
        .map(|run_image| run_image.image.as_str())
        .unwrap_or_default();
    if !inputs.platform_api.has(Feature::RunToml) {
        let stack = documents::read_stack(&inputs.stack, log)?;
        return Ok(stack.images.into_iter().next().unwrap_or_default());
    }
    let images = documents::read_run(&inputs.run, log)?;
    if let Some(listed) = run_image::listed(&images, name) {
        return Ok(listed.clone());
    }
    // An extension may have switched to an image that nobody listed.
    let extended = metadata.is_some_and(|metadata| !metadata.extensions.is_empty());
    Ok(match images.images.into_iter().next() {
        Some(_) if extended => RunImageMirrors {
            image: name.to_owned(),
            mirrors: Vec::new(),
        },
        first => first.unwrap_or_default(),
    })
}

/// Extended run images are experimental at first.
fn guard_extensions(inputs: &Inputs, log: &Log) -> CoreResult<()> {
    let extended = inputs.extended_dir.join("run").read_dir();
    let any = extended.is_ok_and(|mut entries| entries.next().is_some());
    if any && !inputs.platform_api.has(Feature::GeneratedContexts) {
        let mode = ExperimentalMode::from_env(&inputs.process_env);
        mode.guard(Experimental::Dockerfiles, log)?;
    }
    Ok(())
}

/// What extensions made of the run image; layouts have no such thing.
fn extension(inputs: &Inputs, analyzed: &Analyzed, log: &Log) -> CoreResult<Option<Extension>> {
    let api = inputs.platform_api;
    if !api.has(Feature::RunImageExtension) || inputs.use_layout {
        return Ok(None);
    }
    let extension =
        Extension::read(&inputs.extended_dir).context(|| "failed to get extended image config")?;
    match (&extension, takes_extended_config(inputs, analyzed)) {
        (None, true) => Err(Error::other("missing extended run image")
            .in_context("failed to get extended image config")),
        (Some(_), true) => {
            log.debug("Using config from extensions...");
            Ok(extension)
        }
        _ => Ok(extension),
    }
}

fn takes_extended_config(inputs: &Inputs, analyzed: &Analyzed) -> bool {
    let extends = analyzed
        .run_image
        .as_ref()
        .is_some_and(|image| image.extend);
    extends && !inputs.use_layout && inputs.platform_api.has(Feature::RunImageExtension)
}
