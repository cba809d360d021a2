//! project-metadata.toml and its label.

use crate::error::Result;
use crate::value::Table;

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
        let _ = text;
        todo!()
    }

    /// The JSON of the label `io.buildpacks.project.metadata`.
    pub fn to_json(&self) -> String {
        todo!()
    }
}
