//! gzip in blocks that workers compress on their own: one member, in which every block knows the 32 KiB before it, so
//! that cutting costs next to nothing, and ends at a byte boundary. The bytes depend on the content alone.

use flate2::{Compress, Compression, FlushCompress, Status};
use lifecycle_core::error::{Error, Result};

/// No name, no time, fastest compression, unknown system: what the reference's encoder writes.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// How far back references reach.
pub(super) const WINDOW: usize = 32 << 10;
/// How much is judged as one: the most that deflate's stored form holds under one header.
pub(super) const SEGMENT: usize = 65535;
/// The fastest level whose result is not larger than the reference's.
const LEVEL: u32 = 2;
/// What is shorter is always compressed: too little to judge by.
const SHORTEST_NOISE: usize = 16 << 10;

/// Compresses one block into `out`. `before` is what precedes it, at most [`WINDOW`] bytes.
///
/// # Errors
/// Never in practice; the compressor's interface can fail.
pub(super) fn block(data: &[u8], before: &[u8], last: bool, out: &mut Vec<u8>) -> Result<()> {
    out.reserve(data.len() + data.len() / 64 + 1024);
    let mut done = 0;
    while done < data.len() {
        let (past, rest) = data.split_at(done);
        let mut segments = rest.chunks(SEGMENT);
        let noise = segments.next().is_some_and(is_noise);
        let alike = 1 + segments
            .take_while(|segment| is_noise(segment) == noise)
            .count();
        let run = rest.get(..alike * SEGMENT).unwrap_or(rest);
        done += run.len();
        let last = last && done == data.len();
        let window = if past.is_empty() {
            before
        } else {
            &past[past.len() - WINDOW..]
        };
        match noise {
            true => store(run, last, out),
            false => deflate(run, window, last, out)?,
        }
    }
    Ok(())
}

/// Whether data looks like what is compressed or encrypted already, so that trying again is a waste: the compressor
/// is slowest there, at a tenth of the speed at which the reference's gives up.
///
/// Of 256 bytes in every 4 KiB, pairs of equal bytes are counted: in noise they are one in 256.
fn is_noise(segment: &[u8]) -> bool {
    if segment.len() < SHORTEST_NOISE {
        return false;
    }
    let mut counts = [0_u64; 256];
    for sample in segment.chunks(4 << 10) {
        for &byte in sample.iter().take(256) {
            counts[usize::from(byte)] += 1;
        }
    }
    let total: u64 = counts.iter().sum();
    let equal: u64 = counts
        .iter()
        .map(|&count| count * count.saturating_sub(1))
        .sum();
    // 15 % more than noise: what remains to be gained there is less than what the reference leaves, by measurement.
    equal * 256 * 100 < total * total.saturating_sub(1) * 115
}

/// Writes data as it is (RFC 1951, 3.2.4).
fn store(data: &[u8], last: bool, out: &mut Vec<u8>) {
    let mut segments = data.chunks(SEGMENT).peekable();
    while let Some(segment) = segments.next() {
        let length = segment.len() as u16;
        out.push(u8::from(last && segments.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(segment);
    }
}

/// Compresses data that follows `before`, up to a byte boundary or the end of the stream.
///
/// The compressor is a new one each time: after a reset zlib-rs hashes the end of a dictionary together with a byte
/// that an earlier block left behind, and the bytes would depend on who compressed what.
fn deflate(data: &[u8], before: &[u8], last: bool, out: &mut Vec<u8>) -> Result<()> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    if !before.is_empty() {
        compress.set_dictionary(before).map_err(Error::other)?;
    }
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
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

/// What follows the last block.
pub(super) fn trailer(crc: u32, size: u64) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.to_le_bytes());
    trailer[4..].copy_from_slice(&(size as u32).to_le_bytes());
    trailer
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::DeflateDecoder;
    use std::io::Read;

    /// Noise, text, and what lies between, from a generator of our own.
    fn data(size: usize, noise: bool, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as u8
        };
        (0..size)
            .map(|_| {
                if noise {
                    next()
                } else {
                    b"etaoin shrdlu\n"[usize::from(next() % 14)]
                }
            })
            .collect()
    }

    fn check(parts: &[(usize, bool)], max_ratio: f64) {
        let parts = parts.iter().zip(1..);
        let data: Vec<u8> = parts
            .flat_map(|(&(size, noise), seed)| data(size, noise, seed))
            .collect();
        let compress = |warm_up: &[u8]| {
            let mut out = Vec::new();
            block(warm_up, b"", true, &mut Vec::new()).unwrap();
            let mut before: &[u8] = b"";
            let mut blocks = data.chunks(4 * SEGMENT).peekable();
            while let Some(part) = blocks.next() {
                block(part, before, blocks.peek().is_none(), &mut out).unwrap();
                before = &part[part.len().saturating_sub(WINDOW)..];
            }
            out
        };
        let out = compress(b"a");
        assert!(
            out == compress(&data),
            "the bytes depend on what was compressed before"
        );
        assert!(
            out.len() as f64 <= data.len() as f64 * max_ratio + 64.0,
            "{} of {}",
            out.len(),
            data.len()
        );
        let mut inflated = Vec::new();
        DeflateDecoder::new(&out[..])
            .read_to_end(&mut inflated)
            .unwrap();
        assert!(inflated == data);
    }

    #[test]
    fn blocks_make_one_stream() {
        check(&[(1, false)], 1.0);
        check(&[(1_000_000, false)], 0.55);
        check(&[(1_000_000, true)], 1.000_08);
        check(&[(4 * SEGMENT, true)], 1.000_08);
        check(
            &[
                (100_000, true),
                (100_000, false),
                (300_000, true),
                (70_000, false),
                (20_000, true),
            ],
            0.95,
        );
        check(
            &[
                (SEGMENT, false),
                (SEGMENT, true),
                (3 * SEGMENT, false),
                (10, true),
            ],
            0.7,
        );
    }
}
