//! Work for several threads: whoever is idle takes the oldest.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

struct Inner<T> {
    waiting: VecDeque<T>,
    /// How many threads wait for work.
    idle: usize,
    closed: bool,
}

/// Work that was put in, until somebody takes it. Putting something in wakes one thread, and only
/// where one sleeps.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    more: Condvar,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let inner = Inner { waiting: VecDeque::new(), idle: 0, closed: false };
        Self { inner: Mutex::new(inner), more: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, work: T) {
        let mut inner = self.inner();
        inner.waiting.push_back(work);
        let is_awaited = inner.idle > 0;
        drop(inner);
        if is_awaited {
            self.more.notify_one();
        }
    }

    /// Takes the oldest; waits where there is nothing. `None` once it is closed and empty.
    pub(super) fn take(&self) -> Option<T> {
        let mut inner = self.inner();
        loop {
            if let Some(work) = inner.waiting.pop_front() {
                return Some(work);
            }
            if inner.closed {
                return None;
            }
            inner.idle += 1;
            inner = self.more.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    /// Nothing more is put in.
    pub(super) fn close(&self) {
        self.inner().closed = true;
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn all_work_is_taken_once_and_what_is_left_at_the_end_as_well() {
        let (queue, sum) = (Queue::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(n) = queue.take() {
                        sum.fetch_add(n, Ordering::Relaxed);
                    }
                });
            }
            (1..=10_000).for_each(|n| queue.put(n));
            queue.close();
        });
        assert_eq!(sum.into_inner(), 10_000 * 10_001 / 2);
        assert_eq!(queue.take(), None);
    }
}
