//! Since when this node has been there, without a break.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::env::Time;

/// A node that notes nothing for so long was away: it did not run, its store was not there, or its
/// clock was set.
const BREAK: Duration = Duration::from_secs(30);

pub(crate) struct Presence(Mutex<Span>);

#[derive(Clone, Copy)]
struct Span {
    since: Time,
    /// When the node noted last that it is there; `None`: it does not do so.
    last: Option<Time>,
}

impl Span {
    fn is_broken(self, now: Time) -> bool {
        self.last.is_some_and(|last| now < last || now.since(last) > BREAK)
    }
}

impl Presence {
    pub(crate) fn new(now: Time) -> Self {
        Self(Mutex::new(Span { since: now, last: None }))
    }

    /// Notes that the node is there and reaches its store, as it does every second.
    pub(crate) fn note(&self, now: Time) {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if span.is_broken(now) {
            span.since = now;
        }
        span.last = Some(now);
    }

    /// Returns since when the node has been there. Who was silent for longer may have tried in vain
    /// to say something.
    pub(crate) fn since(&self, now: Time) -> Time {
        let span = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if span.is_broken(now) { now } else { span.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_ends_the_presence_and_a_clock_that_is_set_is_one() {
        let at = |seconds: i64| Time(seconds * 1000);
        let presence = Presence::new(at(100));
        assert_eq!(presence.since(at(5000)), at(100), "nobody notes anything");
        for seconds in 5000..5100 {
            presence.note(at(seconds));
            assert_eq!(presence.since(at(seconds + 30)), at(100));
        }
        // Also before anybody has noted that it is over.
        assert_eq!(presence.since(at(5200)), at(5200));
        presence.note(at(5200));
        assert_eq!(presence.since(at(5201)), at(5200));
        presence.note(at(4000));
        assert_eq!(presence.since(at(4001)), at(4000));
    }
}
