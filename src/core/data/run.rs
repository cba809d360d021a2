//! run.toml and stack.toml: run images and their mirrors.

use super::decode::{Fields, from_toml};
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
        from_toml(text, |root| {
            Ok(Self {
                images: root.tables_or_empty("images", RunImageMirrors::read)?,
            })
        })
    }

    /// Reads stack.toml (before Platform API 0.12). An absent `[run-image]` gives no image.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse_stack(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let image = root.table("run-image", RunImageMirrors::read)?;
            Ok(Self {
                images: image.into_iter().collect(),
            })
        })
    }
}

impl RunImageMirrors {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            image: fields.text_or_empty("image")?,
            mirrors: fields.texts("mirrors")?.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_documents_list_images() {
        let image = RunImageMirrors {
            image: "a".into(),
            mirrors: vec!["b".into(), "c".into()],
        };
        let body = "image = 'a'\nmirrors = ['b', 'c']";
        let run = RunImages::parse_run(&format!("[[images]]\n{body}\n[[images]]")).unwrap();
        assert_eq!(run.images, [image.clone(), RunImageMirrors::default()]);
        let stack = RunImages::parse_stack(&format!("[run-image]\n{body}\n[build-image]")).unwrap();
        assert_eq!(stack.images, [image]);
        assert_eq!(RunImages::parse_stack("").unwrap(), RunImages::default());
    }
}
