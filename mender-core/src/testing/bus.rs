//! The contract of [`Bus`]: what everything must do that carries messages between nodes.
//!
//! ```no_run
//! use mender_core::{bus::LocalBus, testing::bus};
//!
//! fn main() -> std::process::ExitCode {
//!     let local = async || {
//!         let bus = LocalBus::default();
//!         bus::Harness::new(bus.clone(), bus)
//!     };
//!     bus::main(vec![bus::Adapter::new("local", local)])
//! }
//! ```
#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{fmt, sync::Arc};

use bytes::Bytes;

pub use super::suite::main;
use super::suite::{Claimed, claims};
use crate::{
    bus::{Bus, Listener, Message},
    env::Env,
    id::TenantId,
};

/// More messages than any bus keeps for one that does not listen.
const MANY: usize = 5000;

/// Two nodes that share a bus, for one case.
pub struct Harness {
    /// A node.
    pub here: Arc<dyn Bus>,
    /// Another one, or the same where a bus is of one process.
    pub there: Arc<dyn Bus>,
    mark: String,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("mark", &self.mark).finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness over two nodes of a bus, which others may use meanwhile.
    pub fn new(here: impl Bus, there: impl Bus) -> Self {
        let mark = format!("contract.{}", Env::system().uuid());
        Self { here: Arc::new(here), there: Arc::new(there), mark }
    }

    /// A message that no other case hears.
    fn message(&self, payload: impl Into<Bytes>) -> Message {
        let tenant = "one".parse().unwrap();
        Message { tenant, subject: self.mark.clone(), payload: payload.into() }
    }
}

/// Listens to messages with the tenant and subject of this one.
async fn ear(bus: &Arc<dyn Bus>, like: &Message) -> Box<dyn Listener> {
    bus.listen(&like.tenant, &like.subject).await.unwrap()
}

/// Sends a message, as soon as there is room for it.
async fn send(bus: &Arc<dyn Bus>, message: &Message) {
    while bus.publish(message.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Returns the next message, which must not be lost.
async fn heard(ear: &mut Box<dyn Listener>) -> Message {
    ear.next().await.expect("a message")
}

fn number(message: &Message) -> usize {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

/// A claim that every bus must fulfil.
pub type Case = super::suite::Case<Harness>;

/// An implementation of [`Bus`], to be tested: two nodes for each case, which can listen and publish
/// when they are returned.
pub type Adapter = super::suite::Adapter<Harness>;

claims!["bus":
    a_message_is_heard_as_it_was_sent,
    every_node_hears_what_any_of_them_sends,
    every_listener_hears_every_message,
    a_tenant_hears_only_its_own_messages,
    only_exactly_the_same_subject_is_heard,
    messages_of_one_publisher_come_in_their_order,
    what_was_sent_before_is_not_heard,
    who_falls_behind_is_told_and_disturbs_nobody,
    who_stops_listening_disturbs_nobody,
    nobody_need_listen,
    a_bus_that_works_passes_its_check,
];

/// Returns every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    CASES.to_vec()
}

impl Claimed for Harness {
    fn cases() -> Vec<Case> {
        cases()
    }
}

async fn a_message_is_heard_as_it_was_sent(h: &Harness) {
    let mut ear = ear(&h.here, &h.message("")).await;
    let long = b"0123456789abcdef".repeat(4096);
    for payload in [&b""[..], b"\0\r\n\xff\r\nPING\r\n", &long] {
        let message = h.message(payload.to_vec());
        send(&h.here, &message).await;
        assert_eq!(heard(&mut ear).await, message);
    }
}

async fn every_node_hears_what_any_of_them_sends(h: &Harness) {
    let message = h.message("");
    let mut ears = [ear(&h.here, &message).await, ear(&h.there, &message).await];
    for (round, from) in [&h.here, &h.there, &h.here].into_iter().enumerate() {
        send(from, &h.message(round.to_string())).await;
        for ear in &mut ears {
            assert_eq!(number(&heard(ear).await), round);
        }
    }
}

async fn every_listener_hears_every_message(h: &Harness) {
    let mut ears = Vec::new();
    for _ in 0..3 {
        ears.push(ear(&h.there, &h.message("")).await);
    }
    for n in 0..10 {
        send(&h.here, &h.message(n.to_string())).await;
    }
    for ear in &mut ears {
        for n in 0..10 {
            assert_eq!(number(&heard(ear).await), n);
        }
    }
}

/// Sends each of the messages, then to each of their listeners a last one: each must have heard
/// one of each.
async fn each_hears_its_own(h: &Harness, messages: &[Message]) {
    let mut ears = Vec::new();
    for message in messages {
        ears.push(ear(&h.there, message).await);
    }
    for message in messages {
        send(&h.here, message).await;
    }
    for (message, ear) in messages.iter().zip(&mut ears) {
        let last = Message { payload: Bytes::from_static(b"last"), ..message.clone() };
        send(&h.here, &last).await;
        assert_eq!(heard(ear).await, *message);
        assert_eq!(heard(ear).await, last);
    }
}

async fn a_tenant_hears_only_its_own_messages(h: &Harness) {
    let ids = ["", "_", "%", "%5F", "-", "a", "A", "a.b", "b", "*", ">", "a b", "\u{e9}", "\u{a0}"];
    let long = "\u{1f4e1}".repeat(256);
    let message = |id: &str| {
        let tenant: TenantId = id.parse().unwrap();
        Message { tenant, ..h.message(id.to_owned()) }
    };
    let messages: Vec<_> = ids.into_iter().chain([long.as_str()]).map(message).collect();
    each_hears_its_own(h, &messages).await;
}

async fn only_exactly_the_same_subject_is_heard(h: &Harness) {
    let ends = ["", ".a", ".A", ".a.b", ".*", ".>", "..a", ".", ".a b", ".\u{e9}", ".a\r\nb", "._"];
    let message = |end: &str| {
        let subject = format!("{}{end}", h.mark);
        Message { subject, ..h.message(end.to_owned()) }
    };
    let messages: Vec<_> = ends.into_iter().map(message).collect();
    each_hears_its_own(h, &messages).await;
}

async fn messages_of_one_publisher_come_in_their_order(h: &Harness) {
    let mut ear = ear(&h.there, &h.message("")).await;
    for round in 0..10 {
        let numbers = round * 100..(round + 1) * 100;
        for n in numbers.clone() {
            send(&h.here, &h.message(n.to_string())).await;
        }
        for n in numbers {
            assert_eq!(number(&heard(&mut ear).await), n);
        }
    }
}

async fn what_was_sent_before_is_not_heard(h: &Harness) {
    for n in 0..10 {
        send(&h.here, &h.message(n.to_string())).await;
        let mut ear = ear(&h.here, &h.message("")).await;
        send(&h.here, &h.message("now")).await;
        assert_eq!(heard(&mut ear).await.payload, "now");
    }
}

async fn who_falls_behind_is_told_and_disturbs_nobody(h: &Harness) {
    let mut slow = ear(&h.there, &h.message("")).await;
    let mut quick = ear(&h.there, &h.message("")).await;
    for n in 0..MANY {
        send(&h.here, &h.message(n.to_string())).await;
        assert_eq!(number(&heard(&mut quick).await), n);
    }
    let mut expected = 0;
    while let Some(message) = slow.next().await {
        assert_eq!(number(&message), expected, "nothing is missing before it is told");
        expected += 1;
        assert!(expected < MANY, "nothing was lost, so this case needs more messages");
    }
    let mut anew = ear(&h.there, &h.message("")).await;
    send(&h.here, &h.message("0")).await;
    assert_eq!(number(&heard(&mut anew).await), 0);
    assert_eq!(number(&heard(&mut quick).await), 0);
}

async fn who_stops_listening_disturbs_nobody(h: &Harness) {
    let mut ears = vec![ear(&h.there, &h.message("")).await, ear(&h.there, &h.message("")).await];
    send(&h.here, &h.message("0")).await;
    let mut left = ears.pop().unwrap();
    drop(ears);
    for n in 1..100 {
        send(&h.here, &h.message(n.to_string())).await;
    }
    for n in 0..100 {
        assert_eq!(number(&heard(&mut left).await), n);
    }
}

async fn nobody_need_listen(h: &Harness) {
    for _ in 0..100 {
        h.here.publish(h.message("x")).await.unwrap();
    }
}

async fn a_bus_that_works_passes_its_check(h: &Harness) {
    h.here.check_bus().await.unwrap();
}
