//! What a release is made of beside the binaries: archives, the lifecycle image, and how to read an archive again.
//!
//! The same binaries give the same bytes.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod archive;
pub mod descriptor;
pub mod files;
pub mod image;

#[cfg(test)]
mod tests;
