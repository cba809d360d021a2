//! Layers out of a live file system. The first snapshot gathers the status of every file; later ones compare statuses, and
//! read only what differs. The cost is one `stat` per file, and reading what changed.

mod ignored;
mod index;
pub(super) mod pack;

pub use ignored::Ignored;
pub use index::Mode;
pub use pack::Notes;

use index::Index;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_image::layer::beneath::Beneath;
use lifecycle_image::layer::{Layer, LayerSource, Outputs, Spool, Workers, pack as pack_layer};
use pack::Fate;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Makes layers of what changes below a root.
pub struct Snapshotter<'a> {
    /// What layers never hold.
    pub ignored: Ignored,
    root: Beneath,
    mode: Mode,
    spool: &'a Path,
    workers: &'a Workers,
    index: Option<Index>,
}

impl<'a> Snapshotter<'a> {
    /// Nothing is looked at yet. Compressed layers go to files in `spool`.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn new(
        root: &Path,
        ignored: Ignored,
        mode: Mode,
        spool: &'a Path,
        workers: &'a Workers,
    ) -> Result<Self> {
        Ok(Self {
            ignored,
            root: Beneath::open(root).context(|| format!("open {}", root.display()))?,
            mode,
            spool,
            workers,
            index: None,
        })
    }

    /// Where files may be put that no layer shall hold.
    pub(super) fn spool(&self) -> &Path {
        self.spool
    }

    /// Remembers the present state, unless it is known already.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn begin(&mut self) -> Result<()> {
        if self.index.is_none() {
            let index = Index::new(&self.root, &self.ignored);
            self.index = Some(index.context(|| "look at the file system")?);
        }
        Ok(())
    }

    /// A layer of everything that changed since the last one.
    ///
    /// # Errors
    /// A file cannot be read or archived.
    pub fn changes(&mut self) -> Result<(Layer, Notes)> {
        let index = self.index.take().unwrap_or_default();
        let (index, changes) = index
            .advance(&self.root, &self.ignored, self.mode)
            .context(|| "look at the file system")?;
        self.index = Some(index);
        let gone = changes.removed.into_iter().map(|path| (path, Fate::Gone));
        let present = changes.changed.into_iter();
        let present = present.map(|path| (path, Fate::Present));
        self.layer(&gone.chain(present).collect())
    }

    /// A layer of the named files and directories; what else changed is not looked at.
    ///
    /// # Errors
    /// A file cannot be read or archived.
    pub fn files<'p>(
        &mut self,
        paths: impl IntoIterator<Item = &'p Vec<u8>>,
    ) -> Result<(Layer, Notes)> {
        let paths: BTreeMap<_, _> = paths
            .into_iter()
            .filter(|path| !path.is_empty() && !self.ignored.covers(path))
            .map(|path| (path.clone(), Fate::Present))
            .collect();
        if let Some(index) = &mut self.index {
            index.record(&self.root, paths.keys().map(Vec::as_slice))?;
        }
        self.layer(&paths)
    }

    fn layer(&self, paths: &BTreeMap<Vec<u8>, Fate>) -> Result<(Layer, Notes)> {
        let mut notes = Notes::default();
        let write = |out: &mut dyn std::io::Write| {
            notes = pack::pack(&self.root, paths, &self.ignored, out)?;
            Ok(())
        };
        let blob = Some(Spool::gzip(self.spool));
        let built = pack_layer(write, Outputs { blob, tar: None }, self.workers)?;
        let blob = built
            .blob
            .ok_or_else(|| lifecycle_core::error::Error::other("the layer was not compressed"))?;
        let layer = Layer {
            diff_id: built.diff_id,
            history: None,
            source: LayerSource::Spooled(Arc::new(blob)),
        };
        Ok((layer, notes))
    }
}

#[cfg(test)]
mod tests;
