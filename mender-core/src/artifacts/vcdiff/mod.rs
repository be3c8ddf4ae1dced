//! Binary deltas in the format VCDIFF (RFC 3284), as xdelta3 writes and reads them.
//!
//! The bytes that two images have in common are found by the crate `oxidelta`; this module cuts
//! images of any size into windows, so that memory is bounded, and packs what comes out.
//!
//! ```
//! use std::io::Cursor;
//! use mender_core::artifacts::vcdiff::{Encoding, decode, encode};
//!
//! let (old, new) = (b"the old image".repeat(1000), b"the new image".repeat(1000));
//! let mut delta = Vec::new();
//! encode(&mut Cursor::new(&old), &mut new.as_slice(), &mut delta, &Encoding::default())?;
//! assert!(delta.len() < 200);
//!
//! let mut again = Vec::new();
//! decode(&mut Cursor::new(&old), &mut delta.as_slice(), &mut again)?;
//! assert_eq!(again, new);
//! # Ok::<(), std::io::Error>(())
//! ```

mod decode;
mod encode;
mod secondary;

use std::io::{self, Read};

pub use decode::decode;
pub use encode::encode;

/// How a delta is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoding {
    /// How many bytes of the source are looked at for each window of the target; within
    /// [`Encoding::SOURCE_WINDOWS`].
    pub source_window: u64,
    /// How many bytes of the target are encoded at a time, at most as many as of the source;
    /// within [`Encoding::TARGET_WINDOWS`].
    pub target_window: u64,
    /// How hard it is tried: 1 to 9.
    pub level: u32,
    /// Whether each window has a checksum.
    pub checksums: bool,
}

impl Encoding {
    /// What source windows may have: all of a large one is in memory, here and on devices.
    pub const SOURCE_WINDOWS: std::ops::RangeInclusive<u64> = 16 << 10..=1 << 30;

    /// What target windows may have; xdelta3 decodes none that are larger.
    pub const TARGET_WINDOWS: std::ops::RangeInclusive<u64> = 16 << 10..=16 << 20;
}

impl Default for Encoding {
    fn default() -> Self {
        Self { source_window: 64 << 20, target_window: 8 << 20, level: 3, checksums: true }
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn unsupported(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// Reads as many bytes as this, or all that are left.
fn read_up_to(from: &mut impl Read, size: u64, to: &mut Vec<u8>) -> io::Result<()> {
    to.clear();
    from.by_ref().take(size).read_to_end(to)?;
    Ok(())
}

#[cfg(test)]
mod tests;
