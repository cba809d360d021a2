//! Layers: from files to tar to blob, and back.
//!
//! ```text
//! recipe ─walk─▶ headers and holes in fixed blocks ─workers fill and compress─▶ hash and spool in order
//! ```
//! The tar's layout is known from `stat` alone, so blocks are filled by any worker; only hashing and writing go in order.

pub mod beneath;
mod block;
mod build;
pub mod extract;
pub mod fingerprint;
mod growing;
mod gzip;
pub mod header;
mod path;
pub mod slice;
mod tar;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;
mod workers;
mod zstd;

pub use build::{Begun, Built, Compression, LARGE, Outputs, Spool, build, diff_id, pack, size};
pub use growing::Growing;
pub use unpack::{Unpacked, decompress, open_stored};
pub use workers::Workers;

use crate::oci::{Descriptor, DiffId, History};
use lifecycle_core::error::Result;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// A layer of an image.
#[derive(Clone)]
pub struct Layer {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The history entry, where there is one.
    pub history: Option<History>,
    /// Where its bytes are.
    pub source: LayerSource,
}

/// Where the bytes of a layer are.
#[derive(Clone)]
pub enum LayerSource {
    /// In a store, compressed: a layer of a base image or of the previous image. Saving never reads it when the
    /// destination can reach it otherwise.
    Stored {
        /// The blob.
        descriptor: Descriptor,
        /// Who can open it.
        blobs: Arc<dyn BlobSource>,
    },
    /// Compressed by the pipeline into a file that lives as long as this value.
    Spooled(Arc<SpooledBlob>),
    /// Not compressed: the tar can be made again at any time (the daemon never asks for more).
    Recipe(Arc<LayerRecipe>),
}

/// A store's blobs.
pub trait BlobSource: Send + Sync {
    /// Opens the compressed blob; `None` if the store does not hold its data. The stream fails at its end unless it
    /// has the descriptor's digest.
    ///
    /// # Errors
    /// The store fails.
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read + Send>>>;

    /// [`BlobSource::open`] for each of `descriptors`. A store that hands out nothing but whole images reads the
    /// image once for all of them.
    ///
    /// # Errors
    /// As [`BlobSource::open`].
    fn open_all(&self, descriptors: &[Descriptor]) -> Result<Vec<Option<Box<dyn Read + Send>>>> {
        descriptors.iter().map(|one| self.open(one)).collect()
    }

    /// Whether the store holds the blob's data, which a sparse layout may not.
    ///
    /// # Errors
    /// The store fails.
    fn holds(&self, descriptor: &Descriptor) -> Result<bool> {
        let _ = descriptor;
        Ok(true)
    }

    /// The registry repository that holds the blobs (`registry/repository`), for mounts across repositories.
    fn repository(&self) -> Option<&str> {
        None
    }
}

/// A compressed layer in a temporary file.
#[derive(Debug)]
pub struct SpooledBlob {
    /// Its media type's gzip form, digest and size.
    pub descriptor: Descriptor,
    /// The file; removed when the value drops.
    pub file: tempfile::NamedTempFile,
}

/// What goes into a layer; the same recipe gives the same tar bytes as long as the files do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerRecipe {
    /// A directory with its ancestors (buildpack, config and SBOM layers).
    Directory {
        /// The absolute path; it is also the name inside the tar.
        path: PathBuf,
        /// Owner of all entries at and below the directory.
        uid: u32,
        /// Group of all entries at and below the directory.
        gid: u32,
    },
    /// A whole app directory with its ancestors, sorted by full path: `a`, `a.txt`, `a/b` (an app without slices).
    App {
        /// The app directory, absolute.
        root: PathBuf,
        /// Owner of all entries at and below the directory.
        uid: u32,
        /// Group of all entries at and below the directory.
        gid: u32,
    },
    /// Files of the app directory, sorted by path, with the ancestors of the app directory (slices).
    Paths {
        /// The app directory, absolute.
        root: PathBuf,
        /// Absolute paths in byte order; empty gives an empty tar.
        paths: Vec<PathBuf>,
        /// Owner of the entries.
        uid: u32,
        /// Group of the entries.
        gid: u32,
    },
    /// Made-up entries, owned by root (launcher, process types).
    Entries(Vec<MadeEntry>),
}

/// An entry that does not mirror a path of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeEntry {
    /// A directory with mode 0755.
    Directory(String),
    /// A regular file with mode 0755 and the content of the file at `source`.
    File {
        /// The name in the tar.
        name: String,
        /// Where the content is.
        source: PathBuf,
    },
    /// A symbolic link with mode 0755.
    Symlink {
        /// The name in the tar.
        name: String,
        /// Where it points.
        target: String,
    },
}
