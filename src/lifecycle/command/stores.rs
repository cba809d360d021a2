//! Connects a command to the places that its inputs name.

use crate::log::Log;
use crate::platform::{Inputs, Secret, privileges};
use lifecycle_core::api::Feature;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::auth::{ConfigPlaces, Keychain, Sources};
use lifecycle_image::cache::{Cache, ImageCache, LaunchCache, OldImage, VolumeCache};
use lifecycle_image::oci::{Platform, Reference};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::daemon::{DaemonStore, Endpoint, Settings};
use lifecycle_image::store::layout::LayoutStore;
use lifecycle_image::store::registry::{Certificates, Options, Proof, RegistryStore};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Where a program finds images and caches. Credentials are in memory from the start; connections are made when
/// somebody asks, once for all phases of the program.
pub struct Stores {
    keychain: Keychain,
    proof: Proof,
    certificates: Certificates,
    registry: OnceLock<Arc<RegistryStore>>,
    /// The daemon, until somebody connects to it.
    endpoint: Mutex<Option<Endpoint>>,
    daemon: OnceLock<Arc<dyn ImageStore>>,
}

impl Stores {
    /// Resolves credentials and certificates for every registry that `inputs` and `more` references name, and opens connections to
    /// a daemon that only root may open. Starts no thread, so that privileges can be dropped afterwards.
    ///
    /// # Errors
    /// `failed to resolve keychain: ...`: the platform's credentials are malformed.
    /// `failed to initialize docker client: ...`: nobody can tell where the daemon is.
    pub fn prepare(inputs: &Inputs, more: &[String]) -> Result<Self> {
        let references = inputs
            .registry_images()
            .into_iter()
            .chain(more.iter().map(String::as_str));
        let registries = registries(references);
        let keychain = keychain(inputs, &registries).context(|| "failed to resolve keychain")?;
        let names = registries.iter().map(String::as_str);
        let certificates = Certificates::standard().read_for(names);
        let settings = daemon_settings(&inputs.process_env);
        let prepare = || Endpoint::prepare(&settings, privileges::changes_user(inputs));
        let endpoint = inputs.use_daemon.then(prepare).transpose();
        let endpoint = endpoint.context(|| "failed to initialize docker client")?;
        Ok(Self {
            keychain,
            proof: Proof::ReadBack,
            certificates,
            registry: OnceLock::new(),
            endpoint: Mutex::new(endpoint),
            daemon: OnceLock::new(),
        })
    }

    /// With pushes to registries that count as done when `proof` is there.
    #[must_use]
    pub fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Where images are read and written.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub fn images(&self, inputs: &Inputs) -> Result<Arc<dyn ImageStore>> {
        match &inputs.layout_dir {
            // Without a directory the reference takes `-layout` for a registry.
            Some(root) if inputs.use_layout => Ok(Arc::new(LayoutStore {
                root: root.clone(),
                platform: Platform::host(),
            })),
            _ if inputs.use_daemon => self.daemon(inputs),
            _ => self.registry(inputs),
        }
    }

    fn daemon(&self, inputs: &Inputs) -> Result<Arc<dyn ImageStore>> {
        if let Some(store) = self.daemon.get() {
            return Ok(Arc::clone(store));
        }
        let mut endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = endpoint
            .take()
            .ok_or_else(|| Error::other("the docker daemon could not be connected to"))?;
        let store: Arc<dyn ImageStore> = Arc::new(DaemonStore::new(endpoint, temp_dir(inputs))?);
        let store: Arc<dyn ImageStore> = match &inputs.launch_cache_dir {
            Some(dir) => {
                Arc::new(LaunchCache::open(dir, store).context(|| "failed to create launch cache")?)
            }
            None => store,
        };
        Ok(Arc::clone(self.daemon.get_or_init(|| store)))
    }

    /// Registries, wherever the other images are: extended base images and cache images always come from there.
    ///
    /// # Errors
    /// The store cannot be set up.
    pub fn registry(&self, inputs: &Inputs) -> Result<Arc<dyn ImageStore>> {
        if let Some(store) = self.registry.get() {
            return Ok(Arc::<RegistryStore>::clone(store));
        }
        let insecure = inputs.insecure_registries.clone();
        let options = options(self.keychain.clone(), insecure);
        let store = Arc::new(RegistryStore::new(Options {
            certificates: self.certificates.clone(),
            proof: self.proof,
            ..options
        })?);
        Ok(Arc::<RegistryStore>::clone(
            self.registry.get_or_init(|| store),
        ))
    }

    /// The cache; a cache image is preferred to a directory.
    ///
    /// # Errors
    /// The cache cannot be opened.
    pub fn cache(&self, inputs: &Inputs, log: &Log) -> Result<Option<Box<dyn Cache>>> {
        if let Some(name) = &inputs.cache_image {
            let old = match inputs.platform_api.has(Feature::KeepsOldCacheImage) {
                true => OldImage::Stays,
                false => OldImage::Deleted,
            };
            let open = self
                .registry(inputs)
                .and_then(|store| ImageCache::open(store, name, old));
            let (cache, damage) = open.context(|| "failed to create image cache")?;
            if damage.is_some() {
                log.info(format_args!(
                    "Ignoring cache image \"{name}\" because it was corrupt"
                ));
            }
            return Ok(Some(Box::new(
                cache.uploading_ahead(inputs.parallel_export),
            )));
        }
        let open = |dir| VolumeCache::open(dir).context(|| "failed to create volume cache");
        let cache = inputs.cache_dir.as_deref().map(open).transpose()?;
        Ok(cache.map(|cache| Box::new(cache) as Box<dyn Cache>))
    }
}

/// Whether its registry lets `reference` be read; asked before privileges drop, so that nothing of it may stay.
///
/// # Errors
/// `unable to create keychain: ...`: the platform's credentials are malformed.
pub fn readable(inputs: &Inputs, reference: &str) -> Result<bool> {
    let keychain = keychain(inputs, &registries([reference]));
    let keychain = keychain.context(|| "unable to create keychain")?;
    let store = RegistryStore::new(options(keychain, Vec::new()))?;
    Ok(store.check_read(reference).is_ok())
}

fn options(keychain: Keychain, insecure: Vec<String>) -> Options {
    Options::new(keychain, insecure, Platform::host())
}

fn registries<'a>(references: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let registry = |reference: &str| Some(Reference::parse(reference).ok()?.registry().to_owned());
    references.into_iter().filter_map(registry).collect()
}

fn keychain(inputs: &Inputs, registries: &BTreeSet<String>) -> Result<Keychain> {
    let sources = sources(&inputs.process_env, inputs.registry_auth.as_ref());
    Keychain::resolve(&sources, registries.iter().cloned())
}

/// Where the daemon is, by the environment.
fn daemon_settings(env: &Env) -> Settings {
    let filled = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let text = |name: &str| Some(filled(name)?.to_string_lossy().into_owned());
    Settings {
        host: text("DOCKER_HOST"),
        cert_path: filled("DOCKER_CERT_PATH").map(PathBuf::from),
        tls_verify: filled("DOCKER_TLS_VERIFY").is_some(),
        api_version: text("DOCKER_API_VERSION"),
    }
}

/// Where credentials may be, by the environment.
fn sources(env: &Env, platform_auth: Option<&Secret>) -> Sources {
    let path = |name: &str| {
        env.get(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let is_true = |name: &str| env.get(name).is_some_and(|value| value == "true");
    Sources {
        platform_auth: platform_auth.map(|Secret(text)| text.clone()),
        config: ConfigPlaces {
            home: path("HOME"),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
        },
        path: env.get("PATH").map(OsStr::to_owned).unwrap_or_default(),
        skip_amazon: is_true("CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AMAZON"),
        skip_azure: is_true("CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AZURE"),
    }
}

/// Where layers wait until they are saved.
pub fn temp_dir(inputs: &Inputs) -> PathBuf {
    let dir = inputs
        .process_env
        .get("TMPDIR")
        .filter(|dir| !dir.is_empty());
    dir.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}
