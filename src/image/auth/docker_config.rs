//! Docker's config.json: `auths`, `credHelpers`, `credsStore`.
//!
//! The `docker_credential` crate was looked at: it reads the environment itself, knows no `username`/`password`
//! entries and no legacy URL keys, and gives helpers no time limit.

use super::platform_auth::basic;
use super::{Credentials, helper};
use crate::oci::DEFAULT_REGISTRY;
use lifecycle_core::file;
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::{Table, Value};
use std::ffi::OsStr;
use std::path::PathBuf;

/// The key of Docker Hub in configurations.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const MAX_CONFIG: u64 = 4 << 20;

/// Directories and files in which a configuration may be, from the environment.
#[derive(Clone, Debug, Default)]
pub struct ConfigPlaces {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
}

impl ConfigPlaces {
    /// The files in the order in which they are tried; the first that exists is the configuration.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let docker = self.docker_config.clone();
        let docker = docker.or_else(|| Some(self.home.as_ref()?.join(".docker")));
        let containers = "containers/auth.json";
        let config_home = self.xdg_config_home.clone();
        let config_home = config_home.or_else(|| Some(self.home.as_ref()?.join(".config")));
        [
            docker.map(|dir| dir.join("config.json")),
            self.registry_auth_file.clone(),
            self.xdg_runtime_dir
                .as_ref()
                .map(|dir| dir.join(containers)),
            config_home.map(|dir| dir.join(containers)),
        ]
        .into_iter()
        .flatten()
    }
}

/// A configuration and where it was.
#[derive(Clone)]
pub(super) struct DockerConfig {
    path: PathBuf,
    content: Result<Table, String>,
}

/// The first configuration that exists.
pub(super) fn load(places: &ConfigPlaces) -> Option<DockerConfig> {
    let path = places.files().find(|path| path.exists())?;
    let content = file::read(&path, MAX_CONFIG).and_then(|text| json::parse(&text, Numbers::Exact));
    let content = match content {
        Ok(Value::Table(table)) => Ok(table),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    Some(DockerConfig { path, content })
}

impl DockerConfig {
    /// Credentials and their source; anonymous with a reason where the configuration or a helper is broken.
    pub(super) fn lookup(&self, registry: &str, path: &OsStr) -> Option<(Credentials, String)> {
        let file = self.path.display();
        let content = match &self.content {
            Ok(content) => content,
            Err(cause) => {
                let why = format!("no credentials found ({file}: {cause})");
                return Some((Credentials::Anonymous, why));
            }
        };
        let key = match registry {
            DEFAULT_REGISTRY => HUB_KEY,
            other => other,
        };
        let text = |table: &str, key: &str| {
            let value = content.get(table)?.as_table()?.get(key)?.as_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let store = content.get("credsStore").and_then(Value::as_str);
        let program = text("credHelpers", key)
            .or_else(|| text("credHelpers", registry))
            .or_else(|| store.filter(|name| !name.is_empty()).map(str::to_owned));
        if let Some(name) = program {
            match helper::get(&name, key, path) {
                Ok(Some(credentials)) => {
                    return Some((credentials, format!("docker-credential-{name} ({file})")));
                }
                Ok(None) => {}
                Err(error) => {
                    let why = format!("no credentials found ({error})");
                    return Some((Credentials::Anonymous, why));
                }
            }
        }
        let auths = content.get("auths").and_then(Value::as_table)?;
        let exact = auths.get(key);
        let legacy = || {
            auths
                .iter()
                .find(|(url, _)| host(url) == registry)
                .map(|(_, entry)| entry)
        };
        let credentials = entry(exact.or_else(legacy)?.as_table()?)?;
        Some((credentials, file.to_string()))
    }
}

/// The host of a legacy key such as `https://registry.example/v1/`.
fn host(url: &str) -> &str {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .unwrap_or(url);
    rest.split('/').next().unwrap_or(rest)
}

fn entry(entry: &Table) -> Option<Credentials> {
    let text = |key: &str| {
        entry
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if let Some(token) = text("identitytoken") {
        return Some(Credentials::Identity(token.to_owned()));
    }
    if let Some(token) = text("registrytoken") {
        return Some(Credentials::Bearer(token.to_owned()));
    }
    if let Some(encoded) = text("auth") {
        return basic(encoded);
    }
    Some(Credentials::Basic {
        username: text("username")?.to_owned(),
        password: text("password")?.to_owned(),
    })
}
