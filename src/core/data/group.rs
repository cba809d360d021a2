//! group.toml: the modules that passed detection, in order.

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use crate::api::{BuildpackApi, VersionError};
use crate::error::{Error, ErrorKind, Result};
use crate::toml;
use crate::value::Table;

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
        verify_api(&self.api, self.kind.title(), &self.full_name())
    }

    /// One element of group.toml or of the lists in metadata.toml.
    pub(super) fn read(fields: &Fields<'_>, kind: ModuleKind) -> Result<Self> {
        Ok(Self {
            kind,
            id: fields.text_or_empty("id")?,
            version: fields.text_or_empty("version")?,
            api: fields.text_or_empty("api")?,
            homepage: fields.non_empty_text("homepage")?,
            optional: kind == ModuleKind::Extension,
        })
    }

    /// Id, version, api and homepage.
    pub(super) fn to_table(&self) -> Table {
        Table::new()
            .with("id", self.id.as_str())
            .with("version", self.version.as_str())
            .with_some("api", Some(self.api.as_str()).filter(|api| !api.is_empty()))
            .with_some("homepage", self.homepage.as_deref())
    }
}

/// The Buildpack API `text` that a module declares. Messages call the module `kind` `name`: the phases say
/// `Buildpack 'id@version'`, the launcher says `buildpack 'id'` (FACTS 1.3).
///
/// # Errors
/// Kind `BuildpackApi` if the text is malformed or the version unsupported.
pub fn verify_api(text: &str, kind: &str, name: &str) -> Result<BuildpackApi> {
    BuildpackApi::parse(text).map_err(|error| {
        let cause = match error {
            // The reference prints a nil pointer in place of the text; platforms have seen nothing else.
            VersionError::Malformed => format!(
                "failed to parse buildpack API '<nil>' for {} '{name}'",
                kind.to_ascii_lowercase()
            ),
            VersionError::Unsupported => format!(
                "failed to set API for {kind} '{name}': buildpack API version '{text}' is incompatible with the lifecycle"
            ),
        };
        Error::new(ErrorKind::BuildpackApi, cause)
    })
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
        from_toml(text, |root| {
            let list =
                |key, kind| root.tables_or_empty(key, |element| GroupElement::read(element, kind));
            Ok(Self {
                buildpacks: list("group", ModuleKind::Buildpack)?,
                extensions: list("group-extensions", ModuleKind::Extension)?,
            })
        })
    }

    /// group.toml: id, version, api and homepage of each element.
    pub fn to_toml(&self) -> String {
        let list = |elements: &[GroupElement]| {
            let tables: Vec<_> = elements.iter().map(GroupElement::to_table).collect();
            Some(tables).filter(|tables| !tables.is_empty())
        };
        let document = Table::new()
            .with_some("group", list(&self.buildpacks))
            .with_some("group-extensions", list(&self.extensions));
        toml::to_string(&document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_api(api: &str, expected: std::result::Result<BuildpackApi, &str>) {
        let element = GroupElement {
            kind: ModuleKind::Extension,
            id: "a/b".into(),
            version: "1".into(),
            api: api.into(),
            homepage: None,
            optional: true,
        };
        let result = element.buildpack_api();
        assert!(
            result
                .as_ref()
                .err()
                .is_none_or(|error| error.kind() == ErrorKind::BuildpackApi)
        );
        assert_eq!(
            result.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn apis_are_verified_in_the_contracts_words() {
        check_api("0.10", Ok(BuildpackApi::V0_10));
        check_api(
            "abc",
            Err("failed to parse buildpack API '<nil>' for extension 'a/b@1'"),
        );
        check_api(
            "0.6",
            Err(
                "failed to set API for Extension 'a/b@1': buildpack API version '0.6' is incompatible with the lifecycle",
            ),
        );
        assert_eq!(
            verify_api("0.5", "buildpack", "old")
                .unwrap_err()
                .to_string(),
            "failed to set API for buildpack 'old': buildpack API version '0.5' is incompatible with the lifecycle"
        );
    }

    #[test]
    fn groups_keep_what_they_need() {
        let text = r#"[[group]]
  id = "a/b"
  version = "1"
  api = "0.10"
  homepage = "h"

[[group]]
  id = "c"
  version = ""

[[group-extensions]]
  id = "e"
  version = "2"
  api = "0.9"
"#;
        let group = Group::parse(text).unwrap();
        assert_eq!(group.to_toml(), text);
        assert_eq!(group.buildpacks[0].escaped_id(), "a_b");
        assert_eq!(group.extensions[0].kind, ModuleKind::Extension);
        assert!(group.extensions[0].optional);
        assert_eq!(Group::default().to_toml(), "");
        let read = Group::parse("[[group]]\nid = 'a'\noptional = true\nextension = false").unwrap();
        assert_eq!(
            read.to_toml(),
            "[[group]]\n  id = \"a\"\n  version = \"\"\n"
        );
    }
}
