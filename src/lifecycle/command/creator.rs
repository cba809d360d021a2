//! Creator: runs all phases from analyze to export.

use super::stores::{self, Stores};
use super::{Command, analyzer, builder, detector, documents, exporter, restorer};
use crate::log::Log;
use crate::phase::known::KnownLayers;
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::group::Group;
use lifecycle_core::error::{Error, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_image::layer::Workers;

/// Runs all phases from analyze to export.
pub struct Creator;

impl Command for Creator {
    const PROGRAM: Program = Program::Creator;
    type Session = Stores;

    fn readable(inputs: &Inputs, reference: &str) -> CoreResult<bool> {
        stores::readable(inputs, reference)
    }

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<Stores, Failure> {
        let stores = Stores::prepare(inputs, &[])?;
        let dirs = [
            inputs.cache_dir.as_ref(),
            inputs.launch_cache_dir.as_ref(),
            Some(&inputs.layers_dir),
        ];
        privileges::ensure_owner(inputs, dirs)?;
        privileges::run_as_user(inputs)?;
        privileges::adopt_user_environment(inputs)?;
        Ok(stores)
    }

    fn execute(inputs: &Inputs, stores: Stores, log: &Log) -> Result<(), Failure> {
        let cache = stores.cache(inputs, log)?;
        let workers = Workers::for_machine();

        log.banner("ANALYZING");
        let analyzed = analyzer::analyze(inputs, &stores, &workers, log)?;
        documents::write_analyzed(&inputs.analyzed, &analyzed, log)?;

        log.banner("DETECTING");
        let preparation = detector::prepare(inputs, log)?;
        let (group, plan) = detector::detect(inputs, &preparation, log)?;
        refuse_extensions(&group)
            .context(|| "failed to detect")
            .during(Phase::Detect)?;

        let mut known = KnownLayers::default();
        // From 0.10 on, skipping it keeps layers away but not what buildpacks stored, nor SBOM files.
        if !inputs.skip_layers || inputs.platform_api.has(Feature::CreatorAlwaysRestores) {
            log.banner("RESTORING");
            let cache = cache.as_deref();
            known = restorer::restore(inputs, cache, &group, &analyzed, true, &workers, log)?;
        }

        log.banner("BUILDING");
        let metadata = builder::build(inputs, &group, &plan, &analyzed, log)?;

        log.banner("EXPORTING");
        let build = exporter::Build {
            group: &group,
            analyzed: &analyzed,
            metadata: Some(&metadata),
            known: &known,
        };
        exporter::export(inputs, &stores, &build, cache.as_deref(), &workers, log)
    }
}

/// Extensions need root and processes of their own (platform.md, "Creator").
fn refuse_extensions(group: &Group) -> CoreResult<()> {
    match group.extensions.is_empty() {
        true => Ok(()),
        false => Err(Error::other(
            "detected order contains extensions which is not supported by the creator",
        )),
    }
}
