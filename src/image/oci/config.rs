//! Image configurations: the known parts typed, everything unknown kept.

use lifecycle_core::value::Table;

/// One entry of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Who made the layer.
    pub author: String,
    /// When, RFC 3339.
    pub created: String,
    /// By what.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Whether the entry has no layer.
    pub empty_layer: bool,
}

/// An image configuration. It is a table in the reference's key order with unknown keys kept behind; the methods
/// read and replace its parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(pub(crate) Table);
