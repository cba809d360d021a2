//! The tar of a layer that is at hand compressed.

use super::zstd::ZstdDecoder;
use super::{Layer, LayerSource};
use flate2::read::MultiGzDecoder;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::fs::File;
use std::io::{self, Chain, Cursor, Read};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Opens the tar of a layer that is stored or has just been made, uncompressed and not yet compared with its diffID. Blobs say themselves how they
/// are compressed; media types lie.
///
/// # Errors
/// Kind `NotFound`: the store does not hold the layer's data. Or the store fails.
pub fn open_stored(layer: &Layer) -> Result<Box<dyn Read + Send>> {
    let diff_id = layer.diff_id;
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            format!("the data of layer {diff_id} is missing"),
        )
    };
    let blob: Box<dyn Read + Send> = match &layer.source {
        LayerSource::Stored { descriptor, blobs } => blobs.open(descriptor)?.ok_or_else(missing)?,
        LayerSource::Spooled(blob) => {
            let file = File::open(blob.file.path());
            Box::new(file.context(|| format!("open layer {diff_id}"))?)
        }
        LayerSource::Recipe(_) => {
            return Err(Error::other(format!("layer {diff_id} is not compressed")));
        }
    };
    let tar = decompress(blob).context(|| format!("read layer {diff_id}"))?;
    Ok(Box::new(tar))
}

/// The content of a layer's blob, or of any file: what it starts with says how it is compressed, by gzip, zstd or not at all.
///
/// # Errors
/// `blob` fails.
pub fn decompress<R: Read>(mut blob: R) -> Result<Unpacked<R>> {
    let mut start = Vec::with_capacity(ZSTD.len());
    blob.by_ref()
        .take(ZSTD.len() as u64)
        .read_to_end(&mut start)?;
    let (gzip, zstd) = (start.starts_with(&GZIP), start == ZSTD);
    let blob = Cursor::new(start).chain(blob);
    Ok(Unpacked(match () {
        () if gzip => Content::Gzip(Box::new(MultiGzDecoder::new(blob))),
        () if zstd => Content::Zstd(Box::new(ZstdDecoder::new(blob))),
        () => Content::Plain(blob),
    }))
}

type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// What is in a blob.
pub struct Unpacked<R>(Content<R>);

enum Content<R> {
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    Zstd(Box<ZstdDecoder<Whole<R>>>),
    Plain(Whole<R>),
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Content::Gzip(blob) => blob.read(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => damaged(error),
                // What it reads from failed.
                _ => error,
            }),
            Content::Zstd(blob) => blob.read(buffer),
            Content::Plain(blob) => blob.read(buffer),
        }
    }
}

/// An error of a decompressor: its input is not what it should be.
pub(super) fn damaged(error: impl std::fmt::Display) -> io::Error {
    let cause = Error::new(ErrorKind::Corrupt, error);
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::BlobSource;
    use crate::oci::{Descriptor, DiffId};
    use std::io::Write;
    use std::sync::Arc;

    struct Blob(Option<Vec<u8>>);

    impl BlobSource for Blob {
        fn open(&self, _: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
            Ok(self
                .0
                .clone()
                .map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>))
        }
    }

    fn check(blob: Option<Vec<u8>>, expected: std::result::Result<&[u8], ErrorKind>) {
        let layer = Layer {
            diff_id: DiffId::of(b""),
            history: None,
            source: LayerSource::Stored {
                descriptor: Descriptor::of(b"", "type"),
                blobs: Arc::new(Blob(blob)),
            },
        };
        let content = open_stored(&layer)
            .map_err(|error| error.kind())
            .map(|mut tar| {
                let mut content = Vec::new();
                tar.read_to_end(&mut content).unwrap();
                content
            });
        assert_eq!(content, expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn compression_is_recognised() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"content").unwrap();
        check(Some(gzip.finish().unwrap()), Ok(b"content"));
        check(Some(b"content".to_vec()), Ok(b"content"));
        check(Some(b"x".to_vec()), Ok(b"x"));
        check(Some(Vec::new()), Ok(b""));
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(&b"content"[..], level);
        check(Some(zstd), Ok(b"content"));
        check(None, Err(ErrorKind::NotFound));
    }
}
