//! Images as the daemon describes them. It does not hand out configurations, so the configuration is rebuilt from the
//! description with the parts that the reference takes over: other parts would change the image's id (FACTS 4.4).

use crate::image::Image;
use crate::layer::{BlobSource, Layer, LayerSource};
use crate::oci::{Config, Descriptor, DiffId, Digest, History, ManifestKind};
use bollard::models::{HealthConfig, ImageConfig, ImageHistoryResponseItem, ImageInspect};
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::time::rfc3339;
use lifecycle_core::value::{Table, Value};
use std::sync::Arc;

/// The image's id, in hexadecimal digits.
///
/// # Errors
/// Kind `Corrupt`: there is none.
pub(super) fn id(inspect: &ImageInspect) -> Result<String> {
    let id = inspect.id.as_deref().unwrap_or_default();
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    match hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(hex.to_owned()),
        false => Err(Error::new(
            ErrorKind::Corrupt,
            format!("the daemon names the image '{id}'"),
        )),
    }
}

/// The layers' diffIDs, bottom first.
///
/// # Errors
/// Kind `Corrupt`: one is not a digest.
pub(super) fn diff_ids(inspect: &ImageInspect) -> Result<Vec<DiffId>> {
    let root_fs = inspect.root_fs.as_ref();
    let layers = root_fs.and_then(|root_fs| root_fs.layers.as_deref());
    let layers = layers.unwrap_or_default().iter();
    layers.map(|layer| DiffId::parse(layer)).collect()
}

/// The image, whose layers come from `blobs`.
///
/// # Errors
/// Kind `Corrupt`: the description makes no sense.
pub(super) fn image(
    inspect: &ImageInspect,
    history: &[ImageHistoryResponseItem],
    blobs: &Arc<dyn BlobSource>,
) -> Result<Image> {
    let diff_ids = diff_ids(inspect)?;
    let entries = history.iter().rev().map(|entry| History {
        created: rfc3339(entry.created),
        created_by: entry.created_by.clone(),
        comment: entry.comment.clone(),
        ..History::default()
    });
    let history = History::per_layer(entries.collect(), diff_ids.len());
    let layers = diff_ids.into_iter().zip(history);
    let layers = layers.map(|(diff_id, history)| Layer {
        diff_id,
        history,
        source: LayerSource::Stored {
            descriptor: descriptor(diff_id, 0),
            blobs: Arc::clone(blobs),
        },
    });
    Ok(Image::new(ManifestKind::Docker, config(inspect)).append(layers))
}

/// Names a layer's tar. The daemon does not tell sizes: 0 stands for an unknown one.
pub(super) fn descriptor(diff_id: DiffId, size: u64) -> Descriptor {
    Descriptor {
        media_type: ManifestKind::Oci.plain_layer().to_owned(),
        digest: Digest::from_bytes(diff_id.bytes()),
        size,
        extra: Table::new(),
    }
}

/// The configuration, without layers and history.
pub(super) fn config(inspect: &ImageInspect) -> Config {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let config = Config::default()
        .with_platform(
            &text(&inspect.os),
            &text(&inspect.architecture),
            &text(&inspect.variant),
            &text(&inspect.os_version),
        )
        .with_author(&text(&inspect.author))
        .with_created(&text(&inspect.created));
    match &inspect.config {
        Some(runtime) => runtime_of(runtime)
            .into_iter()
            .fold(config, |config, (key, value)| {
                config.with_runtime(key, value)
            }),
        None => config,
    }
}

fn runtime_of(config: &ImageConfig) -> Vec<(&'static str, Value)> {
    let set = |keys: &Option<Vec<String>>| {
        let keys = keys
            .iter()
            .flatten()
            .map(|key| (key.clone(), Table::new().into()));
        Value::Table(keys.collect())
    };
    let labels = config.labels.iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    let labels = Value::Table(labels.collect()).sorted();
    vec![
        ("Cmd", texts(config.cmd.as_ref())),
        (
            "Healthcheck",
            config.healthcheck.as_ref().map_or(Value::Null, healthcheck),
        ),
        ("Entrypoint", texts(config.entrypoint.as_ref())),
        ("Env", texts(config.env.as_ref())),
        ("Labels", labels),
        ("OnBuild", texts(config.on_build.as_ref())),
        ("User", text(config.user.as_ref())),
        ("Volumes", set(&config.volumes)),
        ("WorkingDir", text(config.working_dir.as_ref())),
        ("ExposedPorts", set(&config.exposed_ports)),
        ("StopSignal", text(config.stop_signal.as_ref())),
        ("Shell", texts(config.shell.as_ref())),
    ]
}

fn texts(values: Option<&Vec<String>>) -> Value {
    values.map_or(Value::Null, |values| values.clone().into())
}

fn text(value: Option<&String>) -> Value {
    value.map_or(Value::Null, |value| value.as_str().into())
}

fn healthcheck(check: &HealthConfig) -> Value {
    let number = |number: Option<i64>| number.filter(|number| *number != 0);
    let test = check.test.clone().filter(|test| !test.is_empty());
    let table = Table::new()
        .with_some("Test", test)
        .with_some("Interval", number(check.interval))
        .with_some("Timeout", number(check.timeout))
        .with_some("StartPeriod", number(check.start_period))
        .with_some("Retries", number(check.retries));
    Value::Table(table)
}

/// What of an image differs from what was meant; `None` if nothing that matters does.
pub(super) fn difference(meant: &Image, found: &ImageInspect) -> Result<Option<String>> {
    let (meant_ids, found_ids) = (
        meant
            .layers
            .iter()
            .map(|layer| layer.diff_id)
            .collect::<Vec<_>>(),
        diff_ids(found)?,
    );
    if meant_ids != found_ids {
        let differs = meant_ids.iter().zip(&found_ids).position(|(a, b)| a != b);
        let at = differs.unwrap_or_else(|| meant_ids.len().min(found_ids.len()));
        return Ok(Some(format!(
            "{} layers were sent and {} are there, and layer {at} is another one",
            meant_ids.len(),
            found_ids.len()
        )));
    }
    let found = config(found);
    let parts = [
        ("os", meant.config.os() == found.os()),
        (
            "architecture",
            meant.config.architecture() == found.architecture(),
        ),
        ("labels", meant.config.labels() == found.labels()),
        ("environment", meant.config.env().eq(found.env())),
        (
            "entrypoint",
            meant.config.entrypoint() == found.entrypoint(),
        ),
        (
            "working directory",
            meant.config.working_dir() == found.working_dir(),
        ),
        ("user", meant.config.user() == found.user()),
    ];
    let differs = parts.into_iter().find(|(_, same)| !same);
    Ok(differs.map(|(part, _)| format!("it differs in {part}")))
}
