//! How fast a directory takes a blob: `cargo run --release -p mender-store --example blob_speed --
//! DIRECTORY [MIB]`, to be compared with `dd` or `cp` and `sync` in the same directory.

use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use mender_core::{
    StoreResult,
    blob::{BlobKey, Blobs as _},
};
use mender_store::BlobOptions;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "it measures")]
async fn main() -> StoreResult<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| ".".into());
    let mib: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2048);
    let blobs = BlobOptions::default().open(&format!("file://{dir}/blob-speed")).await?;
    let Some(key) = BlobKey::new("probe") else { return Ok(()) };
    for chunk in [16 << 10, 128 << 10, 1 << 20] {
        let bytes = Bytes::from(vec![42; chunk]);
        let chunks = (mib << 20) / chunk;
        let all = stream::repeat_with(move || Ok(bytes.clone())).take(chunks).boxed();
        let begun = Instant::now();
        let size = blobs.put_blob(&key, all).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let speed = size as f64 / seconds / 1e6;
        println!("chunks of {:4} KiB: {seconds:.2} s, {speed:.0} MB/s", chunk >> 10);
        blobs.delete_blob(&key).await?;
    }
    Ok(())
}
