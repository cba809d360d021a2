//! Rebases in registries: what travels, what stays as it was when something fails, what an operator is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod plan;
mod refusals;
mod swap;
mod world;
