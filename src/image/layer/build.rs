//! One pass over a layer: tar, hash, compress.

use super::beneath::Beneath;
use super::block::Pooled;
use super::tar::{self, Content, Part};
use super::{LayerRecipe, SpooledBlob, Workers, gzip};
use crate::oci::{Descriptor, DiffId, Digest, ManifestKind};
use flate2::Crc;
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
    /// gzip: one member of fixed blocks; the bytes do not depend on the number of workers.
    Gzip,
}

/// A compressed copy in a temporary file.
#[derive(Clone, Copy, Debug)]
pub struct Spool<'a> {
    /// How.
    pub compression: Compression,
    /// The directory in which the temporary file is made.
    pub directory: &'a Path,
}

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

/// What a worker did to the block of this number.
enum Event {
    Filled(u64, Result<Pooled>),
    Compressed(u64, Result<Pooled>),
}

/// A layer on its way. The thread that owns it lays the tar out, and hashes and writes blocks in order; workers fill
/// and compress them in any order. It waits for a block only while it holds none or while its own are being worked on,
/// so that layers can't block each other.
struct Pass<'w, 'a> {
    workers: &'w Workers,
    root: Option<Arc<Beneath>>,
    current: Option<Pooled>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    /// How many blocks were submitted, and which of them is the last if that is known.
    submitted: u64,
    last: Option<u64>,
    in_flight: usize,
    filled: InOrder,
    compressed: InOrder,
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
        let (sender, events) = mpsc::channel();
        Self {
            workers,
            root,
            current: None,
            events,
            sender,
            submitted: 0,
            last: None,
            in_flight: 0,
            filled: InOrder::default(),
            compressed: InOrder::default(),
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
        self.last = Some(self.submitted);
        self.submit();
        while self.in_flight > 0 {
            let event = self.events.recv().map_err(Error::other)?;
            self.handle(event)?;
        }
        let blob = self.blob.map(|blob| blob.finish(self.size)).transpose()?;
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
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        loop {
            if let Some(block) = self.workers.pool().try_take() {
                return Ok(block);
            }
            if self.in_flight == 0 {
                return Ok(self.workers.pool().take());
            }
            let event = self.events.recv().map_err(Error::other)?;
            self.handle(event)?;
        }
    }

    /// Has the current block filled.
    fn submit(&mut self) {
        let Some(mut block) = self.current.take() else {
            return;
        };
        let (number, root, sender) = (self.submitted, self.root.clone(), self.sender.clone());
        self.submitted += 1;
        self.in_flight += 1;
        self.workers.run(Box::new(move || {
            let result = block.fill(root.as_deref()).map(|()| block);
            // Nobody listens any more after another block failed.
            let _ = sender.send(Event::Filled(number, result));
        }));
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Filled(number, block) => {
                self.filled.put(number, block?);
                while let Some((number, block)) = self.filled.next() {
                    self.take_filled(number, block)?;
                }
            }
            Event::Compressed(number, block) => {
                self.compressed.put(number, block?);
                while let (Some((_, block)), Some(blob)) = (self.compressed.next(), &mut self.blob)
                {
                    blob.write(&block.compressed)?;
                    self.in_flight -= 1;
                }
            }
        }
        Ok(())
    }

    fn take_filled(&mut self, number: u64, mut block: Pooled) -> Result<()> {
        self.hash.update(block.bytes());
        self.size += block.bytes().len() as u64;
        if let Some(tar) = &mut self.tar {
            tar.write_all(block.bytes()).context(|| "write layer tar")?;
        }
        let Some(blob) = &mut self.blob else {
            self.in_flight -= 1;
            return Ok(());
        };
        blob.precede(&mut block);
        let (sender, last) = (self.sender.clone(), self.last == Some(number));
        self.workers.run(Box::new(move || {
            let result = block.compress(last).map(|()| block);
            let _ = sender.send(Event::Compressed(number, result));
        }));
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

    fn next(&mut self) -> Option<(u64, Pooled)> {
        let block = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, block))
    }
}

/// A compressed blob that is being written.
struct Blob<'a> {
    spool: Spool<'a>,
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
    crc: Crc,
    /// The end of the uncompressed bytes so far.
    window: Vec<u8>,
}

impl<'a> Blob<'a> {
    fn create(spool: Spool<'a>) -> Result<Self> {
        let Compression::Gzip = spool.compression;
        let file = NamedTempFile::new_in(spool.directory)
            .context(|| format!("create a file in {}", spool.directory.display()))?;
        let mut blob = Self {
            spool,
            file,
            hash: Sha256::new(),
            size: 0,
            crc: Crc::new(),
            window: Vec::new(),
        };
        blob.write(&gzip::HEADER)?;
        Ok(blob)
    }

    /// Tells the next block what came before it.
    fn precede(&mut self, block: &mut Pooled) {
        std::mem::swap(&mut block.dictionary, &mut self.window);
        self.crc.update(block.bytes());
        let start = block.bytes().len().saturating_sub(gzip::WINDOW);
        self.window.clear();
        self.window.extend_from_slice(&block.bytes()[start..]);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        let directory = self.spool.directory;
        self.file
            .write_all(bytes)
            .context(|| format!("write a compressed layer in {}", directory.display()))
    }

    fn finish(mut self, tar_size: u64) -> Result<SpooledBlob> {
        self.write(&gzip::trailer(self.crc.sum(), tar_size))?;
        let descriptor = Descriptor {
            media_type: ManifestKind::Oci.layer().to_owned(),
            digest: Digest::from_bytes(self.hash.finalize().into()),
            size: self.size,
            extra: Table::new(),
        };
        Ok(SpooledBlob {
            descriptor,
            file: self.file,
        })
    }
}
