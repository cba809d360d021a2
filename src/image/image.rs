//! Images as immutable values; edits return new images.

use crate::layer::Layer;
use crate::oci::{Config, Descriptor, ManifestKind};
use lifecycle_core::value::Table;

/// An image: configuration and layers. Nothing is written before a store saves it.
#[derive(Clone)]
pub struct Image {
    /// Docker's or OCI's media types.
    pub kind: ManifestKind,
    /// The configuration. `rootfs.diff_ids` and `history` are derived from `layers` when the image is saved.
    pub config: Config,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
    /// The manifest's annotations.
    pub annotations: Table,
    /// The manifest's descriptor, while the image is unchanged since a store opened it.
    pub origin: Option<Descriptor>,
}
