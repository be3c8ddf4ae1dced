use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::error::{StoreError, StoreResult};

const NEVER: u64 = u64::MAX;

/// When to fail. Clones share the count, so that several ports fail as one.
#[derive(Clone, Debug)]
pub struct Faults(Arc<State>);

#[derive(Debug)]
struct State {
    calls: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        let never = || AtomicU64::new(NEVER);
        Self(Arc::new(State { calls: AtomicU64::new(0), before: never(), after: never() }))
    }
}

impl Faults {
    fn arm(&self, before: u64, after: u64) {
        self.0.calls.store(0, Ordering::SeqCst);
        self.0.before.store(before, Ordering::SeqCst);
        self.0.after.store(after, Ordering::SeqCst);
    }

    /// Fails the n-th port call from now, counted from 1, before it is applied.
    pub fn fail_before(&self, n: u64) {
        self.arm(n, NEVER);
    }

    /// Fails the n-th port call from now, counted from 1, after it was applied.
    pub fn fail_after(&self, n: u64) {
        self.arm(NEVER, n);
    }

    /// Fails nothing any more, and counts from 0.
    pub fn heal(&self) {
        self.arm(NEVER, NEVER);
    }

    /// Returns how many port calls there were since the last change of plan.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }
}

/// A store whose calls fail on demand; implements every port that the wrapped one does.
#[derive(Clone, Debug)]
pub struct Faulty<P> {
    inner: P,
    faults: Faults,
}

/// A port call that has begun.
#[derive(Debug)]
pub struct Call(bool);

fn broken() -> StoreError {
    StoreError::unavailable("fault injected by a test")
}

impl<P> Faulty<P> {
    /// Wraps a store.
    pub fn new(inner: P, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// Returns the wrapped store.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// Counts a call; fails it where the plan says so. For [`crate::port!`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] for the planned call.
    pub fn begin(&self, _method: &'static str) -> StoreResult<Call> {
        let state = &self.faults.0;
        let n = state.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if n == state.before.load(Ordering::SeqCst) {
            return Err(broken());
        }
        Ok(Call(n == state.after.load(Ordering::SeqCst)))
    }
}

impl Call {
    /// Passes the answer on; loses it where the plan says so.
    ///
    /// # Errors
    /// The answer's, or [`StoreError::Unavailable`] for the planned call.
    pub fn end<T>(self, answer: StoreResult<T>) -> StoreResult<T> {
        if self.0 { Err(broken()) } else { answer }
    }
}
