//! OCI images: model, layers, stores, credentials, caches. Useful without buildpacks.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod auth;
pub mod cache;
mod disk;
pub mod image;
pub mod layer;
pub mod oci;
pub mod rebase;
pub mod store;
