//! Docker daemons, and what speaks their API (Podman).
//!
//! Asynchrony ends here: the store's methods block. A save sends only what the daemon lacks, compares what the daemon
//! made of it with what was meant, and moves tags last.

mod archive;
mod connect;
mod contents;
mod endpoint;
mod error;
mod fetch;
mod inspect;
mod load;

pub use endpoint::{Endpoint, Settings};

use super::{ImageStore, LayerForm, Opened, Saved};
use crate::image::Image;
use crate::oci::{DiffId, Digest, Identifier, Reference};
use archive::Form;
use bollard::errors::Error as DockerError;
use bollard::models::ImageInspect;
use bollard::query_parameters::TagImageOptionsBuilder;
use bollard::{BollardRequest, Docker};
use connect::Connections;
use fetch::DaemonBlobs;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long the daemon may take to answer, in seconds. It waits for nobody in what is asked here; whole images are another matter.
const ANSWER_LIMIT: u64 = 120;
/// How long it may neither take nor say anything while it packs or unpacks an image. It flushes to disk meanwhile.
const WORK_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How many digits of an image's id people read.
const SHORT_ID: usize = 12;
/// The driver status of a daemon that keeps images in containerd's store (FACTS 9.3).
const CONTAINERD: [&str; 2] = ["driver-type", "io.containerd.snapshotter.v1"];

/// Images in a daemon. A name is a reference or an image id; identifiers are image ids, 64 digits.
pub struct DaemonStore {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    docker: Docker,
    /// The endpoint, for messages.
    name: String,
    spool_dir: PathBuf,
    form: OnceLock<Form>,
    /// The images that were opened.
    seen: Mutex<Vec<Seen>>,
}

/// An image that the daemon has.
#[derive(Clone)]
struct Seen {
    id: String,
    /// What [`archive::config_id`] says of it.
    config: Digest,
    /// Its layers, bottom first.
    chain: Vec<DiffId>,
}

impl Shared {
    /// Waits for an answer of the daemon.
    fn ask<T>(&self, request: impl Future<Output = Result<T, DockerError>>) -> Result<T> {
        self.runtime
            .block_on(request)
            .map_err(|error| error::of(&error, &self.name))
    }

    fn inspect(&self, name: &str) -> Result<Option<ImageInspect>> {
        match self.ask(self.docker.inspect_image(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// What form of archive the daemon needs.
    fn form(&self) -> Result<Form> {
        if let Some(form) = self.form.get() {
            return Ok(*form);
        }
        let info = self.ask(self.docker.info())?;
        let status = info.driver_status.unwrap_or_default();
        let form = match status.iter().any(|pair| *pair == CONTAINERD) {
            true => Form::Oci,
            false => Form::Docker,
        };
        Ok(*self.form.get_or_init(|| form))
    }

    /// How many of the layers, from the bottom, the daemon has in just this order.
    fn known(&self, image: &Image) -> usize {
        let shared = |seen: &Seen| {
            let layers = image.layers.iter().zip(&seen.chain);
            layers
                .take_while(|(layer, diff_id)| layer.diff_id == **diff_id)
                .count()
        };
        self.seen().iter().map(shared).max().unwrap_or_default()
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DaemonStore {
    /// A store in the daemon at `endpoint`. Layers wait in `spool_dir` where they have to. Nothing is sent before
    /// somebody asks for an image.
    ///
    /// # Errors
    /// The threads for network work cannot be started.
    pub fn new(endpoint: Endpoint, spool_dir: PathBuf) -> Result<Self> {
        let runtime = super::runtime(1)?;
        let name = endpoint.to_string();
        let connections = runtime
            .block_on(Connections::new(endpoint))
            .context(|| format!("connect to the docker daemon at {name}"))?;
        let transport = move |request: BollardRequest| {
            let connections = Arc::clone(&connections);
            async move { connections.send(request).await }
        };
        let docker = Docker::connect_with_custom_transport(
            transport,
            Some("http://docker"),
            ANSWER_LIMIT,
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| error::of(&error, &name))?;
        let shared = Shared {
            runtime,
            docker,
            name,
            spool_dir,
            form: OnceLock::new(),
            seen: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Moves the tag `name` to the image.
    fn tag(&self, id: &str, name: &str) -> Result<()> {
        let reference = Reference::parse(name)?;
        let Identifier::Tag(tag) = reference.identifier() else {
            let cause = format!("{name} has a digest; a daemon tags by name only");
            return Err(Error::new(ErrorKind::InvalidArguments, cause));
        };
        let options = TagImageOptionsBuilder::default()
            .repo(&reference.context())
            .tag(tag)
            .build();
        self.shared
            .ask(self.shared.docker.tag_image(&by_id(id), Some(options)))
    }
}

impl ImageStore for DaemonStore {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let shared = &self.shared;
        let Some(inspect) = shared.inspect(&checked(name)?)? else {
            return Ok(None);
        };
        let identifier = inspect::id(&inspect)?;
        let history = shared.ask(shared.docker.image_history(&by_id(&identifier)))?;
        let blobs = DaemonBlobs {
            shared: Arc::clone(shared),
            image: identifier.clone(),
        };
        let image = inspect::image(&inspect, &history, &(Arc::new(blobs) as _))
            .context(|| format!("open image {name}"))?;
        let seen = Seen {
            id: identifier.clone(),
            config: archive::config_id(&image),
            chain: image.layers.iter().map(|layer| layer.diff_id).collect(),
        };
        shared.seen().push(seen);
        Ok(Some(Opened { image, identifier }))
    }

    fn save(&self, image: &Image, names: &[String]) -> Result<Saved> {
        let id = load::load(&self.shared, image)?;
        let tagged = names.iter().map(|name| (name.clone(), self.tag(&id, name)));
        Ok(Saved {
            short_id: id.chars().take(SHORT_ID).collect(),
            digest: None,
            names: tagged.collect(),
            // A daemon makes the manifest only when the image is pushed.
            manifest_size: None,
            image_id: Some(id),
        })
    }

    fn layer_form(&self) -> LayerForm {
        LayerForm::Recipe
    }
}

/// An id, 64 digits, as requests spell it: digits alone are a name to Podman and the containerd image store, and one
/// that they refuse.
fn by_id(id: &str) -> String {
    format!("sha256:{id}")
}

/// An id or a reference, as requests spell it; nothing else may become part of a request's path.
fn checked(name: &str) -> Result<String> {
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(match id.len() {
            64 => by_id(id),
            _ => name.to_owned(),
        });
    }
    Reference::parse(name).map(|_| name.to_owned())
}
