//! The file: a tar archive.
//!
//! | entry, in this order | what |
//! |---|---|
//! | `manifest.json` | [`Manifest`] |
//! | `keys/NAME` | a private key of the server |
//! | `tables/TABLE/N.jsonl.zst` | the columns, then rows, a line each |
//! | `blobs/KEY`, `sums/KEY` | a blob, then its SHA-256 |
//! | `sha256` | the checksum of every byte before this entry |

use std::io::{self, Write};

use mender_core::{Time, env::hex};
use ring::digest::{Context, Digest, SHA256};
use serde::{Deserialize, Serialize};

use super::Watch;

/// The version of the form that is written. Others are refused.
pub(super) const FORMAT: u32 = 1;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const KEYS: &str = "keys/";
pub(super) const TABLES: &str = "tables/";
pub(super) const BLOBS: &str = "blobs/";
pub(super) const SUMS: &str = "sums/";
pub(super) const TRAILER: &str = "sha256";

/// The size of a tar block.
pub(super) const BLOCK: u64 = 512;

/// The size of what follows the bytes that the checksum is of: head and body of the last entry, and
/// the end of the archive.
pub(super) const TAIL: u64 = 4 * BLOCK;

/// What the backup is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of the form.
    pub(super) format: u32,
    /// The version of the schema that the rows fit.
    pub(super) schema: i64,
    /// The kind of database that they come from.
    pub(super) database: String,
    /// When it was taken.
    pub(super) created: Time,
    /// The name of the key that signs.
    pub(super) signing_key: Option<String>,
}

/// The head of an entry. Nothing in it depends on the time or the machine.
pub(super) fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header
}

/// Adds the last entry: the checksum of every byte before it.
pub(super) fn end(tar: &mut tar::Builder<impl Write>, sum: &Digest) -> io::Result<()> {
    let sum = hex(sum.as_ref());
    tar.append_data(&mut header(sum.len() as u64), TRAILER, sum.as_bytes())
}

/// Returns the last bytes of a file, where those before have this checksum.
pub(super) fn tail(sum: &Digest) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    end(&mut tar, sum)?;
    tar.into_inner()
}

/// Sums up what is written.
pub(super) struct Summing<W> {
    to: W,
    sum: Context,
    bytes: u64,
    watch: Watch,
}

impl<W: Write> Summing<W> {
    pub(super) fn new(to: W, watch: Watch) -> Self {
        Self { to, sum: Context::new(&SHA256), bytes: 0, watch }
    }

    /// Returns the checksum of what was written so far.
    pub(super) fn sum(&self) -> Digest {
        self.sum.clone().finish()
    }

    pub(super) fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.sum.update(&bytes[..n]);
        self.bytes += n as u64;
        (self.watch)(self.bytes);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
