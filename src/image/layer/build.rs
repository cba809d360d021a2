//! One pass over a layer: tar, hash, compress.

use super::beneath::Beneath;
use super::block::Pooled;
use super::growing::Growing;
use super::tar::{self, Content, Part};
use super::{LayerRecipe, SpooledBlob, Workers};
use crate::oci::{Descriptor, DiffId, Digest, ManifestKind};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::value::Table;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, mpsc};
use tempfile::NamedTempFile;

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip: members of fixed blocks; the bytes do not depend on the number of workers.
    Gzip,
}

/// A compressed copy in a temporary file.
#[derive(Clone, Copy)]
pub struct Spool<'a> {
    /// How.
    pub compression: Compression,
    /// The directory in which the temporary file is made.
    pub directory: &'a Path,
    /// Called once the copy has [`LARGE`] bytes, while the rest is being made.
    pub begun: Option<&'a Begun<'a>>,
}

impl<'a> Spool<'a> {
    /// A copy by gzip that nobody reads before it is whole.
    pub fn gzip(directory: &'a Path) -> Self {
        Self {
            compression: Compression::Gzip,
            directory,
            begun: None,
        }
    }
}

/// Who is told of a copy that can be read already.
pub type Begun<'a> = dyn Fn(&Arc<Growing>) + 'a;

/// From how many bytes on a copy is worth reading before it is whole.
pub const LARGE: u64 = 4 << 20;

/// What a pass makes besides the [`DiffId`].
#[derive(Default)]
pub struct Outputs<'a> {
    /// A compressed blob.
    pub blob: Option<Spool<'a>>,
    /// The tar itself.
    pub tar: Option<&'a mut dyn Write>,
}

/// What a pass made.
#[derive(Debug)]
pub struct Built {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The size of the tar in bytes.
    pub size: u64,
    /// The compressed blob, if [`Outputs::blob`] asked for one.
    pub blob: Option<SpooledBlob>,
}

/// Makes the layer's tar, reading every file once.
///
/// # Errors
/// A file cannot be read, is of a kind that layers do not hold, or changes its size meanwhile; an output fails.
pub fn build(recipe: &LayerRecipe, outputs: Outputs<'_>, workers: &Workers) -> Result<Built> {
    let root = tar::root(recipe)?.map(Arc::new);
    let blob = outputs.blob.map(Blob::create).transpose()?;
    let mut pass = Pass::new(workers, root.clone(), blob, outputs.tar);
    tar::lay_out(recipe, root.as_deref(), &mut |part| match part {
        Part::Bytes(bytes) => pass.bytes(bytes),
        Part::File(content) => pass.file(&content),
    })?;
    pass.finish()
}

/// Makes a layer of the tar that `write` writes, which may change with every call, unlike a [`LayerRecipe`]'s.
///
/// # Errors
/// Those of `write`, or an output fails.
pub fn pack(
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
    outputs: Outputs<'_>,
    workers: &Workers,
) -> Result<Built> {
    let blob = outputs.blob.map(Blob::create).transpose()?;
    let mut pass = Pass::new(workers, None, blob, outputs.tar);
    write(&mut pass)?;
    pass.finish()
}

/// The digest of the layer's tar, which is not kept.
///
/// # Errors
/// As [`build`].
pub fn diff_id(recipe: &LayerRecipe, workers: &Workers) -> Result<DiffId> {
    Ok(build(recipe, Outputs::default(), workers)?.diff_id)
}

/// The size of the layer's tar in bytes, which is known without reading any file.
///
/// # Errors
/// A file is of a kind that layers do not hold, or cannot be examined.
pub fn size(recipe: &LayerRecipe) -> Result<u64> {
    let root = tar::root(recipe)?;
    let mut size = 0;
    tar::lay_out(recipe, root.as_ref(), &mut |part| {
        size += match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(content) => content.size,
        };
        Ok(())
    })?;
    Ok(size)
}

/// The block of a number, as workers have left it.
type Worked = (u64, Result<Pooled>);

/// A layer on its way. The thread that owns it lays the tar out, and hashes and writes blocks in order; workers fill
/// and compress them in any order. It waits for a block only while it holds none or while its own are being worked on,
/// so that layers can't block each other.
struct Pass<'w, 'a> {
    workers: &'w Workers,
    root: Option<Arc<Beneath>>,
    current: Option<Pooled>,
    worked: mpsc::Receiver<Worked>,
    sender: mpsc::Sender<Worked>,
    /// How many blocks were submitted.
    submitted: u64,
    in_flight: usize,
    in_order: InOrder,
    hash: Sha256,
    size: u64,
    tar: Option<&'a mut dyn Write>,
    blob: Option<Blob<'a>>,
}

impl<'w, 'a> Pass<'w, 'a> {
    fn new(
        workers: &'w Workers,
        root: Option<Arc<Beneath>>,
        blob: Option<Blob<'a>>,
        tar: Option<&'a mut dyn Write>,
    ) -> Self {
        let (sender, worked) = mpsc::channel();
        Self {
            workers,
            root,
            current: None,
            worked,
            sender,
            submitted: 0,
            in_flight: 0,
            in_order: InOrder::default(),
            hash: Sha256::new(),
            size: 0,
            tar,
            blob,
        }
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.block_with_room()?.push(bytes);
        }
        Ok(())
    }

    fn file(&mut self, content: &Content<'_>) -> Result<()> {
        let mut offset = 0;
        while offset < content.size {
            offset = self.block_with_room()?.push_file(content, offset);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Built> {
        self.submit();
        while self.in_flight > 0 {
            let worked = self.worked.recv().map_err(Error::other)?;
            self.take_worked(worked)?;
        }
        let blob = self.blob.map(Blob::finish);
        Ok(Built {
            diff_id: DiffId::from_bytes(self.hash.finalize().into()),
            size: self.size,
            blob,
        })
    }

    fn block_with_room(&mut self) -> Result<&mut Pooled> {
        if self.current.as_ref().is_some_and(|block| block.room() == 0) {
            self.submit();
        }
        let block = match self.current.take() {
            Some(block) => block,
            None => self.take_block()?,
        };
        Ok(self.current.insert(block))
    }

    fn take_block(&mut self) -> Result<Pooled> {
        while let Ok(worked) = self.worked.try_recv() {
            self.take_worked(worked)?;
        }
        loop {
            if let Some(block) = self.workers.pool().try_take() {
                return Ok(block);
            }
            if self.in_flight == 0 {
                return Ok(self.workers.pool().take());
            }
            let worked = self.worked.recv().map_err(Error::other)?;
            self.take_worked(worked)?;
        }
    }

    /// Has the current block filled, and compressed where there is a blob to write.
    fn submit(&mut self) {
        let Some(mut block) = self.current.take() else {
            return;
        };
        let (number, root, sender) = (self.submitted, self.root.clone(), self.sender.clone());
        let compress = self.blob.is_some();
        self.submitted += 1;
        self.in_flight += 1;
        self.workers.run(Box::new(move || {
            let filled = block.fill(root.as_deref());
            let done = filled.and_then(|()| match compress {
                true => block.compress(),
                false => Ok(()),
            });
            // Nobody listens any more after another block failed.
            let _ = sender.send((number, done.map(|()| block)));
        }));
    }

    fn take_worked(&mut self, (number, block): Worked) -> Result<()> {
        self.in_order.put(number, block?);
        while let Some(block) = self.in_order.next() {
            self.hash.update(block.bytes());
            self.size += block.bytes().len() as u64;
            if let Some(tar) = &mut self.tar {
                tar.write_all(block.bytes()).context(|| "write layer tar")?;
            }
            if let Some(blob) = &mut self.blob {
                blob.write(&block.compressed)?;
            }
            self.in_flight -= 1;
        }
        Ok(())
    }
}

impl Write for Pass<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Blocks that arrive in any order and leave by number.
#[derive(Default)]
struct InOrder {
    next: u64,
    waiting: BTreeMap<u64, Pooled>,
}

impl InOrder {
    fn put(&mut self, number: u64, block: Pooled) {
        self.waiting.insert(number, block);
    }

    fn next(&mut self) -> Option<Pooled> {
        let block = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(block)
    }
}

/// A compressed blob that is being written.
struct Blob<'a> {
    spool: Spool<'a>,
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
    /// For who reads along.
    growing: Option<Watched>,
}

/// A blob that somebody reads along; dropping it means that it will not be whole.
struct Watched(Arc<Growing>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl<'a> Blob<'a> {
    fn create(spool: Spool<'a>) -> Result<Self> {
        let Compression::Gzip = spool.compression;
        let file = NamedTempFile::new_in(spool.directory)
            .context(|| format!("create a file in {}", spool.directory.display()))?;
        Ok(Self {
            spool,
            file,
            hash: Sha256::new(),
            size: 0,
            growing: None,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        let directory = self.spool.directory;
        self.file
            .write_all(bytes)
            .context(|| format!("write a compressed layer in {}", directory.display()))?;
        if let Some(Watched(growing)) = &self.growing {
            growing.grow(self.size);
        } else if let Some(begun) = self.spool.begun.filter(|_| self.size >= LARGE) {
            let file = self.file.reopen();
            let file = file.context(|| format!("open a file in {}", directory.display()))?;
            let growing = Arc::new(Growing::new(file, self.size));
            begun(&self.growing.insert(Watched(growing)).0);
        }
        Ok(())
    }

    fn finish(self) -> SpooledBlob {
        let descriptor = Descriptor {
            media_type: ManifestKind::Oci.layer().to_owned(),
            digest: Digest::from_bytes(self.hash.finalize().into()),
            size: self.size,
            extra: Table::new(),
        };
        if let Some(Watched(growing)) = &self.growing {
            growing.end(descriptor.clone());
        }
        SpooledBlob {
            descriptor,
            file: self.file,
        }
    }
}
