//! The app image's configuration (FACTS 4.3, 4.4).

use super::Export;
use crate::log::Log;
use lifecycle_core::data::label::LayersMetadata;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::oci::Config;

/// Where the launcher is in the app image.
pub(super) const LAUNCHER: &str = "/cnb/lifecycle/launcher";
/// Where the links for process types are.
pub(super) const PROCESSES: &str = "/cnb/process";
const LIFECYCLE: &str = "/cnb/lifecycle";

/// `base` with what the image needs to run, and with the labels.
pub(super) fn configure(
    export: &Export<'_>,
    base: Config,
    layers: &LayersMetadata,
    log: &Log,
) -> Result<Config> {
    let config = labels(export, base, layers, log);
    let config = environment(export, config, log);
    let app_dir = export.app_dir.display().to_string();
    log.debug(format_args!("Setting WORKDIR: '{app_dir}'"));
    let entrypoint = entrypoint(export, log).context(|| "determining entrypoint")?;
    log.debug(format_args!("Setting ENTRYPOINT: '{entrypoint}'"));
    Ok(config
        .with_working_dir(&app_dir)
        .with_entrypoint(&[entrypoint])
        .with_created(export.created)
        .without_container())
}

fn labels(export: &Export<'_>, config: Config, layers: &LayersMetadata, log: &Log) -> Config {
    let lifecycle = layers.to_json();
    let own = [
        ("io.buildpacks.lifecycle.metadata", lifecycle.as_str()),
        ("io.buildpacks.build.metadata", export.build_label),
        ("io.buildpacks.project.metadata", export.project_label),
    ];
    let buildpacks = export.metadata.labels.iter();
    let buildpacks = buildpacks.map(|label| (label.key.as_str(), label.value.as_str()));
    let exec_env = export
        .exec_env
        .map(|exec_env| ("io.buildpacks.exec-env", exec_env));
    let all = own.into_iter().chain(buildpacks).chain(exec_env);
    all.fold(config, |config, (key, value)| {
        log.info(format_args!("Adding label '{key}'"));
        config.with_label(key, value)
    })
}

fn environment(export: &Export<'_>, config: Config, log: &Log) -> Config {
    let (layers_dir, app_dir) = (export.layers_dir.display(), export.app_dir.display());
    let variables = [
        ("CNB_LAYERS_DIR", layers_dir.to_string()),
        ("CNB_APP_DIR", app_dir.to_string()),
        ("CNB_PLATFORM_API", export.platform_api.to_owned()),
        ("CNB_DEPRECATION_MODE", "quiet".to_owned()),
    ];
    let config = variables.into_iter().fold(config, |config, (name, value)| {
        log.debug(format_args!("Setting {name}={value}"));
        config.with_env(name, &value)
    });
    log.debug(format_args!(
        "Prepending {PROCESSES} and {LIFECYCLE} to PATH"
    ));
    let path = config.env_var("PATH").unwrap_or_default();
    let path = format!("{PROCESSES}:{LIFECYCLE}:{path}");
    config.with_env("PATH", &path)
}

fn entrypoint(export: &Export<'_>, log: &Log) -> Result<String> {
    let buildpacks = Some(export.metadata.default_process_type.as_str());
    let buildpacks = buildpacks.filter(|default| !default.is_empty());
    if let Some(wanted) = export.default_process_type
        && export
            .metadata
            .processes
            .iter()
            .all(|process| process.r#type != wanted)
    {
        let cause = format!("tried to set {wanted} to default but it doesn't exist");
        return Err(Error::other(cause));
    }
    match export.default_process_type.or(buildpacks) {
        Some(default) => {
            log.info(format_args!("Setting default process type '{default}'"));
            Ok(format!("{PROCESSES}/{default}"))
        }
        None => {
            log.info("no default process type");
            Ok(LAUNCHER.to_owned())
        }
    }
}
