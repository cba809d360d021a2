//! The phases: each takes values and returns values.

pub mod detect;
