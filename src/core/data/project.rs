//! project-metadata.toml and its label.

use super::decode::from_toml;
use crate::error::Result;
use crate::json;
use crate::value::{Table, Value};

/// project-metadata.toml: where the source code came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectMetadata {
    /// `[source]`.
    pub source: Option<ProjectSource>,
}

/// `[source]` of project-metadata.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectSource {
    /// The kind of source, e.g. `git`.
    pub r#type: String,
    /// Free data.
    pub version: Option<Table>,
    /// Free data.
    pub metadata: Option<Table>,
}

impl ProjectMetadata {
    /// Reads project-metadata.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let source = root.table("source", |source| {
                Ok(ProjectSource {
                    r#type: source.text_or_empty("type")?,
                    version: source.map("version")?,
                    metadata: source.map("metadata")?,
                })
            })?;
            Ok(Self { source })
        })
    }

    /// The JSON of the label `io.buildpacks.project.metadata`.
    pub fn to_json(&self) -> String {
        let filled = |map: &Option<Table>| map.clone().filter(|map| !map.is_empty());
        let source = self.source.as_ref().map(|source| {
            Table::new()
                .with_some(
                    "type",
                    Some(source.r#type.as_str()).filter(|text| !text.is_empty()),
                )
                .with_some("version", filled(&source.version))
                .with_some("metadata", filled(&source.metadata))
        });
        json::to_string(&Value::Table(Table::new().with_some("source", source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_leaves_out_what_is_empty() {
        for (text, json) in [
            ("", "{}"),
            ("[source]", r#"{"source":{}}"#),
            (
                "[source]\ntype = 'git'\n[source.version]\ncommit = 'a'\n[source.metadata]\nb = 1\na = [1.5]",
                r#"{"source":{"type":"git","version":{"commit":"a"},"metadata":{"a":[1.5],"b":1}}}"#,
            ),
            ("[source]\nversion = 1\nmetadata = {}", r#"{"source":{}}"#),
        ] {
            assert_eq!(
                ProjectMetadata::parse(text).unwrap().to_json(),
                json,
                "{text}"
            );
        }
    }
}
