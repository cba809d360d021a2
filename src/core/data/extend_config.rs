//! extend-config.toml of image extensions.

use super::decode::{Fields, from_toml};
use crate::error::{Error, Result, ResultExt};

/// A build argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendArg {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// extend-config.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendConfig {
    /// `[[build.args]]`.
    pub build: Vec<ExtendArg>,
    /// `[[run.args]]`.
    pub run: Vec<ExtendArg>,
}

impl ExtendConfig {
    /// Reads extend-config.toml.
    ///
    /// # Errors
    /// Malformed TOML, or an argument that the lifecycle sets itself (`build_id`, `user_id`, `group_id`).
    pub fn parse(text: &str) -> Result<Self> {
        let config = from_toml(text, |root| {
            Ok(Self {
                build: read_args(root, "build")?,
                run: read_args(root, "run")?,
            })
        })
        .context(|| "reading extend config")?;
        match config
            .build
            .iter()
            .chain(&config.run)
            .find(|arg| RESERVED.contains(&arg.name.as_str()))
        {
            Some(arg) => {
                let cause = format!(
                    "invalid content: arg with name \"{}\" is not allowed",
                    arg.name
                );
                Err(Error::other(cause).in_context("validating extend config"))
            }
            None => Ok(config),
        }
    }
}

/// Build arguments that the lifecycle sets itself.
const RESERVED: [&str; 3] = ["build_id", "user_id", "group_id"];

fn read_args(root: &Fields<'_>, kind: &str) -> Result<Vec<ExtendArg>> {
    let args = root.table(kind, |config| {
        config.tables_or_empty("args", |arg| {
            Ok(ExtendArg {
                name: arg.text_or_empty("name")?,
                value: arg.text_or_empty("value")?,
            })
        })
    })?;
    Ok(args.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused() {
        let config = ExtendConfig::parse("[[build.args]]\nname = 'a'\nvalue = 'b'").unwrap();
        assert_eq!(
            config.build,
            [ExtendArg {
                name: "a".into(),
                value: "b".into()
            }]
        );
        assert!(config.run.is_empty());
        for name in RESERVED {
            let error = ExtendConfig::parse(&format!("[[run.args]]\nname = '{name}'")).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "validating extend config: invalid content: arg with name \"{name}\" is not allowed"
                )
            );
        }
        assert!(
            ExtendConfig::parse("build = 1")
                .unwrap_err()
                .to_string()
                .starts_with("reading extend config: toml: ")
        );
    }
}
