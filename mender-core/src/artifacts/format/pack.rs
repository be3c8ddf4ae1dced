//! Packs an archive piece by piece.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::inflate::Compression;

/// What packs, and what it has packed.
pub(super) enum Packer {
    None(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Xz(XzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Packer {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let to = Vec::new();
        Ok(match compression {
            Compression::None => Self::None(to),
            Compression::Gzip => Self::Gzip(GzEncoder::new(to, flate2::Compression::default())),
            Compression::Xz => Self::Xz(XzEncoder::new(to, 6)),
            Compression::Zstd => {
                let mut encoder = ZstdEncoder::new(to, 0)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes bytes, and returns what came out so far.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let done = match self {
            Self::None(to) => {
                to.extend_from_slice(bytes);
                to
            }
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_mut()
            }
            Self::Xz(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_mut()
            }
            Self::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(done))
    }

    /// Returns what is left.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}
