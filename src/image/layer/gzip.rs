//! gzip in blocks that workers compress on their own, each into members of its own: a gzip file is any number of them, one after the
//! other (RFC 1952, 2.2), and what reads layers reads them all, as it has to for estargz. The bytes depend on the content alone.

use libdeflater::{CompressionLvl, Compressor, crc32};
use lifecycle_core::error::{Error, Result};
use std::cell::RefCell;

/// No name, no time, fastest compression, unknown system: what the reference's encoder writes, and libdeflate.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// How much is judged as one: the most that deflate's stored form holds under one header.
pub(super) const SEGMENT: usize = 65535;
/// What is shorter is always compressed: too little to judge by.
const SHORTEST_NOISE: usize = 16 << 10;

/// The fastest level that compresses; its result is smaller than the reference's.
const LEVEL: i32 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Compressor> =
        RefCell::new(Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()));
}

/// Compresses one block into `out`.
///
/// # Errors
/// Never in practice; the compressor's interface can fail.
pub(super) fn block(data: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let mut segments = rest.chunks(SEGMENT);
        let noise = segments.next().is_some_and(is_noise);
        let alike = 1 + segments
            .take_while(|segment| is_noise(segment) == noise)
            .count();
        let (run, behind) = rest.split_at(rest.len().min(alike * SEGMENT));
        match noise {
            true => store(run, out),
            false => compress(run, out)?,
        }
        rest = behind;
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

/// Writes data as it is (RFC 1951, 3.2.4), as a member.
fn store(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    let mut segments = data.chunks(SEGMENT).peekable();
    while let Some(segment) = segments.next() {
        let length = segment.len() as u16;
        out.push(u8::from(segments.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(segment);
    }
    out.extend_from_slice(&crc32(data).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
}

/// Writes data as a compressed member.
fn compress(data: &[u8], out: &mut Vec<u8>) -> Result<()> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let start = out.len();
        out.resize(start + compressor.gzip_compress_bound(data.len()), 0);
        let size = compressor
            .gzip_compress(data, &mut out[start..])
            .map_err(Error::other)?;
        out.truncate(start + size);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
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
            block(warm_up, &mut Vec::new()).unwrap();
            for part in data.chunks(4 * SEGMENT) {
                block(part, &mut out).unwrap();
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
        MultiGzDecoder::new(&out[..])
            .read_to_end(&mut inflated)
            .unwrap();
        assert!(inflated == data);
    }

    #[test]
    fn blocks_make_one_file() {
        check(&[(1, false)], 1.0);
        check(&[(1_000_000, false)], 0.55);
        check(&[(1_000_000, true)], 1.000_2);
        check(&[(4 * SEGMENT, true)], 1.000_2);
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
