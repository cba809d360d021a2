//! system.toml: system buildpacks (Platform API 0.15).

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use super::order::OrderElement;
use crate::error::Result;

/// Buildpacks that the operator puts before and after every group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// `[system.pre]`.
    pub pre: Vec<OrderElement>,
    /// `[system.post]`.
    pub post: Vec<OrderElement>,
}

impl System {
    /// Reads system.toml. `optional` is honoured (spec/decisions.md).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let system = root.table("system", |system| {
                Ok(Self {
                    pre: read_list(system, "pre")?,
                    post: read_list(system, "post")?,
                })
            })?;
            Ok(system.unwrap_or_default())
        })
    }
}

fn read_list(system: &Fields<'_>, position: &str) -> Result<Vec<OrderElement>> {
    let list = system.table(position, |list| {
        list.tables_or_empty("buildpacks", |element| {
            OrderElement::read(element, ModuleKind::Buildpack)
        })
    })?;
    Ok(list.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_is_honoured() {
        let text = r#"
            [[system.pre.buildpacks]]
            id = "a"
            version = "1"
            [[system.post.buildpacks]]
            id = "b"
            version = "2"
            optional = true
        "#;
        let system = System::parse(text).unwrap();
        let summary = |list: &[OrderElement]| {
            list.iter()
                .map(|element| (element.id.clone(), element.optional))
                .collect::<Vec<_>>()
        };
        assert_eq!(summary(&system.pre), [("a".into(), false)]);
        assert_eq!(summary(&system.post), [("b".into(), true)]);
        assert_eq!(System::parse("").unwrap(), System::default());
    }
}
