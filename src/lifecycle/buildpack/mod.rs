//! Modules: finding them, running their programs, and collecting what they wrote.

mod detect;
pub mod dir;
mod find;
mod surroundings;
mod target;

pub use detect::{Detection, Outcome, detect};
pub use find::{Module, Store};
pub use surroundings::Surroundings;
pub use target::{add_target, complete_target};
