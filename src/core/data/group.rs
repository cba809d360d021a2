//! group.toml: the modules that passed detection, in order.

use super::ModuleKind;
use crate::api::BuildpackApi;
use crate::error::Result;

/// A module of the group, as group.toml names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupElement {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The module's id.
    pub id: String,
    /// The module's version.
    pub version: String,
    /// The Buildpack API as written; [`GroupElement::buildpack_api`] verifies it.
    pub api: String,
    /// The module's homepage.
    pub homepage: Option<String>,
    /// Whether the group may pass without it; known during detection only, never written.
    pub optional: bool,
}

/// The modules that passed detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `[[group]]`.
    pub buildpacks: Vec<GroupElement>,
    /// `[[group-extensions]]`.
    pub extensions: Vec<GroupElement>,
}

impl GroupElement {
    /// `id@version`.
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// The directory name for this module: its id with `/` as `_`.
    pub fn escaped_id(&self) -> String {
        escape_id(&self.id)
    }

    /// The module's Buildpack API.
    ///
    /// # Errors
    /// Kind `BuildpackApi`, with the contract's text (FACTS 1.3), if it is malformed or unsupported.
    pub fn buildpack_api(&self) -> Result<BuildpackApi> {
        todo!()
    }
}

/// A module id as a directory name: `/` becomes `_`.
pub fn escape_id(id: &str) -> String {
    id.replace('/', "_")
}

impl Group {
    /// Reads group.toml. Every element of `[[group-extensions]]` is an extension.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// group.toml: id, version, api and homepage of each element.
    pub fn to_toml(&self) -> String {
        todo!()
    }
}
