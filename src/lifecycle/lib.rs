//! The phases of the lifecycle, platform inputs and commands.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod buildpack;
pub mod command;
pub mod dockerfile;
pub mod duration;
pub mod exec;
pub mod extend;
pub mod log;
pub mod phase;
pub mod platform;
