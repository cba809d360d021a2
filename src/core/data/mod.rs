//! One file per document. Reading takes text and, where the form depends on it, an API version; the values
//! themselves carry no version behaviour. Decoding is as lenient as the reference's decoder: unknown keys are
//! ignored, keys match ignoring case (FACTS 3.2).

pub mod analyzed;
pub mod build;
mod decode;
pub mod descriptor;
pub mod exec_d;
pub mod extend_config;
pub mod group;
pub mod label;
pub mod launch;
pub mod layer;
pub mod metadata;
pub mod order;
pub mod plan;
pub mod project;
pub mod report;
pub mod run;
pub mod sbom;
pub mod store;
pub mod system;
pub mod target;

/// Whether a module is a buildpack or an image extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModuleKind {
    /// A buildpack.
    Buildpack,
    /// An image extension.
    Extension,
}

impl ModuleKind {
    /// The kind as messages name it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Buildpack => "Buildpack",
            Self::Extension => "Extension",
        }
    }
}

#[cfg(test)]
mod tests;
