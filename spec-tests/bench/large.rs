//! Layers of one large file: memory has to be the same for all sizes.

use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Written and left out in turns, so that the file can be compressed.
const PIECE: u64 = 1 << 20;

pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    let mut rows = Measured::new();
    let sizes = [
        (100_000_000, ["export, 100 MB", "restore, 100 MB"]),
        (3_000_000_000, ["export, 3 GB", "restore, 3 GB"]),
    ];
    for (size, [export, restore]) in sizes {
        let (exported, restored) = export_and_restore(scene, size)?;
        rows.push((export, exported));
        rows.push((restore, restored));
    }
    Ok(rows)
}

fn export_and_restore(scene: &Scene, size: u64) -> Result<(Cost, Cost)> {
    let cache = scene.cache_flag();
    scene.fresh_cache()?;
    scene.fresh_layers()?;
    let layer = scene.layer("large");
    std::fs::create_dir(&layer)?;
    write(&layer.join("file"), size)?;
    scene.declare_layer("large")?;
    scene.layout_phase("analyzer", &[])?;
    let exported = scene.layout_phase("exporter", &[&cache])?;
    scene.fresh_layers()?;
    scene.layout_phase("analyzer", &[])?;
    Ok((exported, scene.layout_phase("restorer", &[&cache])?))
}

/// A file of `size` bytes, half of it noise.
fn write(path: &Path, size: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let mut state = size;
    let mut noise = Vec::with_capacity(PIECE as usize);
    let mut at = 0;
    while at + PIECE < size {
        noise.clear();
        while (noise.len() as u64) < PIECE {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend_from_slice(&state.to_le_bytes());
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&noise)?;
        at += 2 * PIECE;
    }
    Ok(file.set_len(size)?)
}
