//! What the platform and the build hand to the launcher: variables, arguments and metadata.toml.

use crate::sys;
use lifecycle_core::api::PlatformApi;
use lifecycle_core::data::group::verify_api;
use lifecycle_core::data::metadata::BuildMetadata;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Everything that decides what is launched and how.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The name by which the launcher was called.
    pub(crate) argv0: OsString,
    /// The user's arguments.
    pub(crate) arguments: Vec<OsString>,
    /// The environment that the launcher was started with.
    pub(crate) process_env: Env,
    /// `CNB_PLATFORM_API`.
    pub(crate) platform_api: PlatformApi,
    /// `<layers>`.
    pub(crate) layers_dir: PathBuf,
    /// `<app>`.
    pub(crate) app_dir: PathBuf,
    /// The execution environment.
    pub(crate) exec_env: OsString,
    /// `CNB_PROCESS_TYPE`, which old platforms set and which has no effect.
    pub(crate) ignored_process_type: Option<OsString>,
    /// metadata.toml.
    pub(crate) metadata: BuildMetadata,
}

impl Inputs {
    /// Reads variables and metadata.toml and verifies the API versions in them.
    ///
    /// # Errors
    /// Kinds `PlatformApi` and `BuildpackApi` for versions that this launcher does not speak; metadata.toml cannot be
    /// read.
    pub(crate) fn read(arguments: Vec<OsString>, process_env: Env) -> Result<Self> {
        let platform_api = PlatformApi::requested(process_env.get("CNB_PLATFORM_API"))?;
        let layers_dir = absolute(or_default(&process_env, "CNB_LAYERS_DIR", "/layers"));
        let metadata =
            read_metadata(&layers_dir, platform_api).context(|| "failed to read metadata")?;
        for buildpack in &metadata.buildpacks {
            verify_api(&buildpack.api, "buildpack", &buildpack.id)?;
        }
        let mut arguments = arguments.into_iter();
        Ok(Self {
            argv0: arguments.next().unwrap_or_default(),
            arguments: arguments.collect(),
            platform_api,
            layers_dir,
            app_dir: absolute(or_default(&process_env, "CNB_APP_DIR", "/workspace")),
            exec_env: or_default(&process_env, "CNB_EXEC_ENV", "production"),
            ignored_process_type: non_empty(&process_env, "CNB_PROCESS_TYPE"),
            process_env,
            metadata,
        })
    }
}

fn read_metadata(layers_dir: &Path, platform_api: PlatformApi) -> Result<BuildMetadata> {
    let path = layers_dir.join("config/metadata.toml");
    let text = file::read_opened(sys::open(&path)?, &path, file::DOCUMENT_LIMIT)?;
    String::from_utf8(text)
        .map_err(|_| Error::other("toml: not UTF-8"))
        .and_then(|text| BuildMetadata::parse(&text, platform_api))
        .context(|| path.display().to_string())
}

fn non_empty(env: &Env, name: &str) -> Option<OsString> {
    env.get(name)
        .filter(|value| !value.is_empty())
        .map(Into::into)
}

fn or_default(env: &Env, name: &str, default: &str) -> OsString {
    non_empty(env, name).unwrap_or_else(|| default.into())
}

/// The launcher changes its working directory, so relative paths must not stay relative.
fn absolute(path: OsString) -> PathBuf {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return path;
    }
    std::path::absolute(&path).unwrap_or(path)
}
