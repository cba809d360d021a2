//! Where images live: registries, OCI layouts, daemons, behind one trait.

pub mod daemon;
pub mod layout;
pub mod registry;
mod tls;

use crate::image::Image;
use crate::layer::{Growing, SpooledBlob};
use crate::oci::Digest;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::sync::Arc;

/// The threads on which a store waits for the network.
///
/// # Errors
/// They cannot be started.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context(|| "start network threads")
}

/// A place for images.
pub trait ImageStore: Send + Sync {
    /// Opens an image; `None` if there is none of this name.
    ///
    /// # Errors
    /// The store fails, or the image is malformed (kind `Corrupt`).
    fn open(&self, name: &str) -> Result<Option<Opened>>;

    /// Saves `image` under every name, manifest last.
    ///
    /// # Errors
    /// Nothing could be saved at all. Failures of single names are in [`Saved::names`].
    fn save(&self, image: &Image, names: &[String]) -> Result<Saved>;

    /// [`ImageStore::save`], under all names or under none as far as the store can do that.
    ///
    /// # Errors
    /// As [`ImageStore::save`].
    fn save_together(&self, image: &Image, names: &[String]) -> Result<Saved> {
        self.save(image, names)
    }

    /// Announces a blob of an image that will be saved under `names`, so that it can be on its way while other layers
    /// are being made. What goes wrong shows when the image is saved.
    fn start_upload(&self, blob: &Arc<SpooledBlob>, names: &[String]) {
        let _ = (blob, names);
    }

    /// Announces such a blob while it is still being made; [`ImageStore::start_upload`] follows when it is whole.
    fn follow(&self, blob: &Arc<Growing>, names: &[String]) {
        let _ = (blob, names);
    }

    /// How many bytes of blobs have left so far, for who wants to show progress.
    fn bytes_sent(&self) -> u64 {
        0
    }

    /// Makes sure that the store has the data of every layer of an image that it opened.
    ///
    /// # Errors
    /// Kind `Corrupt`: a layer's blob is missing. Otherwise the store fails.
    fn check_blobs(&self, opened: &Opened) -> Result<()> {
        let _ = opened;
        Ok(())
    }

    /// In what form new layers are handed to [`ImageStore::save`].
    fn layer_form(&self) -> LayerForm {
        LayerForm::Compressed
    }

    /// What messages and analyzed.toml call the image: its name as given, in layouts the path.
    fn display_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Deletes the image that `identifier` names.
    ///
    /// # Errors
    /// The store cannot delete, or refuses.
    fn delete(&self, identifier: &str) -> Result<()> {
        Err(Error::other(format!(
            "images cannot be deleted here: {identifier}"
        )))
    }

    /// Makes sure that `name` may be read. There need not be such an image.
    ///
    /// # Errors
    /// Access is refused, or the store cannot be reached.
    fn check_read(&self, name: &str) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// Makes sure that `name` may be read and written.
    ///
    /// # Errors
    /// Access is refused, or the store cannot be reached.
    fn check_write(&self, name: &str) -> Result<()> {
        let _ = name;
        Ok(())
    }
}

/// How a store wants layers that it does not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerForm {
    /// As compressed blobs ([`LayerSource::Spooled`](crate::layer::LayerSource::Spooled)).
    Compressed,
    /// As tars to be made while they are sent ([`LayerSource::Recipe`](crate::layer::LayerSource::Recipe)).
    Recipe,
}

/// An image and how its store identifies it.
#[derive(Clone)]
pub struct Opened {
    /// The image.
    pub image: Image,
    /// The identifier that analyzed.toml records: `repo@sha256:...`, a bare image id, or `path@sha256:...`.
    pub identifier: String,
}

/// What a save wrote.
#[derive(Debug)]
pub struct Saved {
    /// The text in `*** Images (...)`: digest, short image id, or `path@digest`.
    pub short_id: String,
    /// The manifest's digest, where the store has one.
    pub digest: Option<Digest>,
    /// The image id, for daemons.
    pub image_id: Option<String>,
    /// The manifest's size in bytes.
    pub manifest_size: Option<u64>,
    /// Each name and how it went.
    pub names: Vec<(String, Result<(), Error>)>,
}
