//! Build plans: what detection contributes, plan.toml, and the plan each module gets.

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use crate::error::Result;
use crate::toml;
use crate::value::Table;

/// A requirement: a dependency by name, with what the requirer says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Require {
    /// The dependency's name.
    pub name: String,
    /// The deprecated top-level version (refused in contributions of detection).
    pub version: Option<String>,
    /// Free data for the provider.
    pub metadata: Option<Table>,
}

/// One alternative of a module's contribution to the build plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanSections {
    /// What the module needs.
    pub requires: Vec<Require>,
    /// Names of what the module offers.
    pub provides: Vec<String>,
}

/// What one module's `bin/detect` wrote: its main sections, then each `[[or]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildPlan {
    /// Alternatives in order of preference; the first is the main one. Never empty once parsed.
    pub options: Vec<PlanSections>,
}

impl Require {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.text_or_empty("name")?,
            version: fields.non_empty_text("version")?,
            metadata: fields.map("metadata")?,
        })
    }

    fn to_table(&self) -> Table {
        Table::new()
            .with("name", self.name.as_str())
            .with_some("version", self.version.as_deref())
            .with_some("metadata", self.metadata.clone())
    }
}

impl PlanSections {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            requires: fields.tables_or_empty("requires", Require::read)?,
            provides: fields
                .tables_or_empty("provides", |provide| provide.text_or_empty("name"))?,
        })
    }
}

impl BuildPlan {
    /// Reads a contribution of detection.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let mut options = vec![PlanSections::read(root)?];
            options.extend(root.tables_or_empty("or", PlanSections::read)?);
            Ok(Self { options })
        })
    }
}

/// A provider in plan.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The module's id.
    pub id: String,
    /// The module's version.
    pub version: String,
}

/// One dependency of plan.toml: who may provide it, and everything that is required of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanEntry {
    /// Modules that offer it.
    pub providers: Vec<Provider>,
    /// Requirements for it, all of one name.
    pub requires: Vec<Require>,
}

/// plan.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The entries in the order in which detection met their names.
    pub entries: Vec<PlanEntry>,
}

impl Plan {
    /// Reads plan.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let entries = root.tables_or_empty("entries", |entry| {
                Ok(PlanEntry {
                    providers: entry.tables_or_empty("providers", Provider::read)?,
                    requires: entry.tables_or_empty("requires", Require::read)?,
                })
            })?;
            Ok(Self { entries })
        })
    }

    /// plan.toml; an empty plan is an empty file.
    pub fn to_toml(&self) -> String {
        let entries = self.entries.iter().map(|entry| {
            Table::new()
                .with_some(
                    "providers",
                    tables(entry.providers.iter().map(Provider::to_table)),
                )
                .with_some(
                    "requires",
                    tables(entry.requires.iter().map(Require::to_table)),
                )
        });
        toml::to_string(&Table::new().with_some("entries", tables(entries)))
    }

    /// The requirements that the module `id` of `kind` may meet: its buildpack plan.
    pub fn for_module(&self, kind: ModuleKind, id: &str) -> BuildpackPlan {
        let provided = |entry: &&PlanEntry| {
            entry
                .providers
                .iter()
                .any(|provider| provider.kind == kind && provider.id == id)
        };
        let requires = self
            .entries
            .iter()
            .filter(provided)
            .flat_map(|entry| &entry.requires);
        BuildpackPlan {
            entries: requires.cloned().collect(),
        }
    }

    /// This plan without the entries that require any of `names`.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let met = |entry: &&PlanEntry| {
            entry
                .requires
                .iter()
                .any(|require| names.contains(&require.name))
        };
        Self {
            entries: self
                .entries
                .iter()
                .filter(|entry| !met(entry))
                .cloned()
                .collect(),
        }
    }
}

/// The plan given to one module's `bin/build` or `bin/generate`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildpackPlan {
    /// Requirements, in plan order.
    pub entries: Vec<Require>,
}

impl BuildpackPlan {
    /// The TOML form, `[[entries]]` with name, version and metadata.
    pub fn to_toml(&self) -> String {
        let entries = tables(self.entries.iter().map(Require::to_table));
        toml::to_string(&Table::new().with_some("entries", entries))
    }
}

impl Provider {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let kind = if fields.flag("extension")? {
            ModuleKind::Extension
        } else {
            ModuleKind::Buildpack
        };
        Ok(Self {
            kind,
            id: fields.text_or_empty("id")?,
            version: fields.text_or_empty("version")?,
        })
    }

    fn to_table(&self) -> Table {
        Table::new()
            .with("id", self.id.as_str())
            .with("version", self.version.as_str())
            .with_some(
                "extension",
                (self.kind == ModuleKind::Extension).then_some(true),
            )
    }
}

/// A list of tables; none at all instead of an empty one.
fn tables(tables: impl Iterator<Item = Table>) -> Option<Vec<Table>> {
    Some(tables.collect::<Vec<_>>()).filter(|tables| !tables.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FACTS D.3.
    const PLAN: &str = r#"[[entries]]

  [[entries.providers]]
    id = "a"
    version = "1"

  [[entries.providers]]
    id = "e"
    version = "1"
    extension = true

  [[entries.requires]]
    name = "n"
    [entries.requires.metadata]
      version = "1"
      [entries.requires.metadata.t]
        z = 1

  [[entries.requires]]
    name = "n"
"#;

    #[test]
    fn plans_are_read_and_written() {
        let plan = Plan::parse(PLAN).unwrap();
        assert_eq!(plan.to_toml(), PLAN);
        assert_eq!(Plan::default().to_toml(), "");
        assert_eq!(plan.without(&["n".into()]), Plan::default());
        assert_eq!(plan.without(&["other".into()]), plan);
    }

    #[test]
    fn modules_get_their_entries() {
        let plan = Plan::parse(PLAN).unwrap();
        for (kind, id, entries) in [
            (ModuleKind::Buildpack, "a", 2),
            (ModuleKind::Extension, "e", 2),
            (ModuleKind::Buildpack, "e", 0),
        ] {
            assert_eq!(plan.for_module(kind, id).entries.len(), entries, "{id}");
        }
        assert_eq!(
            plan.for_module(ModuleKind::Buildpack, "a").to_toml(),
            "[[entries]]\n  name = \"n\"\n  [entries.metadata]\n    version = \"1\"\n    [entries.metadata.t]\n      z = 1\n\n[[entries]]\n  name = \"n\"\n"
        );
    }

    #[test]
    fn contributions_have_a_main_option_first() {
        let text = "[[provides]]\nname = 'a'\n[[or]]\n[[or.requires]]\nname = 'b'\nversion = '1'\nmetadata = 3\n[[or]]";
        let plan = BuildPlan::parse(text).unwrap();
        let require = Require {
            name: "b".into(),
            version: Some("1".into()),
            metadata: None,
        };
        assert_eq!(
            plan.options,
            [
                PlanSections {
                    provides: vec!["a".into()],
                    requires: vec![]
                },
                PlanSections {
                    provides: vec![],
                    requires: vec![require]
                },
                PlanSections::default(),
            ]
        );
        assert_eq!(BuildPlan::parse("").unwrap().options.len(), 1);
        assert!(BuildPlan::parse("provides = ['a']").is_err());
    }
}
