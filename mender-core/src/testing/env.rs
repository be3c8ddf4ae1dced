use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::env::{Clock, Entropy, Env, Time};

/// Virtual time and repeatable randomness. Clones share both.
///
/// ```
/// use std::time::Duration;
/// use mender_core::testing::TestEnv;
///
/// let test = TestEnv::seeded(7);
/// let env = test.env();
/// let before = env.now();
/// test.advance(Duration::from_secs(60));
/// assert_eq!(env.now().since(before), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct TestEnv {
    now: Arc<AtomicI64>,
    seed: Arc<AtomicU64>,
}

impl TestEnv {
    /// Starts at noon of 1 January 2026, with randomness that depends on the seed alone.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let noon = 1_767_268_800_000;
        Self { now: Arc::new(AtomicI64::new(noon)), seed: Arc::new(AtomicU64::new(seed)) }
    }

    /// Returns the environment to build with.
    #[must_use]
    pub fn env(&self) -> Env {
        Env::new(self.clone(), self.clone())
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock, also back.
    pub fn set(&self, to: Time) {
        self.now.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for TestEnv {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::SeqCst))
    }
}

impl Entropy for TestEnv {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            // SplitMix64.
            let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}
