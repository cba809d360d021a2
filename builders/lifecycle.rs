//! The lifecycle of a builder, from a release archive.

use crate::invalid;
use crate::module::Module;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::toml;
use lifecycle_core::value::{Table, Value};
use release::archive::{self, Archive};
use release::files::{Content, Entry, Files};
use std::path::Path;

/// A lifecycle.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    /// Its files at their place in a builder.
    pub(crate) files: Files,
    /// lifecycle.toml.
    descriptor: Table,
}

impl Lifecycle {
    /// Reads a release archive.
    ///
    /// # Errors
    /// It cannot be read, or its lifecycle.toml is malformed.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let Archive {
            descriptor,
            binaries,
        } = archive::read(path)?;
        let mut files = binaries.below("cnb/lifecycle");
        // Where lifecycles were before the specification named a place.
        let link = Content::Link("/cnb/lifecycle".to_owned());
        files.insert("lifecycle", Entry::new(link));
        let descriptor =
            toml::parse(&descriptor).context(|| format!("lifecycle.toml in {}", path.display()))?;
        Ok(Self { files, descriptor })
    }

    /// The element `lifecycle` in the label `io.buildpacks.builder.metadata`.
    pub(crate) fn info(&self) -> Table {
        let get = |key: &str| self.descriptor.get(key).cloned();
        let version = self
            .table("lifecycle")
            .and_then(|table| table.get("version").cloned());
        Table::new()
            .with_some("version", version)
            .with_some("api", get("api"))
            .with_some("apis", get("apis"))
    }

    /// Makes sure that this lifecycle can run a module.
    ///
    /// # Errors
    /// It does not support the module's Buildpack API.
    pub(crate) fn check(&self, module: &Module) -> Result<()> {
        let supported = self.table("apis").and_then(|apis| {
            let buildpack = apis.get("buildpack")?.as_table()?;
            buildpack.get("supported")?.as_array()
        });
        let supported = supported.unwrap_or_default();
        match supported
            .iter()
            .any(|api| api.as_str() == Some(&module.api))
        {
            true => Ok(()),
            false => Err(invalid(format!(
                "{} has Buildpack API '{}', which the lifecycle does not support",
                module.id, module.api
            ))),
        }
    }

    fn table(&self, key: &str) -> Option<&Table> {
        self.descriptor.get(key).and_then(Value::as_table)
    }
}
