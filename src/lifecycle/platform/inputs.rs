//! The resolved inputs of a phase.

use lifecycle_core::api::PlatformApi;
use lifecycle_core::env::Env;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a command may need to know from its platform: flag over environment over default (FACTS 1.6).
/// Directories are absolute, `<layers>` is filled in, an empty optional text is `None`.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The Platform API in force.
    pub platform_api: PlatformApi,
    /// The process environment as it was at the start.
    pub process_env: Env,
    /// analyzed.toml.
    pub analyzed: PathBuf,
    /// `<app>`.
    pub app_dir: PathBuf,
    /// `<build-config>`.
    pub build_config_dir: PathBuf,
    /// The build image's reference.
    pub build_image: Option<String>,
    /// Where buildpacks are.
    pub buildpacks_dir: PathBuf,
    /// The volume cache.
    pub cache_dir: Option<PathBuf>,
    /// The cache image's reference.
    pub cache_image: Option<String>,
    /// The process type that the user wants as default.
    pub default_process_type: Option<String>,
    /// The execution environment.
    pub exec_env: String,
    /// What the extender extends: `build` or `run`, as given.
    pub extend_kind: String,
    /// Where extended images are.
    pub extended_dir: PathBuf,
    /// Where extensions are.
    pub extensions_dir: PathBuf,
    /// Rebase even where a check forbids it.
    pub force_rebase: bool,
    /// Where generated Dockerfiles are.
    pub generated_dir: PathBuf,
    /// Group id of the build user.
    pub gid: u32,
    /// User id of the build user.
    pub uid: u32,
    /// group.toml.
    pub group: PathBuf,
    /// Prefixes of references whose registries may be insecure.
    pub insecure_registries: Vec<String>,
    /// How long cached extension layers are good.
    pub kaniko_cache_ttl: Duration,
    /// `/kaniko`.
    pub kaniko_dir: PathBuf,
    /// The launch cache (daemon).
    pub launch_cache_dir: Option<PathBuf>,
    /// The launcher binary.
    pub launcher: PathBuf,
    /// Where the launcher's and the lifecycle's SBOM files are.
    pub launcher_sbom_dir: PathBuf,
    /// `<layers>`.
    pub layers_dir: PathBuf,
    /// The root of OCI layouts.
    pub layout_dir: Option<PathBuf>,
    /// order.toml.
    pub order: PathBuf,
    /// The output image's reference as given.
    pub output_image: Option<String>,
    /// Further references for the output image.
    pub additional_tags: Vec<String>,
    /// Write image and cache at the same time.
    pub parallel_export: bool,
    /// plan.toml.
    pub plan: PathBuf,
    /// `<platform>`.
    pub platform_dir: PathBuf,
    /// The previous image's reference; the output image's when not given.
    pub previous_image: Option<String>,
    /// project-metadata.toml.
    pub project_metadata: PathBuf,
    /// report.toml.
    pub report: PathBuf,
    /// The run image's reference.
    pub run_image: Option<String>,
    /// The deprecated `-image` flag of exporter and rebaser.
    pub deprecated_run_image: Option<String>,
    /// run.toml.
    pub run: PathBuf,
    /// stack.toml.
    pub stack: PathBuf,
    /// Do not restore layers.
    pub skip_layers: bool,
    /// system.toml.
    pub system: PathBuf,
    /// Images are in a Docker daemon.
    pub use_daemon: bool,
    /// Images are OCI layouts on disk.
    pub use_layout: bool,
    /// `SOURCE_DATE_EPOCH` as given.
    pub source_date_epoch: Option<String>,
}
