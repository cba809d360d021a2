//! Modules: finding them, running their programs, and collecting what they wrote.

mod detect;
pub mod dir;
mod find;
mod layers_dir;
mod surroundings;
mod target;

pub use detect::{Detection, Outcome, detect};
pub use find::{Module, Store};
pub use layers_dir::{LayerDir, LayersDir};
pub use surroundings::Surroundings;
pub use target::{add_target, complete_target};
