//! Credentials for registries: resolved once, kept in memory, never logged.
//!
//! Sources in order, the first that knows the registry wins: the platform's variable, the Docker configuration,
//! credential helper programs of cloud registries; else anonymous (FACTS 13.2, PLAT-AUTH).

mod cloud;
mod docker_config;
mod helper;
mod platform_auth;

pub use docker_config::ConfigPlaces;

use docker_config::DockerConfig;

use lifecycle_core::error::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// What is presented to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// A user and a password, for Basic and for token servers.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// A registry token that is sent as it is.
    Bearer(String),
    /// An identity token that a token server exchanges for registry tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    /// Names the kind, never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
            Self::Identity(_) => "Identity",
        })
    }
}

/// What the keychain may use; the command reads it from the environment before privileges drop.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `CNB_REGISTRY_AUTH`: JSON from registry to `Authorization` header.
    pub platform_auth: Option<String>,
    /// Where a Docker configuration may be.
    pub config: ConfigPlaces,
    /// `PATH`, for credential helper programs.
    pub path: OsString,
    /// Whether helpers for Amazon's registries are left out (`CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AMAZON`).
    pub skip_amazon: bool,
    /// Whether helpers for Azure's registries are left out (`CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AZURE`).
    pub skip_azure: bool,
}

/// Credentials of the registries that a phase talks to.
#[derive(Clone, Default)]
pub struct Keychain {
    platform: BTreeMap<String, String>,
    /// With `None` for registries that no source knows.
    found: BTreeMap<String, Option<Found>>,
    later: Lookup,
}

/// Credentials and where they came from; anonymous with the reason why nothing was found.
type Found = (Credentials, String);

/// How registries are looked up that nobody knew of at first, such as those of a label. The configuration is in
/// memory already.
#[derive(Clone, Default)]
struct Lookup {
    config: Option<DockerConfig>,
    sources: Sources,
}

impl Lookup {
    fn find(&self, registry: &str) -> Option<Found> {
        let config = self.config.as_ref();
        config
            .and_then(|config| config.lookup(registry, &self.sources.path))
            .or_else(|| cloud::lookup(registry, &self.sources))
    }
}

impl Keychain {
    /// Reads the configuration, and looks up every one of `registries` (as references spell them), so that nothing
    /// is read later.
    ///
    /// # Errors
    /// `CNB_REGISTRY_AUTH` is not a JSON object of text. A Docker configuration or a helper that fails counts as
    /// knowing nothing, and the source text says so.
    pub fn resolve(
        sources: &Sources,
        registries: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let platform = match &sources.platform_auth {
            Some(text) => platform_auth::parse(text)?,
            None => BTreeMap::new(),
        };
        let later = Lookup {
            config: docker_config::load(&sources.config),
            sources: sources.clone(),
        };
        let found = registries
            .into_iter()
            .filter(|registry| !platform.contains_key(registry))
            .map(|registry| {
                let found = later.find(&registry);
                (registry, found)
            })
            .collect();
        Ok(Self {
            platform,
            found,
            later,
        })
    }

    /// The credentials for `registry`, and where they came from in words for messages.
    ///
    /// # Errors
    /// The header that the platform gave for it is of no known kind.
    pub fn credentials(&self, registry: &str) -> Result<(Credentials, String)> {
        if let Some(header) = self.platform.get(registry) {
            let source = "credentials from CNB_REGISTRY_AUTH".to_owned();
            return Ok((platform_auth::credentials(header)?, source));
        }
        let known = self.found.get(registry).cloned();
        Ok(match known.unwrap_or_else(|| self.later.find(registry)) {
            Some((Credentials::Anonymous, why)) => (Credentials::Anonymous, why),
            Some((credentials, source)) => (credentials, format!("credentials from {source}")),
            None => (Credentials::Anonymous, "no credentials found".to_owned()),
        })
    }
}

impl fmt::Debug for Keychain {
    /// Names the registries, never a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.platform.keys())
            .entries(self.found.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests;
