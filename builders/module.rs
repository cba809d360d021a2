//! Buildpacks and extensions from directories.

use crate::invalid;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::descriptor::Descriptor;
use lifecycle_core::data::order::Order;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file;
use lifecycle_core::toml;
use lifecycle_core::value::{Table, Value};
use release::files::Files;
use std::path::{Path, PathBuf};

/// The largest builder.toml or buildpack.toml that is read, in bytes.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// A buildpack or extension.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) kind: ModuleKind,
    pub(crate) id: String,
    pub(crate) version: String,
    /// The Buildpack API that it declares.
    pub(crate) api: String,
    /// buildpack.toml or extension.toml.
    text: String,
    directory: PathBuf,
}

impl Module {
    /// Reads the module in `directory`.
    ///
    /// # Errors
    /// Its descriptor is missing or malformed, or id or version cannot be the name of a directory.
    pub(crate) fn read(kind: ModuleKind, directory: &Path) -> Result<Self> {
        let path = directory.join(match kind {
            ModuleKind::Buildpack => "buildpack.toml",
            ModuleKind::Extension => "extension.toml",
        });
        let text = file::read(&path, MAX_DOCUMENT)?;
        let descriptor =
            Descriptor::parse(&text, kind).context(|| format!("read {}", path.display()))?;
        let module = Self {
            kind,
            id: descriptor.id,
            version: descriptor.version,
            api: descriptor.api,
            text,
            directory: directory.to_owned(),
        };
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('/');
        if is_name(&module.directory_name()) && is_name(&module.version) {
            Ok(module)
        } else {
            let cause = format!("{}: id or version is unusable", path.display());
            Err(invalid(cause))
        }
    }

    /// The order of a composite buildpack, else an empty one.
    ///
    /// # Errors
    /// None that [`Module::read`] had not.
    pub(crate) fn order(&self) -> Result<Order> {
        Ok(Descriptor::parse(&self.text, self.kind)?.order)
    }

    /// The module's files at their place in a builder (platform.md, "Buildpacks directory layout").
    ///
    /// # Errors
    /// The directory cannot be read, or holds what a layer cannot.
    pub(crate) fn files(&self) -> Result<Files> {
        let place = match self.kind {
            ModuleKind::Buildpack => "buildpacks",
            ModuleKind::Extension => "extensions",
        };
        let place = format!("cnb/{place}/{}/{}", self.directory_name(), self.version);
        let mut files = Files::default();
        files.insert_tree(&place, &self.directory)?;
        Ok(files)
    }

    fn directory_name(&self) -> String {
        self.id.replace('/', "_")
    }

    /// The element in the label `io.buildpacks.builder.metadata`.
    ///
    /// # Errors
    /// None that [`Module::read`] had not.
    pub(crate) fn info(&self) -> Result<Table> {
        let keys = [
            "id",
            "name",
            "version",
            "description",
            "homepage",
            "keywords",
            "exec-env",
            "licenses",
            "clear-env",
        ];
        let table = toml::parse(&self.text)?;
        Ok(pick(self.info_table(&table), &keys))
    }

    /// The element in the label with the modules' layers, for a layer of this diffID.
    ///
    /// # Errors
    /// None that [`Module::read`] had not.
    pub(crate) fn layer_info(&self, diff_id: &str) -> Result<Table> {
        let table = toml::parse(&self.text)?;
        let mut known = pick(Some(&table), &["api", "stacks", "targets", "order"]);
        if let Some(Value::Array(targets)) = known.remove("targets") {
            known.insert("targets", targets.iter().map(target).collect::<Vec<_>>());
        }
        let named = pick(self.info_table(&table), &["homepage", "name"]);
        let layer = known.with("layerDiffID", diff_id);
        Ok(named
            .iter()
            .fold(layer, |layer, (key, value)| layer.with(key, value.clone())))
    }

    fn info_table<'t>(&self, table: &'t Table) -> Option<&'t Table> {
        let key = match self.kind {
            ModuleKind::Buildpack => "buildpack",
            ModuleKind::Extension => "extension",
        };
        table.get(key)?.as_table()
    }
}

/// A target with the keys that platforms expect, empty or not.
fn target(target: &Value) -> Value {
    let mut target = target.as_table().cloned().unwrap_or_default();
    for key in ["os", "arch"] {
        if target.get(key).is_none() {
            target.insert(key, "");
        }
    }
    target.into()
}

/// The entries of `table` under `keys`, in their order.
fn pick(table: Option<&Table>, keys: &[&str]) -> Table {
    let entry = |key: &&str| Some(((*key).to_owned(), table?.get(key)?.clone()));
    let entries: Vec<(String, Value)> = keys.iter().filter_map(entry).collect();
    entries.into_iter().collect()
}
