//! gzip in blocks that workers compress on their own. One member; every block knows the 32 KiB before it, so that cutting costs
//! next to nothing, and ends at a byte boundary. The bytes depend on the block size and nothing else.

use flate2::{Compress, Compression, FlushCompress, Status};
use lifecycle_core::error::{Error, Result};

/// No name, no time, fastest compression, unknown system: what the reference's encoder writes.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// How far back references reach.
pub(super) const WINDOW: usize = 32 << 10;
/// The fastest level whose result is not larger than the reference's.
const LEVEL: u32 = 2;

/// A thread's compressor; it takes its memory when first used.
pub(super) struct Deflater(Option<Compress>);

impl Deflater {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Compresses one block into `out`. `before` is what precedes it, at most [`WINDOW`] bytes.
    ///
    /// # Errors
    /// Never in practice; the compressor's interface can fail.
    pub(super) fn block(
        &mut self,
        data: &[u8],
        before: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let compress = self
            .0
            .get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        compress.reset();
        if !before.is_empty() {
            compress.set_dictionary(before).map_err(Error::other)?;
        }
        let flush = if last {
            FlushCompress::Finish
        } else {
            FlushCompress::Sync
        };
        out.reserve(data.len() + data.len() / 64 + 1024);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = data.get(done..).unwrap_or_default();
            let status = compress
                .compress_vec(rest, out, flush)
                .map_err(Error::other)?;
            // A flush is complete when it left room.
            let complete = if last {
                status == Status::StreamEnd
            } else {
                out.len() < out.capacity()
            };
            if complete {
                return Ok(());
            }
            out.reserve(WINDOW);
        }
    }
}

/// What follows the last block.
pub(super) fn trailer(crc: u32, size: u64) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.to_le_bytes());
    trailer[4..].copy_from_slice(&(size as u32).to_le_bytes());
    trailer
}
