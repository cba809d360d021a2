//! Extend: applies the extensions' Dockerfiles to the build or run image, whose files are this container's (FACTS 11;
//! platform.md, extender).

use super::generate::Layout;
use crate::buildpack::DockerfileKind;
use crate::extend::cache::Key;
use crate::extend::{Job, Machine, NoOrigins, State};
use crate::log::Log;
use lifecycle_core::data::extend_config::ExtendConfig;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use lifecycle_image::image::Image;
use lifecycle_image::layer::{Layer, LayerSource};
use lifecycle_image::oci::{Digest, History, Identifier, Platform, Reference};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::layout::LayoutStore;
use std::path::{Path, PathBuf};

const REBASABLE: &str = "io.buildpacks.rebasable";
/// Where the kernel makes random UUIDs.
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

/// What is extended, and with what.
pub struct Extend<'a> {
    /// The build or the run image.
    pub kind: DockerfileKind,
    /// The image as analyzed.toml names it: by digest.
    pub reference: &'a str,
    /// Below `<kaniko>/cache`: a layout for each digest.
    pub bases: &'a Path,
    /// The group's extensions.
    pub extensions: &'a [GroupElement],
    /// `<generated>`.
    pub generated_dir: &'a Path,
    /// What it looks like.
    pub layout: Layout,
    /// `<app>`, the build context of extensions that bring none.
    pub app_dir: &'a Path,
}

/// An extended image.
pub struct Extended {
    /// The image.
    pub image: Image,
    /// How many of its layers are the base's.
    pub base_layers: usize,
}

/// Extends the image. `machine` is made when it is known that there is something to do.
///
/// # Errors
/// The base image is not where the restorer leaves it, a Dockerfile cannot be applied, or the run image would run as root.
pub fn extend<'m>(
    job: &Extend<'_>,
    machine: impl FnOnce() -> Result<Machine<'m>>,
    log: &Log,
) -> Result<Extended> {
    let kind = job.kind.as_str();
    let (base, digest) = open_base(job).context(|| format!("getting {kind} image to extend"))?;
    if job.kind == DockerfileKind::Run {
        let layers = base.layers.len();
        log.debug(format_args!(
            "Found {layers} layers in original image with digest: {digest}"
        ));
        let top = base.layers.last().and_then(blob_digest);
        let top = top.map(|digest| digest.to_string()).unwrap_or_default();
        log.debug(format_args!("Original image top layer digest: {top}"));
    }
    let base_layers = base.layers.len();
    let image =
        apply_all(job, base, digest, machine, log).context(|| format!("extending {kind} image"))?;
    Ok(Extended { image, base_layers })
}

/// The image that the restorer has pulled. Its layers' data is never asked for: the files are on disk already.
fn open_base(job: &Extend<'_>) -> Result<(Image, Digest)> {
    let reference = Reference::parse(job.reference);
    let digest = match reference.as_ref().map(Reference::identifier) {
        Ok(Identifier::Digest(digest)) => *digest,
        _ => {
            let cause = format!("failed to get digest for reference '{}'", job.reference);
            return Err(Error::other(cause));
        }
    };
    let layout = job.bases.join(digest.to_string());
    let opened = store()
        .open(&format!("{}@{digest}", layout.display()))
        .and_then(|opened| opened.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such image")));
    let opened = opened.context(|| format!("getting base image for digest '{digest}'"))?;
    Ok((opened.image.sparse(), digest))
}

fn store() -> LayoutStore {
    LayoutStore {
        root: PathBuf::new(),
        platform: Platform::host(),
    }
}

fn apply_all<'m>(
    job: &Extend<'_>,
    base: Image,
    digest: Digest,
    machine: impl FnOnce() -> Result<Machine<'m>>,
    log: &Log,
) -> Result<Image> {
    let _timer = log.timer("Extender");
    let kind = job.kind.as_str();
    log.debug(format_args!(
        "Extending base image for {kind}: {}",
        job.reference
    ));
    let dockerfiles = dockerfiles(job, log)?;
    log.debug(format_args!("Original image has digest: {digest}"));
    let mut state = State {
        image: base,
        key: Key::of_base(&digest),
    };
    let mut digest = digest;
    let mut user = User::of(&state.image);
    let original_user = user.id.clone();
    let mut rebasable = true;
    // Whether this is a container matters only where something is to be done to it.
    let mut machine = match dockerfiles.is_empty() {
        true => None,
        false => Some(machine()?),
    };
    for dockerfile in &dockerfiles {
        let Some(machine) = &mut machine else { break };
        let path = dockerfile.path.display();
        log.debug(format_args!(
            "Applying Dockerfile at {path} to 'base@{digest}'..."
        ));
        let args = arguments(dockerfile, &user, &digest)?;
        let layers = state.image.layers.len();
        let applied = machine.apply(
            &Job {
                dockerfile: &dockerfile.path,
                context: &dockerfile.context,
                args: &args,
                origins: &NoOrigins,
            },
            state,
        );
        state = applied.context(|| "applying Dockerfile to image")?;
        digest = digest_of(&state.image);
        log.debug(format_args!("Intermediate image has digest: {digest}"));
        rebasable &= is_rebasable(&state.image);
        state.image = attributed(state.image, layers, rebasable, &dockerfile.extension);
        let previous = std::mem::replace(&mut user, User::of(&state.image));
        if user.is_root() {
            log.warn(format_args!(
                "Extension from {path} changed the user ID from {} to {}; this must not be the final user ID \
                 (a following extension must reset the user).",
                previous.id, user.id
            ));
        }
    }
    if job.kind == DockerfileKind::Run && user.is_root() {
        return Err(Error::other(
            "the final user ID is 0 (root); please add another extension that resets the user to non-root",
        ));
    }
    if user.id != original_user {
        log.warn(format_args!(
            "The original user ID was {original_user} but the final extension left the user ID set to {}.",
            user.id
        ));
    }
    let config = state.image.config.clone();
    let image = match dockerfiles.is_empty() {
        true => state.image,
        false => state.image.with_config(config.with_created("")),
    };
    if job.kind == DockerfileKind::Run {
        let digest = digest_of(&image);
        log.debug(format_args!("Final extended image has digest: {digest}"));
    }
    Ok(image)
}

/// A Dockerfile that an extension has generated.
struct Dockerfile {
    extension: String,
    path: PathBuf,
    context: PathBuf,
    args: Vec<(String, String)>,
}

fn dockerfiles(job: &Extend<'_>, log: &Log) -> Result<Vec<Dockerfile>> {
    let kind = job.kind.as_str();
    let mut found = Vec::new();
    for extension in job.extensions {
        let id = extension.escaped_id();
        let (directory, path) = match job.layout {
            Layout::ByKind => {
                let directory = job.generated_dir.join(kind).join(id);
                let path = directory.join("Dockerfile");
                (directory, path)
            }
            Layout::ByExtension => {
                let directory = job.generated_dir.join(id);
                let path = directory.join(job.kind.file_name());
                (directory, path)
            }
        };
        if !path.exists() {
            continue;
        }
        log.debug(format_args!(
            "Found {kind} Dockerfile for extension '{}'",
            extension.id
        ));
        let contexts = match job.layout {
            Layout::ByKind => Vec::new(),
            Layout::ByExtension => vec![
                directory.join(format!("context.{kind}")),
                directory.join("context"),
            ],
        };
        let context = contexts.into_iter().find(|context| context.is_dir());
        let config = directory.join("extend-config.toml");
        let config = match file::read_if_exists(&config, DOCUMENT_LIMIT)? {
            Some(text) => ExtendConfig::parse(&text)?,
            None => ExtendConfig::default(),
        };
        let args = match job.kind {
            DockerfileKind::Build => config.build,
            DockerfileKind::Run => config.run,
        };
        found.push(Dockerfile {
            extension: extension.id.clone(),
            path,
            context: context.unwrap_or_else(|| job.app_dir.to_owned()),
            args: args.into_iter().map(|arg| (arg.name, arg.value)).collect(),
        });
    }
    Ok(found)
}

/// The build arguments: the contract's first, so that only `base_image` is out of the extension's reach.
fn arguments(dockerfile: &Dockerfile, user: &User, base: &Digest) -> Result<Vec<(String, String)>> {
    let build_id = file::read(Path::new(RANDOM_UUID), 64).context(|| "make a build id")?;
    let mut args = vec![
        ("build_id".to_owned(), build_id.trim().to_owned()),
        ("user_id".to_owned(), user.id.clone()),
        ("group_id".to_owned(), user.group.clone()),
    ];
    args.extend(dockerfile.args.iter().cloned());
    args.push(("base_image".to_owned(), format!("base@{base}")));
    Ok(args)
}

/// Who the image runs as.
struct User {
    id: String,
    group: String,
}

impl User {
    fn of(image: &Image) -> Self {
        let mut parts = image.config.user().split(':').map(str::to_owned);
        Self {
            id: parts.next().unwrap_or_default(),
            group: parts.next().unwrap_or_default(),
        }
    }

    fn is_root(&self) -> bool {
        matches!(self.id.as_str(), "0" | "root")
    }
}

/// Go's `ParseBool`.
fn is_rebasable(image: &Image) -> bool {
    let label = image.config.label(REBASABLE);
    label.is_some_and(|label| matches!(label, "1" | "t" | "T" | "TRUE" | "true" | "True"))
}

/// With the label, and with the extension named in the history of the layers that it added.
fn attributed(image: Image, base_layers: usize, rebasable: bool, extension: &str) -> Image {
    let config = image.config.clone();
    let mut image = image.with_config(config.with_label(REBASABLE, &rebasable.to_string()));
    for layer in image.layers.iter_mut().skip(base_layers) {
        let command = layer.history.take().unwrap_or_default().created_by;
        layer.history = Some(History {
            created_by: format!("Layer: '{command}', Created by extension: {extension}"),
            ..History::default()
        });
    }
    image
}

fn blob_digest(layer: &Layer) -> Option<Digest> {
    match &layer.source {
        LayerSource::Stored { descriptor, .. } => Some(descriptor.digest),
        LayerSource::Spooled(blob) => Some(blob.descriptor.digest),
        LayerSource::Recipe(_) => None,
    }
}

fn digest_of(image: &Image) -> Digest {
    let descriptors = image.layers.iter().filter_map(|layer| match &layer.source {
        LayerSource::Stored { descriptor, .. } => Some(descriptor.clone()),
        LayerSource::Spooled(blob) => Some(blob.descriptor.clone()),
        LayerSource::Recipe(_) => None,
    });
    let documents = image.documents(descriptors.collect());
    documents.manifest_descriptor.digest
}

/// Saves the extended run image in `<extended>/run`: documents and added layers; the base's layers stay where they are.
///
/// # Errors
/// The layout cannot be written.
pub fn save(extended: &Extended, extended_dir: &Path, log: &Log) -> Result<()> {
    let Extended { image, base_layers } = extended;
    let digest = digest_of(image);
    let layout = extended_dir.join("run").join(digest.to_string());
    log.debug(format_args!(
        "Found {} layers in extended image with digest: {digest}",
        image.layers.len()
    ));
    for (index, layer) in image.layers.iter().enumerate() {
        let digest = blob_digest(layer);
        let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
        let what = match index + 1 {
            number if number < *base_layers => "Skipping base layer",
            number if number == *base_layers => "Found original top layer",
            _ => "Copying layer",
        };
        log.debug(format_args!("{what} with digest: {digest}"));
    }
    let saved = store().save(image, &[layout.display().to_string()]);
    let saved = saved.and_then(|saved| saved.names.into_iter().try_for_each(|(_, result)| result));
    saved.context(|| "failed to copy extended image to output directory")
}

#[cfg(test)]
mod tests;
