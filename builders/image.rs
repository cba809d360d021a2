//! The builder image: layers over a build image, and the labels that platforms read (distribution.md; the same as
//! `pack builder create` writes).

use crate::definition::Definition;
use crate::invalid;
use crate::lifecycle::Lifecycle;
use crate::module::Module;
use lifecycle_core::data::order::{Order, OrderElement};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::time::rfc3339;
use lifecycle_core::value::{Table, Value};
use lifecycle_core::{json, toml};
use lifecycle_image::image::Image;
use lifecycle_image::layer::header::MTIME;
use lifecycle_image::layer::{Layer, Workers};
use lifecycle_image::oci::{Config, History};
use release::files::{Content, Entry, Files};
use std::path::Path;

/// Makes a builder over the build image `base`. `work` has to stay until the image was saved.
///
/// # Errors
/// The lifecycle does not support a module, a file cannot be read, or `base` does not say who the build's user is.
pub(crate) fn builder(
    base: Image,
    definition: &Definition,
    lifecycle: Lifecycle,
    work: &Path,
) -> Result<Image> {
    let created = rfc3339(MTIME);
    let workers = Workers::for_machine();
    let layer = |files: &Files, what: &str| {
        let history = History {
            created: created.clone(),
            created_by: what.to_owned(),
            ..History::default()
        };
        files.layer(history, work, &workers)
    };
    let mut layers = vec![
        layer(&directories(owner(&base.config)?), "Directories")?,
        layer(&lifecycle.files, "Lifecycle")?,
    ];
    let mut add_modules = |modules: &[Module]| -> Result<Table> {
        let mut by_id = Table::new();
        for module in modules {
            lifecycle.check(module)?;
            let name = format!("{}@{}", module.id, module.version);
            let layer: Layer = layer(&module.files()?, &name).context(|| name.clone())?;
            let info = module.layer_info(&layer.diff_id.to_string())?;
            let versions = by_id.get(&module.id).and_then(Value::as_table).cloned();
            let versions = versions.unwrap_or_default().with(&module.version, info);
            by_id.insert(&module.id, versions);
            layers.push(layer);
        }
        Ok(by_id)
    };
    let buildpacks = add_modules(&definition.buildpacks)?;
    let extensions = add_modules(&definition.extensions)?;
    layers.push(layer(&configuration(definition), "Order and run images")?);

    let orders = &definition.orders;
    let labels = [
        (
            "io.buildpacks.builder.metadata",
            metadata(definition, &lifecycle)?.into(),
        ),
        ("io.buildpacks.buildpack.layers", buildpacks.into()),
        ("io.buildpacks.extension.layers", extensions.into()),
        (
            "io.buildpacks.buildpack.order",
            order(&orders.buildpacks).into(),
        ),
        (
            "io.buildpacks.buildpack.order-extensions",
            order(&orders.extensions).into(),
        ),
    ];
    let config = labels.iter().fold(
        base.config.clone().with_working_dir("/layers"),
        |config: Config, (key, value): &(&str, Value)| {
            config.with_label(key, &json::to_string(&value.clone().sorted()))
        },
    );
    Ok(base
        .with_config(config.with_created(&created))
        .append(layers))
}

/// User and group of the build (platform.md, "Build Image").
fn owner(config: &Config) -> Result<(u32, u32)> {
    let id = |name| {
        let id = config.env_var(name).and_then(|id| id.parse().ok());
        id.ok_or_else(|| invalid(format!("the build image does not set {name} to a number")))
    };
    Ok((id("CNB_USER_ID")?, id("CNB_GROUP_ID")?))
}

/// The directories of every build, those that buildpacks write to owned by the build's user.
fn directories(owner: (u32, u32)) -> Files {
    let mut files = Files::default();
    for path in ["workspace", "layers"] {
        let entry = Entry {
            owner,
            ..Entry::new(Content::Directory)
        };
        files.insert(path, entry);
    }
    for path in [
        "cnb/buildpacks",
        "cnb/extensions",
        "cnb/build-config/env",
        "platform/env",
    ] {
        files.insert(path, Entry::new(Content::Directory));
    }
    files
}

/// What the phases read in `/cnb`. stack.toml is run.toml's first image for Platform APIs before 0.12.
fn configuration(definition: &Definition) -> Files {
    let Definition {
        orders, run_images, ..
    } = definition;
    let order_toml = Table::new()
        .with("order", order(&orders.buildpacks))
        .with_some(
            "order-extensions",
            Some(order(&orders.extensions)).filter(|order| !order.is_empty()),
        );
    let run_toml = Table::new().with("images", run_images.clone());
    let stack_toml = Table::new().with_some("run-image", run_images.first().cloned());
    let mut files = Files::default();
    for (path, document) in [
        ("cnb/order.toml", order_toml),
        ("cnb/run.toml", run_toml),
        ("cnb/stack.toml", stack_toml),
    ] {
        let content = Content::Bytes(toml::to_string(&document).into_bytes());
        files.insert(path, Entry::new(content));
    }
    files
}

/// An order in the form that order.toml and labels share. Extensions are optional without saying so.
fn order(order: &Order) -> Vec<Table> {
    let element = |element: &OrderElement| {
        let optional =
            element.optional && element.kind == lifecycle_core::data::ModuleKind::Buildpack;
        Table::new()
            .with("id", element.id.as_str())
            .with("version", element.version.as_str())
            .with_some("optional", optional.then_some(true))
    };
    let group = |group: &Vec<OrderElement>| {
        Table::new().with("group", group.iter().map(element).collect::<Vec<_>>())
    };
    order.iter().map(group).collect()
}

/// The label `io.buildpacks.builder.metadata`.
fn metadata(definition: &Definition, lifecycle: &Lifecycle) -> Result<Table> {
    let infos = |modules: &[Module]| modules.iter().map(Module::info).collect::<Result<Vec<_>>>();
    let images: Vec<Table> = definition
        .run_images
        .iter()
        .map(|image| {
            // Platforms expect the list of mirrors, empty or not.
            let mirrors = image.get("mirrors").cloned();
            image
                .clone()
                .with("mirrors", mirrors.unwrap_or(Value::Array(Vec::new())))
        })
        .collect();
    let creator = Table::new()
        .with("name", "builder-image")
        .with("version", env!("CARGO_PKG_VERSION"));
    Ok(Table::new()
        .with("description", definition.description.as_str())
        .with("buildpacks", infos(&definition.buildpacks)?)
        .with("extensions", infos(&definition.extensions)?)
        .with(
            "stack",
            Table::new().with_some("runImage", images.first().cloned()),
        )
        .with("lifecycle", lifecycle.info())
        .with("createdBy", creator)
        .with("images", images))
}
