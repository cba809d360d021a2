//! Analysis: what the previous image and the run image are (FACTS 8.1; platform.md, analyzer).

mod target;

pub use target::{target_of, target_of_config};

use crate::log::Log;
use lifecycle_core::data::analyzed::{Analyzed, AnalyzedRunImage};
use lifecycle_core::data::label::LayersMetadata;
use lifecycle_core::error::{ErrorKind, Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::layer::{Workers, extract, open_stored};
use lifecycle_image::oci::DiffId;
use lifecycle_image::store::{ImageStore, Opened};
use rayon::prelude::*;
use std::path::Path;

/// The label with the layers of an app image.
const METADATA_LABEL: &str = "io.buildpacks.lifecycle.metadata";

/// What the platform decided about analysis.
#[derive(Clone, Copy, Debug)]
pub struct Decisions<'a> {
    /// The layers directory, if the previous image's SBOM is to be restored to it.
    pub restore_sbom_to: Option<&'a Path>,
    /// Whether the name and the target of the run image are recorded.
    pub record_target: bool,
}

/// An image by its name in a store.
struct Named {
    name: String,
    state: State,
}

enum State {
    Found(Box<Opened>),
    Absent,
    Corrupt,
}

/// The images that are analyzed, where the platform named any.
pub struct Images {
    previous: Option<Named>,
    run: Option<Named>,
}

/// Makes sure that images can be read and written before work begins: first the readable ones, all at once, then the
/// writable ones.
///
/// # Errors
/// Access to one of them is refused, or its store cannot be reached.
pub fn check_access(store: &dyn ImageStore, read: &[&str], write: &[&str]) -> Result<()> {
    at_once(read, |name| {
        store
            .check_read(name)
            .context(|| format!("failed to ensure registry read access to {name}"))
    })
    .context(|| "validating registry read access")?;
    at_once(write, |name| {
        store
            .check_write(name)
            .context(|| format!("failed to ensure registry read/write access to {name}"))
    })
    .context(|| "validating registry write access")
}

/// Checks every name; the first failure in their order counts.
fn at_once(names: &[&str], check: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let results: Vec<_> = names.par_iter().map(|name| check(name)).collect();
    results.into_iter().collect()
}

impl Images {
    /// Opens the images in `store`. A damaged previous image is as good as none.
    ///
    /// # Errors
    /// The store fails, or the run image is damaged.
    pub fn open(store: &dyn ImageStore, previous: Option<&str>, run: Option<&str>) -> Result<Self> {
        let open_previous = |name| match open_whole(store, name) {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Named {
                name: store.display_name(name),
                state: State::Corrupt,
            }),
            result => result.context(|| "getting previous image"),
        };
        let open_run = |name| open(store, name).context(|| "getting run image");
        let (previous, run) = rayon::join(
            || previous.map(open_previous).transpose(),
            || run.map(open_run).transpose(),
        );
        Ok(Self {
            previous: previous?,
            run: run?,
        })
    }
}

/// The same, and its layers have to be there: export takes them over without looking (FACTS 8.1).
fn open_whole(store: &dyn ImageStore, name: &str) -> Result<Named> {
    let named = open(store, name)?;
    if let State::Found(opened) = &named.state {
        store.check_blobs(opened)?;
    }
    Ok(named)
}

fn open(store: &dyn ImageStore, name: &str) -> Result<Named> {
    let state = match store.open(name)? {
        Some(opened) => State::Found(Box::new(opened)),
        None => State::Absent,
    };
    Ok(Named {
        name: store.display_name(name),
        state,
    })
}

impl Named {
    /// The image, if it is there and whole; says in the log what it found.
    fn found(&self, log: &Log) -> Option<&Opened> {
        let name = &self.name;
        match &self.state {
            State::Found(opened) => {
                log.debug(format_args!(
                    "Found image with identifier {:?}",
                    opened.identifier
                ));
                Some(opened)
            }
            State::Absent => {
                log.info(format_args!("Image with name {name:?} not found"));
                None
            }
            State::Corrupt => {
                log.info(format_args!(
                    "Ignoring image {name:?} because it was corrupt"
                ));
                None
            }
        }
    }
}

/// Reads what the images say about themselves, and restores the previous image's SBOM.
///
/// # Errors
/// The SBOM cannot be restored, or the run image does not say its operating system.
pub fn analyze(
    images: &Images,
    decisions: Decisions<'_>,
    workers: &Workers,
    log: &Log,
) -> Result<Analyzed> {
    let _timer = log.timer("Analyzer");
    let (previous_image, metadata) = previous(images.previous.as_ref(), decisions, workers, log)?;
    let run_image = match &images.run {
        Some(run) => describe_run(run, decisions, log)?,
        None => AnalyzedRunImage::default(),
    };
    Ok(Analyzed {
        previous_image: Some(previous_image),
        build_image: None,
        metadata,
        run_image: Some(run_image),
    })
}

/// The previous image's identifier and layers; both empty where there is none that could be used.
fn previous(
    image: Option<&Named>,
    decisions: Decisions<'_>,
    workers: &Workers,
    log: &Log,
) -> Result<(String, LayersMetadata)> {
    let Some(opened) = image.and_then(|image| image.found(log)) else {
        return Ok(Default::default());
    };
    let metadata = match opened
        .image
        .config
        .label(METADATA_LABEL)
        .map(LayersMetadata::parse_json)
    {
        Some(Ok(metadata)) => metadata,
        // An image with a label that nobody can read is no previous image.
        Some(Err(_)) => return Ok(Default::default()),
        None => LayersMetadata::default(),
    };
    let sbom = metadata.sbom.as_deref().filter(|sha| !sha.is_empty());
    if let (Some(sha), Some(layers_dir)) = (sbom, decisions.restore_sbom_to) {
        log.info("Restoring data for SBOM from previous image");
        log.debug(format_args!(
            "Retrieving previous image SBOM layer for {sha:?}"
        ));
        restore_sbom(&opened.image, sha, layers_dir, workers)
            .context(|| "retrieving launch SBOM layer")?;
    }
    Ok((opened.identifier.clone(), metadata))
}

fn restore_sbom(image: &Image, sha: &str, layers_dir: &Path, workers: &Workers) -> Result<()> {
    let diff_id = DiffId::parse(sha)?;
    let layer = image.layer(&diff_id)?;
    let root = layers_dir.join("sbom").join("launch");
    extract::extract(open_stored(layer)?, diff_id, layers_dir, &root, workers).map(drop)
}

fn describe_run(run: &Named, decisions: Decisions<'_>, log: &Log) -> Result<AnalyzedRunImage> {
    let found = run.found(log);
    let target = decisions
        .record_target
        .then(|| target_of(found.map(|opened| &opened.image)));
    Ok(AnalyzedRunImage {
        reference: found
            .map(|opened| opened.identifier.clone())
            .unwrap_or_default(),
        image: if decisions.record_target {
            run.name.clone()
        } else {
            String::new()
        },
        extend: false,
        target: target.transpose()?,
    })
}

#[cfg(test)]
mod tests;
