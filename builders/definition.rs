//! builder.toml.

use crate::invalid;
use crate::module::{MAX_DOCUMENT, Module};
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::order::{Order, Orders};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::value::{Table, Value};
use lifecycle_core::{file, toml};
use std::path::Path;

/// What makes a builder, platforms and lifecycle excepted.
pub(crate) struct Definition {
    pub(crate) description: String,
    /// In the definition's order.
    pub(crate) buildpacks: Vec<Module>,
    pub(crate) extensions: Vec<Module>,
    /// Every element has the version of a module here.
    pub(crate) orders: Orders,
    /// Run images with their mirrors: tables of `image` and `mirrors`.
    pub(crate) run_images: Vec<Table>,
}

impl Definition {
    /// Reads a builder.toml; modules are directories relative to it. `[build]` and `[lifecycle]` are for
    /// `pack builder create`, which looks build image and lifecycle up itself.
    ///
    /// # Errors
    /// A file is malformed, names what isn't there, or asks for what is not supported here.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = file::read(path, MAX_DOCUMENT)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).context(|| format!("read {}", path.display()))
    }

    fn parse(text: &str, directory: &Path) -> Result<Self> {
        let table = toml::parse(text)?;
        let known = [
            "description",
            "buildpacks",
            "extensions",
            "order",
            "order-extensions",
            "run",
            "build",
            "lifecycle",
        ];
        if let Some((key, _)) = table.iter().find(|(key, _)| !known.contains(key)) {
            return Err(invalid(format!("{key} is not supported")));
        }
        let build = table.get("build").and_then(Value::as_table);
        if build.is_some_and(|build| build.get("env").is_some()) {
            return Err(invalid("build.env is not supported"));
        }
        let buildpacks = modules(&table, "buildpacks", ModuleKind::Buildpack, directory)?;
        let extensions = modules(&table, "extensions", ModuleKind::Extension, directory)?;
        let mut orders = Orders::parse(text)?;
        resolve(&mut orders.buildpacks, &buildpacks).context(|| "order")?;
        resolve(&mut orders.extensions, &extensions).context(|| "order-extensions")?;
        for composite in &buildpacks {
            resolve(&mut composite.order()?, &buildpacks)
                .context(|| format!("order of {}", composite.id))?;
        }
        let run = table.get("run").and_then(Value::as_table);
        let run_images = tables(run.and_then(|run| run.get("images")))?;
        let run_images: Vec<Table> = run_images.cloned().collect();
        let named = |image: &Table| image.get("image").and_then(Value::as_str).is_some();
        if run_images.is_empty() || !run_images.iter().all(named) {
            return Err(invalid(
                "run.images: each needs an image, and one is required",
            ));
        }
        let description = table.get("description").and_then(Value::as_str);
        Ok(Self {
            description: description.unwrap_or_default().to_owned(),
            buildpacks,
            extensions,
            orders,
            run_images,
        })
    }
}

/// The tables of an optional list.
fn tables(list: Option<&Value>) -> Result<impl Iterator<Item = &Table>> {
    let items = match list {
        None => &[],
        Some(list) => list
            .as_array()
            .filter(|items| items.iter().all(|item| item.as_table().is_some()))
            .ok_or_else(|| invalid("a list of tables was expected"))?,
    };
    Ok(items.iter().filter_map(Value::as_table))
}

fn modules(table: &Table, key: &str, kind: ModuleKind, directory: &Path) -> Result<Vec<Module>> {
    tables(table.get(key))
        .context(|| key.to_owned())?
        .map(|module| {
            let uri = module.get("uri").and_then(Value::as_str);
            let uri = uri.ok_or_else(|| invalid(format!("{key}: no uri")))?;
            if uri.contains("://") {
                return Err(invalid(format!("{key}: {uri} is not a directory")));
            }
            Module::read(kind, &directory.join(uri))
        })
        .collect()
}

/// Gives every element of an order the version of its module, and refuses elements that are not there.
fn resolve(order: &mut Order, modules: &[Module]) -> Result<()> {
    for element in order.iter_mut().flatten() {
        let mut versions = modules
            .iter()
            .filter(|module| module.id == element.id)
            .map(|module| &module.version);
        let found = match element.version.as_str() {
            "" => versions.next().filter(|_| versions.next().is_none()),
            version => versions.find(|other| *other == version),
        };
        element.version = found
            .ok_or_else(|| {
                let (id, version) = (&element.id, &element.version);
                invalid(format!("no module {id} of version '{version}', or several"))
            })?
            .clone();
    }
    Ok(())
}
