//! Builder: runs the buildpacks of the group.

use super::{Command, documents};
use crate::buildpack::{Store, Surroundings};
use crate::log::Log;
use crate::phase::build::{self, Job, SbomOutput};
use crate::platform::{Inputs, Program, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::data::plan::Plan;
use lifecycle_core::error::ResultExt;
use lifecycle_core::exit::{During, Failure, Phase};

/// Runs the buildpacks of the group.
pub struct Builder;

impl Command for Builder {
    const PROGRAM: Program = Program::Builder;
    type Session = ();

    fn prepare(_: &mut Inputs, _: &Log) -> Result<(), Failure> {
        privileges::refuse_root("build")?;
        Ok(())
    }

    fn execute(inputs: &Inputs, (): (), log: &Log) -> Result<(), Failure> {
        let group = documents::read_group(&inputs.group)?;
        let plan = documents::read_plan(&inputs.plan)?;
        for element in &group.buildpacks {
            element.buildpack_api()?;
        }
        let analyzed = documents::read_analyzed(&inputs.analyzed, log)?;
        build(inputs, &group, &plan, &analyzed, log)?;
        Ok(())
    }
}

/// Runs the buildpacks and leaves what they contributed in `<layers>/config/metadata.toml`.
///
/// # Errors
/// A buildpack failed, or what it wrote is malformed; metadata.toml cannot be written.
pub fn build(
    inputs: &Inputs,
    group: &Group,
    plan: &Plan,
    analyzed: &Analyzed,
    log: &Log,
) -> Result<BuildMetadata, Failure> {
    let api = inputs.platform_api;
    let target = analyzed
        .run_image
        .as_ref()
        .and_then(|image| image.target.clone())
        .unwrap_or_default();
    let job = Job {
        group,
        plan,
        target: &target,
        layers_dir: &inputs.layers_dir,
        sbom: match (
            api.has(Feature::SbomLayers),
            api.has(Feature::LegacyBomFiles),
        ) {
            (_, true) => SbomOutput::Files,
            (true, false) => SbomOutput::MetadataAndFiles,
            (false, false) => SbomOutput::Metadata,
        },
    };
    let modules = Store::new(&inputs.buildpacks_dir, &inputs.extensions_dir);
    let metadata = build::build(&job, &modules, &Surroundings::new(inputs), log)
        .context(|| "failed to build")
        .during(Phase::Build)?;
    documents::write_build_metadata(&inputs.layers_dir, &metadata, api)?;
    Ok(metadata)
}
