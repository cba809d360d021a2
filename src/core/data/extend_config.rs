//! extend-config.toml of image extensions.

use crate::error::Result;

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
        let _ = text;
        todo!()
    }
}
