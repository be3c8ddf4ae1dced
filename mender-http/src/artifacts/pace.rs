//! How long the bytes of an upload may let us wait.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use mender_core::error::{Error, Result};
use tokio::time::timeout;

/// The longest pause between two pieces: uploads have no limit of time, but do not stand still.
const PAUSE: Duration = Duration::from_secs(60);

/// Breaks a stream off that stands still.
pub(super) fn paced(
    pieces: impl Stream<Item = Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream::unfold(Some(pieces.boxed()), |pieces| async {
        let mut pieces = pieces?;
        match timeout(PAUSE, pieces.next()).await {
            Ok(piece) => Some((piece?, Some(pieces))),
            Err(_) => {
                let still = Error::invalid("artifact", "unexpected EOF: the upload stands still");
                Some((Err(still), None))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stands_still_breaks_off() {
        let pieces = stream::iter([Ok(Bytes::from("a"))]).chain(stream::pending());
        let mut pieces = paced(pieces).boxed();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "a");
        assert!(pieces.next().await.unwrap().is_err());
        assert!(pieces.next().await.is_none());
    }
}
