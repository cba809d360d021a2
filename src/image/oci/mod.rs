//! The words of OCI and Docker images: digests, descriptors, media types, configurations, references.

mod config;
mod descriptor;
mod digest;
mod media_type;
mod reference;

pub use config::{Config, History};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest};
pub use media_type::ManifestKind;
pub use reference::{DEFAULT_REGISTRY, Identifier, Reference};
