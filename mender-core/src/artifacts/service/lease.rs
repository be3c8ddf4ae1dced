use std::time::Duration;

use crate::error::Result;

/// Does work that is leased, and shows every now and then that it goes on.
///
/// # Errors
/// Those of the work, and that of `renew` where the lease is somebody else's by now.
pub(super) async fn keep<T, F: Future<Output = Result<()>>>(
    lease: Duration,
    renew: impl Fn() -> F,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let lost = async {
        loop {
            tokio::time::sleep(lease / 4).await;
            match renew().await {
                Err(error) if error.is_stale() => return error,
                // The store may be back before the lease ends.
                Err(error) => tracing::warn!(%error, "no sign of life was given"),
                Ok(()) => {}
            }
        }
    };
    tokio::select! {
        done = work => done,
        lost = lost => Err(lost),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::StoreError;

    const LEASE: Duration = Duration::from_secs(40);

    #[tokio::test(start_paused = true)]
    async fn signs_are_given_until_the_work_is_done() {
        let signs = AtomicU32::new(0);
        let renew = || {
            // The store is away for a moment.
            std::future::ready(match signs.fetch_add(1, Ordering::Relaxed) {
                1 => Err(StoreError::unavailable("away").into()),
                _ => Ok(()),
            })
        };
        let work = async {
            tokio::time::sleep(Duration::from_secs(35)).await;
            Ok(7)
        };
        assert_eq!(keep(LEASE, renew, work).await.unwrap(), 7);
        assert_eq!(signs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_taken_over_ends() {
        let renew = || std::future::ready(Err(StoreError::Conflict.into()));
        let kept: Result<()> = keep(LEASE, renew, std::future::pending()).await;
        assert!(kept.unwrap_err().is_stale());
    }
}
