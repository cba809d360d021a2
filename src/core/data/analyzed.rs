//! analyzed.toml: what analysis found out about images.

use super::decode::{Fields, from_toml};
use super::label::{self, LayersMetadata};
use super::target::Target;
use crate::error::Result;
use crate::value::{Table, Value};
use crate::{json, toml};

/// The run image as analysis, generation and restoration leave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalyzedRunImage {
    /// Its identifier; empty when it was not found (semantics per store: FACTS 3.4).
    pub reference: String,
    /// Its name as given (Platform API 0.12).
    pub image: String,
    /// Whether extensions will extend it.
    pub extend: bool,
    /// What it is.
    pub target: Option<Target>,
}

/// analyzed.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analyzed {
    /// `[image] reference`: the previous image's identifier, empty when not found.
    pub previous_image: Option<String>,
    /// `[build-image] reference`.
    pub build_image: Option<String>,
    /// The previous image's layers.
    pub metadata: LayersMetadata,
    /// `[run-image]`.
    pub run_image: Option<AnalyzedRunImage>,
}

impl Analyzed {
    /// Reads analyzed.toml.
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self> {
        from_toml(text, |root| {
            let reference = |key| root.table(key, |image| image.text_or_empty("reference"));
            Ok(Self {
                previous_image: reference("image")?,
                build_image: reference("build-image")?,
                metadata: root
                    .table("metadata", |metadata| {
                        LayersMetadata::read(metadata, &label::TOML)
                    })?
                    .unwrap_or_default(),
                run_image: root.table("run-image", AnalyzedRunImage::read)?,
            })
        })
    }

    /// analyzed.toml. `image` and `target` of the run image are written where they are set: analysis sets them from
    /// Platform API 0.12 on, generation at every version (FACTS 3.4, 6.6).
    pub fn to_toml(&self) -> String {
        let reference = |reference: &String| Table::new().with("reference", reference.as_str());
        let document = Table::new()
            .with_some("image", self.previous_image.as_ref().map(reference))
            .with_some("build-image", self.build_image.as_ref().map(reference))
            .with("metadata", self.metadata.to_table(&label::TOML))
            .with_some(
                "run-image",
                self.run_image.as_ref().map(AnalyzedRunImage::to_table),
            );
        toml::to_string(&document)
    }
}

impl AnalyzedRunImage {
    /// The JSON form that the debug log has; its keys are those of the reference.
    pub fn to_json(&self) -> String {
        let table = Table::new()
            .with("Reference", self.reference.as_str())
            .with("Image", self.image.as_str())
            .with("Extend", self.extend)
            .with_some("target", self.target.as_ref().map(Target::to_table));
        json::to_string(&Value::Table(table))
    }

    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            reference: fields.text_or_empty("reference")?,
            image: fields.text_or_empty("image")?,
            extend: fields.flag("extend")?,
            target: fields.table("target", Target::read)?,
        })
    }

    fn to_table(&self) -> Table {
        Table::new()
            .with("reference", self.reference.as_str())
            .with_some(
                "image",
                Some(self.image.as_str()).filter(|image| !image.is_empty()),
            )
            .with_some("extend", self.extend.then_some(true))
            .with_some("target", self.target.as_ref().map(Target::to_table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FACTS 3.4.
    const MINIMAL: &str = r#"[image]
  reference = ""

[metadata]
  [metadata.config]
    sha = ""
  [metadata.launcher]
    sha = ""
  [metadata.process-types]
    sha = ""
  [metadata.run-image]
    top-layer = ""
    reference = ""

[run-image]
  reference = "x"
"#;

    /// FACTS D.3, completed.
    const LAYERS: &str = r#"[metadata]

  [[metadata.app]]
    sha = "sha256:a"
  [metadata.sbom]
    sha = "sha256:s"

  [[metadata.buildpacks]]
    key = "some/bp"
    version = "1"
    [metadata.buildpacks.layers]
      [metadata.buildpacks.layers."b.layer"]
        sha = "sha256:l"
        build = false
        launch = true
        cache = false
        [metadata.buildpacks.layers."b.layer".metadata]
          arr = [1.0, 2.0]
          big = 1.2345678e+07
          mixed = [1.0, "x", {z = 1.0}]

          [[metadata.buildpacks.layers."b.layer".metadata.aot]]
            a = 1.0
          [metadata.buildpacks.layers."b.layer".metadata.empty]
          [metadata.buildpacks.layers."b.layer".metadata.tbl]
            k = "v"
    [metadata.buildpacks.store]
      [metadata.buildpacks.store.metadata]
        [metadata.buildpacks.store.metadata.x]
          y = 2.0
  [metadata.config]
    sha = "c"
  [metadata.launcher]
    sha = ""
  [metadata.process-types]
    sha = ""
  [metadata.run-image]
    top-layer = "t"
    reference = "r"
    image = "i"
    mirrors = ["m"]
  [metadata.stack]
    [metadata.stack.run-image]
      image = "i"

[run-image]
  reference = "r"
  image = "i"
  extend = true
  [run-image.target]
    id = "my"
    os = "linux"
    arch = "arm64"
    arch-variant = "v8"
    [run-image.target.distro]
      name = "ubuntu"
      version = "24.04"
"#;

    #[test]
    fn the_document_survives_reading_and_writing() {
        for text in [MINIMAL, LAYERS] {
            assert_eq!(Analyzed::parse(text).unwrap().to_toml(), text);
        }
    }

    #[test]
    fn the_log_has_its_own_keys() {
        let run_image = Analyzed::parse(LAYERS).unwrap().run_image.unwrap();
        assert_eq!(
            run_image.to_json(),
            concat!(
                r#"{"Reference":"r","Image":"i","Extend":true,"target":{"id":"my","os":"linux","arch":"arm64","#,
                r#""arch-variant":"v8","distro":{"name":"ubuntu","version":"24.04"}}}"#
            )
        );
    }
}
