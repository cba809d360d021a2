//! Modules: finding them, running their programs, and collecting what they wrote.

mod build;
mod detect;
pub mod dir;
mod dockerfile;
mod find;
mod generate;
mod layers;
mod layers_dir;
mod plan_file;
mod sbom;
mod surroundings;
mod target;

pub use build::{BuildOutput, Site, build};
pub use detect::{Detection, Outcome, detect};
pub use dockerfile::{DockerfileKind, RunImageChange};
pub use find::{Module, Store};
pub use generate::{EXTEND_CONFIG, GenerateSite, Generated, generate};
pub use layers_dir::{LayerDir, LayersDir};
pub use sbom::{SbomFile, SbomKind, copy as copy_sbom_files};
pub use surroundings::Surroundings;
pub use target::{OS_RELEASE, add_target, complete_target};
