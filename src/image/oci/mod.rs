//! The words of OCI and Docker images: digests, descriptors, media types, configurations, references.

mod config;
mod descriptor;
mod digest;
mod documents;
mod history;
mod manifest;
mod media_type;
mod platform;
mod reference;
mod verify;

pub use config::{Config, MAX_CONFIG};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest};
pub use documents::{read_bounded, read_document};
pub use history::History;
pub use manifest::{Document, Index, MAX_MANIFEST, Manifest};
pub use media_type::ManifestKind;
pub use platform::Platform;
pub use reference::{DEFAULT_REGISTRY, Identifier, Reference};
pub use verify::Verified;

#[cfg(test)]
mod tests;
