//! Words and data of Cloud Native Buildpacks: API versions, exit codes, documents, environment rules.
//!
//! This crate knows no network, no asynchrony, no logging, and never reads the process environment.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod data;
mod decimal;
pub mod env;
pub mod error;
pub mod exit;
pub mod file;
pub mod glob;
pub mod json;
pub mod time;
pub mod toml;
pub mod value;
