//! Work for several threads: whoever is idle takes the oldest.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

struct Inner<T> {
    waiting: VecDeque<T>,
    /// How many threads sleep.
    asleep: usize,
    /// One of them was woken, and has yet to look.
    waking: bool,
    closed: bool,
}

/// Work that was put in, until somebody takes it.
///
/// One thread is woken at a time: to wake one costs as much as a short read, and whoever is awake
/// takes what came meanwhile. Who finds more than it takes wakes the next one, so that nothing
/// waits behind long work while others sleep.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    more: Condvar,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let inner = Inner { waiting: VecDeque::new(), asleep: 0, waking: false, closed: false };
        Self { inner: Mutex::new(inner), more: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, work: T) {
        let mut inner = self.inner();
        inner.waiting.push_back(work);
        self.wake(inner);
    }

    /// Wakes a thread, where one sleeps and none is about to look.
    fn wake(&self, mut inner: MutexGuard<'_, Inner<T>>) {
        let wakes = inner.asleep > 0 && !inner.waking;
        inner.waking |= wakes;
        drop(inner);
        if wakes {
            self.more.notify_one();
        }
    }

    /// Takes the oldest; waits where there is nothing. `None` once it is closed and empty.
    pub(super) fn take(&self) -> Option<T> {
        let mut inner = self.inner();
        loop {
            if let Some(work) = inner.waiting.pop_front() {
                if !inner.waiting.is_empty() {
                    self.wake(inner);
                }
                return Some(work);
            }
            if inner.closed {
                return None;
            }
            inner.asleep += 1;
            inner = self.more.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.asleep -= 1;
            inner.waking = false;
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
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
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

    #[test]
    fn nothing_waits_behind_long_work_while_others_sleep() {
        // Of two threads both take something, or it never ends.
        let (queue, busy) = (Queue::new(), Barrier::new(3));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while queue.take().is_some() {
                        busy.wait();
                    }
                });
            }
            for _ in 0..1000 {
                queue.put(());
                queue.put(());
                busy.wait();
            }
            queue.close();
        });
    }
}
