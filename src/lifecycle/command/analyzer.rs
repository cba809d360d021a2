//! Analyzer: finds the previous image and the run image.

use super::stores::{self, Stores};
use super::{Command, documents};
use crate::log::Log;
use crate::phase::analyze::{self, Images};
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::error::{Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_image::layer::Workers;
use lifecycle_image::store::ImageStore;

/// Finds the previous image and the run image.
pub struct Analyzer;

impl Command for Analyzer {
    const PROGRAM: Program = Program::Analyzer;
    type Session = Stores;

    fn readable(inputs: &Inputs, reference: &str) -> CoreResult<bool> {
        stores::readable(inputs, reference)
    }

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<Stores, Failure> {
        let stores = Stores::prepare(inputs, &[])?;
        let dirs = [
            Some(&inputs.layers_dir),
            inputs.cache_dir.as_ref(),
            inputs.launch_cache_dir.as_ref(),
        ];
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        Ok(stores)
    }

    fn execute(inputs: &Inputs, stores: Stores, log: &Log) -> Result<(), Failure> {
        let analyzed = analyze(inputs, &stores, &Workers::for_machine(), log)?;
        documents::write_analyzed(&inputs.analyzed, &analyzed, log)?;
        Ok(())
    }
}

/// Analysis as `inputs` want it; creator composes it with other phases.
///
/// # Errors
/// Those of [`analyze::analyze`] and of reaching the images.
pub fn analyze(
    inputs: &Inputs,
    stores: &Stores,
    workers: &Workers,
    log: &Log,
) -> Result<Analyzed, Failure> {
    let images = stores
        .images(inputs)
        .and_then(|store| open(inputs, stores, store.as_ref()))
        .context(|| "failed to initialize analyzer")
        .during(Phase::Analyze)?;
    let restores_sbom = inputs.platform_api.has(Feature::SbomLayers) && !inputs.skip_layers;
    let decisions = analyze::Decisions {
        restore_sbom_to: restores_sbom.then_some(inputs.layers_dir.as_path()),
        record_target: inputs.platform_api.has(Feature::Targets),
    };
    analyze::analyze(&images, decisions, workers, log)
        .context(|| "failed to analyze")
        .during(Phase::Analyze)
}

fn open(inputs: &Inputs, stores: &Stores, store: &dyn ImageStore) -> CoreResult<Images> {
    let (previous, run) = (
        inputs.previous_image.as_deref(),
        inputs.run_image.as_deref(),
    );
    let read: Vec<_> = previous.into_iter().chain(run).collect();
    let tags = inputs.additional_tags.iter().map(String::as_str);
    let write: Vec<_> = inputs
        .output_image
        .as_deref()
        .into_iter()
        .chain(tags)
        .collect();
    if let Some(cache) = inputs.cache_image.as_deref() {
        analyze::check_access(stores.registry(inputs)?.as_ref(), &[], &[cache])?;
    }
    analyze::check_access(store, &read, &write)?;
    Images::open(store, previous, run)
}
