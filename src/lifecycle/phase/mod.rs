//! The phases: each takes values and returns values.

pub mod analyze;
pub mod build;
pub mod detect;
pub mod dockerfile;
pub mod export;
pub mod extend;
pub mod generate;
pub mod known;
pub mod progress;
pub mod rebase;
pub mod restore;
pub mod run_image;
pub mod save;
