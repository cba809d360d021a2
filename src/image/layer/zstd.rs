//! Zstandard (RFC 8878). Some registries and tools recompress the layers of images with it.

use super::unpack::damaged;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Read};

/// The most memory that a frame may want: what decoders should offer (RFC 8878, "Window Descriptor").
const MAX_WINDOW: u64 = 8 << 20;

/// The content of frames that come one after the other; what they say to skip is skipped.
pub(crate) struct ZstdDecoder<R> {
    source: BufReader<R>,
    frame: FrameDecoder,
}

impl<R: Read> ZstdDecoder<R> {
    pub(crate) fn new(source: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW);
        let source = BufReader::new(source);
        Self { source, frame }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match self.frame.init(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let mut skipped = self.source.by_ref().take(u64::from(length));
                io::copy(&mut skipped, &mut io::sink()).map(drop)
            }
            result => result.map_err(damaged),
        }
    }
}

impl<R: Read> Read for ZstdDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.frame.can_collect() == 0 {
            if !self.frame.is_finished() {
                let some = BlockDecodingStrategy::UptoBytes(buffer.len());
                let decoded = self.frame.decode_blocks(&mut self.source, some);
                decoded.map_err(damaged)?;
            } else if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            } else {
                self.next_frame()?;
            }
        }
        self.frame.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_core::error::{Error, ErrorKind};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn check(blob: &[u8], expected: Option<&[u8]>) {
        let mut content = Vec::new();
        let read = ZstdDecoder::new(blob).read_to_end(&mut content);
        match expected {
            Some(expected) => {
                read.unwrap();
                assert!(content == expected, "{} bytes", content.len());
            }
            None => assert_eq!(Error::from(read.unwrap_err()).kind(), ErrorKind::Corrupt),
        }
    }

    #[test]
    fn frames_follow_each_other() {
        let frame = |content: &[u8]| compress_to_vec(content, CompressionLevel::Fastest);
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7 % 251) as u8).collect();
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        check(&frame(b"content"), Some(b"content"));
        check(&frame(b""), Some(b""));
        check(&frame(&long), Some(&long));
        let both = [&frame(b"a")[..], &skipped, &frame(b"b"), &skipped].concat();
        check(&both, Some(b"ab"));
        let whole = frame(&long);
        check(&whole[..whole.len() / 2], None);
        check(&[&frame(b"a")[..], b"rest"].concat(), None);
        // A window of a gigabyte: nobody gets that much memory.
        check(&[0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0], None);
    }
}
