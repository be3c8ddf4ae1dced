//! Checksums as manifests write them.

use ring::digest::Context;

/// The checksum in hex, once the last bytes are added.
pub(super) fn hex(mut sum: Context, last: &[u8]) -> String {
    sum.update(last);
    crate::env::hex(sum.finish().as_ref())
}
