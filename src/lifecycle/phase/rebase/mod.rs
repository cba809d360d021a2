//! Rebase: the run image swapped under a finished app (FACTS 10; platform.md, rebaser). Values in, values out: nothing
//! is written here.

mod validate;

pub use validate::Validation;

use crate::phase::run_image;
use lifecycle_core::data::label::{LayersMetadata, RunImageRecord, StackRecord};
use lifecycle_core::data::run::{RunImageMirrors, RunImages};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::oci::{Config, DiffId};
use lifecycle_image::rebase as engine;
use lifecycle_image::store::Opened;

/// The label that says what an app image consists of.
pub const METADATA_LABEL: &str = "io.buildpacks.lifecycle.metadata";
/// The time of rebased images (PLAT-REBASE-027).
const CREATED: &str = "1980-01-01T00:00:01Z";
const STACK_LABELS: &str = "io.buildpacks.stack.";
const BASE_LABELS: &str = "io.buildpacks.base.";

/// What is rebased onto what, and what the platform decided about it.
#[derive(Clone, Copy)]
pub struct Rebase<'a> {
    /// The app image.
    pub app: &'a Opened,
    /// What it is called.
    pub app_name: &'a str,
    /// The new run image.
    pub base: &'a Opened,
    /// Its name as given.
    pub base_name: &'a str,
    /// The rules by which the two go together.
    pub validation: Validation,
    /// Whether checks that fail are overridden.
    pub force: bool,
    /// Whether the new run image has to be known from the label, and its base labels are taken over (Platform API 0.12).
    pub knows_run_images: bool,
}

/// A rebased image, not yet saved.
pub struct Rebased {
    /// The image.
    pub image: Image,
    /// What its label says now.
    pub metadata: LayersMetadata,
    /// What would have been refused without force.
    pub overridden: Vec<String>,
}

/// The label of an app image.
///
/// # Errors
/// Kind `NotFound`: there is none, so that no lifecycle has built the image. Otherwise it is malformed.
pub fn metadata(app: &Image, name: &str) -> Result<LayersMetadata> {
    let missing = || {
        let cause = format!(
            "image '{name}' has no label {METADATA_LABEL}: only images that a lifecycle has built can be rebased"
        );
        Error::new(ErrorKind::NotFound, cause)
    };
    let label = app.config.label(METADATA_LABEL).ok_or_else(missing)?;
    LayersMetadata::parse_json(label)
        .context(|| format!("label {METADATA_LABEL} of image '{name}'"))
}

/// The names under which the label knows the run image; from Platform API 0.12 on `runImage`, else `stack.runImage`
/// (PLAT-REBASE-009, 010).
///
/// # Errors
/// The label of the image called `name` has none.
pub fn run_image_names(
    metadata: &LayersMetadata,
    name: &str,
    knows_run_images: bool,
) -> Result<RunImageMirrors> {
    let recorded = knows_run_images.then(|| of_record(&metadata.run_image));
    let stack = metadata.stack.as_ref().map(of_stack);
    recorded
        .into_iter()
        .chain(stack)
        .find(|names| !names.image.is_empty())
        .ok_or_else(|| {
            let cause = "-run-image is required when there is no run image metadata available";
            Error::other(format!("{cause} (app image '{name}')"))
        })
}

fn of_record(record: &RunImageRecord) -> RunImageMirrors {
    RunImageMirrors {
        image: record.image.clone(),
        mirrors: record.mirrors.clone(),
    }
}

fn of_stack(stack: &StackRecord) -> RunImageMirrors {
    RunImageMirrors {
        image: stack.image.clone(),
        mirrors: stack.mirrors.clone(),
    }
}

/// Whether the image has this base already, be it by the name of a mirror.
pub fn is_up_to_date(metadata: &LayersMetadata, base: &Opened) -> bool {
    let digest = |reference: &str| {
        let (_, digest) = reference.rsplit_once('@').unwrap_or(("", reference));
        digest.to_owned()
    };
    digest(&metadata.run_image.reference) == digest(&base.identifier)
        && Some(metadata.run_image.top_layer.as_str()) == top_layer(&base.image).as_deref()
}

/// The app image on its new base, with the labels that go with it.
///
/// # Errors
/// The two do not go together, and nothing is forced; or the label does not describe the image. Both are named.
pub fn rebase(rebase: &Rebase<'_>) -> Result<Rebased> {
    swap(rebase).map_err(|error| {
        let (app, base) = (rebase.app_name, rebase.base_name);
        let named = format!("{error} (app image '{app}', new run image '{base}')");
        Error::new(error.kind(), named)
    })
}

fn swap(rebase: &Rebase<'_>) -> Result<Rebased> {
    let (app, base) = (&rebase.app.image, &rebase.base.image);
    let mut overridden = Vec::new();
    let mut refuse = |refusal: String| match rebase.force {
        true => {
            overridden.push(refusal);
            Ok(())
        }
        false => Err(Error::other(format!(
            "{refusal}; please provide -force to override"
        ))),
    };
    validate::validate(rebase.validation, &app.config, &base.config, &mut refuse)?;
    let mut metadata = metadata(app, rebase.app_name)?;
    let context = || "rebase app image";
    let old_top = DiffId::parse(&metadata.run_image.top_layer)
        .context(|| "top layer of the run image in the label")
        .context(context)?;
    // The time first: entries of the new base take it over, so that rebasing twice gives the same bytes.
    let dated = app
        .clone()
        .with_config(app.config.clone().with_created(CREATED));
    let image = engine::rebase(&dated, &old_top, base).context(context)?;

    metadata.run_image.top_layer = top_layer(base).unwrap_or_default();
    metadata
        .run_image
        .reference
        .clone_from(&rebase.base.identifier);
    if rebase.knows_run_images && !is_known(&metadata, rebase.base_name) {
        let (name, known) = (rebase.base_name, metadata.run_image_json());
        refuse(format!(
            "rebase app image: new base image '{name}' not found in existing run image metadata: {known}"
        ))?;
        metadata.run_image.image = name.to_owned();
        metadata.run_image.mirrors = Vec::new();
        metadata.stack = Some(StackRecord {
            image: name.to_owned(),
            mirrors: Vec::new(),
        });
    }
    let config = with_base_labels(image.config.clone(), &base.config, rebase.knows_run_images)
        .with_label(METADATA_LABEL, &metadata.to_json());
    Ok(Rebased {
        image: image.with_config(config),
        metadata,
        overridden,
    })
}

fn top_layer(image: &Image) -> Option<String> {
    Some(image.layers.last()?.diff_id.to_string())
}

fn is_known(metadata: &LayersMetadata, name: &str) -> bool {
    let stack = metadata.stack.as_ref().map(of_stack);
    let images = std::iter::once(of_record(&metadata.run_image))
        .chain(stack)
        .collect();
    run_image::listed(&RunImages { images }, name).is_some()
}

/// Takes the labels that describe a base from the new one (PLAT-REBASE-018, 019).
fn with_base_labels(config: Config, base: &Config, knows_run_images: bool) -> Config {
    let describes = |key: &&str| {
        key.starts_with(STACK_LABELS) || (knows_run_images && key.starts_with(BASE_LABELS))
    };
    let old: Vec<String> = config
        .labels()
        .into_keys()
        .filter(describes)
        .map(str::to_owned)
        .collect();
    let config = old
        .iter()
        .fold(config, |config, key| config.without_label(key));
    let new = base.labels().into_iter().filter(|(key, _)| describes(key));
    new.fold(config, |config, (key, value)| config.with_label(key, value))
}

#[cfg(test)]
mod tests;
