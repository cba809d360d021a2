//! Modules: finding them, running their programs, and collecting what they wrote.

mod detect;
pub mod dir;
mod dockerfile;
mod find;
mod generate;
mod layers_dir;
mod surroundings;
mod target;

pub use detect::{Detection, Outcome, detect};
pub use dockerfile::{DockerfileKind, RunImageChange};
pub use find::{Module, Store};
pub use generate::{EXTEND_CONFIG, GenerateSite, Generated, generate};
pub use layers_dir::{LayerDir, LayersDir};
pub use surroundings::Surroundings;
pub use target::{OS_RELEASE, add_target, complete_target};
