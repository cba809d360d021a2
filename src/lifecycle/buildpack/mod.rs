//! Modules: running their programs, and collecting what they wrote.

pub mod dir;
