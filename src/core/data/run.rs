//! run.toml and stack.toml: run images and their mirrors.

use crate::error::Result;

/// A run image and where copies of it are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunImageMirrors {
    /// The image's name.
    pub image: String,
    /// Names of the same image elsewhere.
    pub mirrors: Vec<String>,
}

/// run.toml, or stack.toml as a list of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunImages {
    /// The run images.
    pub images: Vec<RunImageMirrors>,
}

impl RunImages {
    /// Reads run.toml (Platform API 0.12 and later).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse_run(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// Reads stack.toml (before Platform API 0.12). An absent `[run-image]` gives no image.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse_stack(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}
