//! order.toml: candidates of detection (platform.md, order.toml).

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use crate::error::Result;

/// One element of an order's group: a buildpack (component or composite) or an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderElement {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The module's id.
    pub id: String,
    /// The module's version.
    pub version: String,
    /// Whether the group may pass without it. Always true for extensions.
    pub optional: bool,
    /// Execution environments of this element (Buildpack API 0.12); empty means all.
    pub exec_env: Vec<String>,
}

/// Groups in the order in which they are tried.
pub type Order = Vec<Vec<OrderElement>>;

/// order.toml: the order of buildpacks and the order of extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// `[[order]]`.
    pub buildpacks: Order,
    /// `[[order-extensions]]`; every element is optional.
    pub extensions: Order,
}

impl Orders {
    /// Reads order.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            Ok(Self {
                buildpacks: read_order(root, "order", ModuleKind::Buildpack)?,
                extensions: read_order(root, "order-extensions", ModuleKind::Extension)?,
            })
        })
    }
}

/// The order under `key`. Elements of extensions are optional whatever they say.
pub(super) fn read_order(root: &Fields<'_>, key: &str, kind: ModuleKind) -> Result<Order> {
    root.tables_or_empty(key, |group| {
        group.tables_or_empty("group", |element| OrderElement::read(element, kind))
    })
}

impl OrderElement {
    /// One element as order.toml, buildpack.toml and system.toml have it.
    pub(super) fn read(fields: &Fields<'_>, kind: ModuleKind) -> Result<Self> {
        Ok(Self {
            kind,
            id: fields.text_or_empty("id")?,
            version: fields.text_or_empty("version")?,
            optional: fields.flag("optional")? || kind == ModuleKind::Extension,
            exec_env: fields.exec_env()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(kind: ModuleKind, id: &str, optional: bool, exec_env: &[&str]) -> OrderElement {
        OrderElement {
            kind,
            id: id.into(),
            version: "1".into(),
            optional,
            exec_env: exec_env.iter().map(|&name| name.into()).collect(),
        }
    }

    #[test]
    fn extensions_are_always_optional() {
        let text = r#"
            [[order]]
            [[order.Group]]
            ID = "a"
            version = "1"
            [[order.group]]
            id = "b"
            version = "1"
            optional = true
            exec-env = ["test", "production"]
            [[order]]
            group = [{ id = "c", version = "1", exec-env = [{ name = "test" }] }]
            [[order-extensions]]
            [[order-extensions.group]]
            id = "e"
            version = "1"
        "#;
        let orders = Orders::parse(text).unwrap();
        use ModuleKind::{Buildpack, Extension};
        assert_eq!(
            orders.buildpacks[1],
            [element(Buildpack, "c", false, &["test"])]
        );
        assert_eq!(orders.extensions, [[element(Extension, "e", true, &[])]]);
        // `order.Group` and `order.group` are two keys, and the exact one wins.
        assert_eq!(
            orders.buildpacks[0],
            [element(Buildpack, "b", true, &["test", "production"])]
        );
    }

    #[test]
    fn wrong_types_are_errors() {
        for (text, key, found, wanted) in [
            ("order = 1", "order", "int64", "slice"),
            ("order = [1]", "order", "int64", "table"),
            (
                "[[order]]\ngroup = [{ id = 1.5 }]",
                "order.group.id",
                "float64",
                "string",
            ),
            (
                "[[order]]\ngroup = [{ optional = \"x\" }]",
                "order.group.optional",
                "string",
                "boolean",
            ),
        ] {
            assert_eq!(
                Orders::parse(text).unwrap_err().to_string(),
                format!(
                    "toml: key {key:?}: incompatible types: TOML value has type {found}; destination has type {wanted}"
                )
            );
        }
    }
}
