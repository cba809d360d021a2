//! A reference to content by digest.

use super::Digest;
use lifecycle_core::value::Table;

/// Names a blob or manifest: media type, digest, size.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// The content's media type.
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: u64,
    /// Everything else that the descriptor carried (urls, annotations, platform), in order.
    pub extra: Table,
}
