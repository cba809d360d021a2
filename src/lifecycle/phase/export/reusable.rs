//! Layers of the previous image.

use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_image::image::Image;
use lifecycle_image::layer::LayerSource;
use lifecycle_image::oci::DiffId;
use std::collections::BTreeMap;

/// Layers of the previous image that can be used again.
#[derive(Default)]
pub(super) struct Reusable {
    layers: BTreeMap<DiffId, LayerSource>,
}

impl Reusable {
    /// The layers whose data the previous image's store holds.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn of(previous: Option<&Image>) -> Result<Self> {
        let mut layers = BTreeMap::new();
        for layer in previous.into_iter().flat_map(|image| &image.layers) {
            let held = match &layer.source {
                LayerSource::Stored { descriptor, blobs } => blobs.holds(descriptor)?,
                LayerSource::Spooled(_) | LayerSource::Recipe(_) => true,
            };
            if held {
                layers.insert(layer.diff_id, layer.source.clone());
            }
        }
        Ok(Self { layers })
    }

    /// The diffID that a document records, if the previous image really has that layer.
    pub(super) fn recorded(&self, sha: &str) -> Option<DiffId> {
        DiffId::parse(sha)
            .ok()
            .filter(|diff_id| self.layers.contains_key(diff_id))
    }

    /// Where the layer is.
    ///
    /// # Errors
    /// Kind `NotFound`: the previous image does not have it.
    pub(super) fn source(&self, diff_id: &DiffId) -> Result<LayerSource> {
        let missing = || {
            let cause = format!("previous image did not have layer with diff id '{diff_id}'");
            Error::new(ErrorKind::NotFound, cause)
        };
        self.layers.get(diff_id).cloned().ok_or_else(missing)
    }
}
