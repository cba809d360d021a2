//! Restorer: brings cached layers and metadata back.

use super::stores::Stores;
use super::{Command, base_image, documents};
use crate::log::Log;
use crate::phase::analyze::target_of;
use crate::phase::known::KnownLayers;
use crate::phase::restore::{self, Decisions, Layers, Sources};
use crate::phase::run_image;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::analyzed::{Analyzed, AnalyzedRunImage};
use lifecycle_core::data::group::Group;
use lifecycle_core::data::run::RunImages;
use lifecycle_core::error::{Error, ErrorKind, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_image::cache::Cache;
use lifecycle_image::layer::Workers;
use lifecycle_image::store::Opened;

/// Brings cached layers and metadata back.
pub struct Restorer;

impl Command for Restorer {
    const PROGRAM: Program = Program::Restorer;
    type Session = Stores;

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<Stores, Failure> {
        let dirs = [
            Some(&inputs.layers_dir),
            inputs.cache_dir.as_ref(),
            Some(&inputs.kaniko_dir),
        ];
        let stores = Stores::prepare(inputs, &documents::analyzed_images(&inputs.analyzed))?;
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        Ok(stores)
    }

    fn execute(inputs: &Inputs, stores: Stores, log: &Log) -> Result<(), Failure> {
        let group = documents::read_group(&inputs.group)?;
        for buildpack in &group.buildpacks {
            buildpack.buildpack_api()?;
        }
        let analyzed = match documents::read_analyzed(&inputs.analyzed, log) {
            Ok(analyzed) => {
                let analyzed = update_images(analyzed, &group, inputs, &stores, log)?;
                documents::write_analyzed(&inputs.analyzed, &analyzed, log)
                    .context(|| "failed to write analyzed metadata")?;
                analyzed
            }
            Err(error) => {
                log.warn(format_args!(
                    "Not using analyzed data, usable file not found: {error}"
                ));
                Analyzed::default()
            }
        };
        let cache = stores.cache(inputs, log)?;
        // A build that never came to its export may have left one.
        cache.as_ref().and_then(|cache| cache.take_note());
        let known = restore(
            inputs,
            cache.as_deref(),
            &group,
            &analyzed,
            !inputs.skip_layers,
            &Workers::for_machine(),
            log,
        )?;
        if let Some(cache) = cache.filter(|_| !known.is_empty()) {
            cache.leave_note(&known.to_json());
        }
        Ok(())
    }
}

/// Restoration as `inputs` want it; creator composes it with other phases. Returns what export may know of the layers.
///
/// # Errors
/// Those of [`restore::restore`].
pub fn restore(
    inputs: &Inputs,
    cache: Option<&dyn Cache>,
    group: &Group,
    analyzed: &Analyzed,
    restores_sbom: bool,
    workers: &Workers,
    log: &Log,
) -> Result<KnownLayers, Failure> {
    let api = inputs.platform_api;
    let layers = match inputs.skip_layers {
        true => Layers::Skipped,
        false => Layers::Restored {
            cached_launch_metadata: api.has(Feature::CachedLaunchMetadata),
        },
    };
    let decisions = Decisions {
        layers,
        sbom: restores_sbom && api.has(Feature::SbomLayers),
    };
    let sources = Sources {
        previous: &analyzed.metadata,
        cache,
    };
    let restored = restore::restore(
        &inputs.layers_dir,
        &group.buildpacks,
        sources,
        decisions,
        workers,
        log,
    )
    .context(|| "failed to restore")
    .during(Phase::Restore)?;
    Ok(KnownLayers::remember(restored, &inputs.layers_dir))
}

/// Pulls the images that are to be extended, makes sure that the run image can be used, and completes what is known
/// about it.
fn update_images(
    mut analyzed: Analyzed,
    group: &Group,
    inputs: &Inputs,
    stores: &Stores,
    log: &Log,
) -> CoreResult<Analyzed> {
    let api = inputs.platform_api;
    if let Some(image) = inputs
        .build_image
        .as_deref()
        .filter(|_| api.has(Feature::ImageExtensions))
    {
        log.debug(format_args!(
            "Pulling builder image metadata for {image}..."
        ));
        let registry = stores.registry(inputs)?;
        let pulled = base_image::pull(&*registry, image, &inputs.kaniko_dir);
        let pulled = pulled.context(|| format!("failed to pull builder image {image}"))?;
        analyzed.build_image = Some(pulled.identifier);
    }
    let listed = match api.has(Feature::RestorerRunToml) {
        true => documents::read_run(&inputs.run, log)?,
        false => RunImages::default(),
    };
    let run_image = match analyzed.run_image {
        Some(run_image) => Some(update_run_image(
            run_image, &listed, group, inputs, stores, log,
        )?),
        None => None,
    };
    Ok(Analyzed {
        run_image,
        ..analyzed
    })
}

fn update_run_image(
    run_image: AnalyzedRunImage,
    listed: &RunImages,
    group: &Group,
    inputs: &Inputs,
    stores: &Stores,
    log: &Log,
) -> CoreResult<AnalyzedRunImage> {
    let api = inputs.platform_api;
    let run_image = accessible_run_image(run_image, listed, inputs, stores, log)?;
    // Before 0.12 only the reference says which image it is.
    let name = Some(&run_image.image)
        .filter(|name| !name.is_empty())
        .unwrap_or(&run_image.reference);
    if api.has(Feature::RunImageExtension) && !inputs.use_layout && run_image.extend {
        log.debug(format_args!("Pulling run image metadata for {name}..."));
        let registry = stores.registry(inputs)?;
        let pulled = base_image::pull(&*registry, name, &inputs.kaniko_dir);
        let pulled = pulled.context(|| format!("failed to pull run image {name}"))?;
        return updated(run_image, &pulled, inputs, log);
    }
    let known = run_image
        .target
        .as_ref()
        .is_some_and(|target| !target.os.is_empty());
    let extended = api.has(Feature::ImageExtensions) && !group.extensions.is_empty();
    if known || !extended || name.is_empty() {
        return Ok(run_image);
    }
    log.debug("Updating run image info in analyzed metadata...");
    let not_found = || Error::new(ErrorKind::NotFound, "image not found");
    let opened = stores
        .images(inputs)
        .and_then(|store| store.open(name)?.ok_or_else(not_found))
        .context(|| format!("failed to get run image {name}"))?;
    updated(run_image, &opened, inputs, log)
}

/// What analysis left open: which image it is by digest, and its target.
fn updated(
    run_image: AnalyzedRunImage,
    opened: &Opened,
    inputs: &Inputs,
    log: &Log,
) -> CoreResult<AnalyzedRunImage> {
    let target = inputs
        .platform_api
        .has(Feature::Targets)
        .then(|| target_of(Some(&opened.image)));
    let target = target
        .transpose()
        .context(|| "failed to update analyzed metadata")?;
    log.debug("Run image info in analyzed metadata was: ");
    log.debug(run_image.to_json());
    let run_image = AnalyzedRunImage {
        reference: opened.identifier.clone(),
        target,
        ..run_image
    };
    log.debug("Run image info in analyzed metadata is: ");
    log.debug(run_image.to_json());
    Ok(run_image)
}

/// The run image, if it can still be read, else the first of its mirrors that is there, by its digest (PLAT-RESTORE-010).
/// One that run.toml does not list was chosen by an extension, and is not checked.
fn accessible_run_image(
    run_image: AnalyzedRunImage,
    listed: &RunImages,
    inputs: &Inputs,
    stores: &Stores,
    log: &Log,
) -> CoreResult<AnalyzedRunImage> {
    let Some(entry) = run_image::listed(listed, &run_image.image) else {
        return Ok(run_image);
    };
    if inputs.use_daemon || inputs.use_layout {
        return Ok(run_image);
    }
    let registry = stores.registry(inputs)?;
    let selected = &run_image.image;
    let Err(refusal) = registry.check_read(selected) else {
        return Ok(run_image);
    };
    let found = |name| Some((name, registry.open(name).ok()??));
    let Some((name, opened)) = run_image::candidates(entry).find_map(found) else {
        let cause = format!("selected run image '{selected}' is not accessible");
        return Err(Error::new(ErrorKind::Unauthorized, cause));
    };
    log.warn(format_args!(
        "Run image '{selected}' is not accessible ({refusal}); using '{name}'"
    ));
    let image = name.to_owned();
    updated(
        AnalyzedRunImage { image, ..run_image },
        &opened,
        inputs,
        log,
    )
}
