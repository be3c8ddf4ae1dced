//! Facts that areas tell each other, and those who listen.

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ctx::Actor,
    env::Time,
    error::{Error, Source},
    id::{EventId, TenantId, Version},
};

/// The largest payload of an event, in bytes; larger facts are referred to.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// A fact as logic states it; the kernel adds who, when and which id.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The kind, `noun.verb` in the past tense.
    pub kind: String,
    /// The version of the payload's form.
    pub v: u32,
    /// What happened.
    pub payload: Value,
}

/// A form of facts: an enum with one case for each kind, serialised as
/// `#[serde(tag = "kind", content = "data")]`.
pub trait Fact: Serialize + DeserializeOwned {
    /// The version of the payloads' form.
    const V: u32 = 1;

    /// States the fact.
    ///
    /// # Panics
    /// Where the type is not serialised as an enum with `kind` and `data`: a bug.
    #[expect(clippy::expect_used, reason = "depends on the type alone; every type has a test")]
    fn event(&self) -> NewEvent {
        let mut tagged = serde_json::to_value(self).expect("facts serialise");
        let kind = tagged["kind"].as_str().expect("facts have a kind").to_owned();
        NewEvent { kind, v: Self::V, payload: tagged["data"].take() }
    }

    /// Reads the fact from an event of its kinds.
    ///
    /// # Errors
    /// Where the payload is of another form.
    fn of(event: &Event) -> Result<Self, Source> {
        let tagged = serde_json::json!({ "kind": event.kind, "data": event.payload });
        Ok(serde_json::from_value(tagged)?)
    }
}

/// A fact as it is stored and delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique, sorted by age. Subscribers recognise a repetition by it.
    pub id: EventId,
    /// The tenant.
    pub tenant: TenantId,
    /// The kind of the aggregate whose commit wrote the event.
    pub aggregate: String,
    /// The id of the aggregate.
    pub key: String,
    /// The version of the aggregate after the commit.
    pub version: Version,
    /// The kind, `noun.verb` in the past tense.
    pub kind: String,
    /// The version of the payload's form.
    pub v: u32,
    /// When it happened.
    pub at: Time,
    /// Who made it happen.
    pub actor: Actor,
    /// The id of the request that made it happen.
    pub trace: String,
    /// What happened.
    pub payload: Value,
}

/// What became of the delivery of one event.
#[derive(Debug)]
pub enum Outcome {
    /// Done, or nothing to do.
    Done,
    /// Failed; will be repeated with growing pauses.
    Retry(Error),
    /// Will never work: kept as a dead letter for an operator.
    Dead(Error),
}

impl From<Result<(), Error>> for Outcome {
    fn from(result: Result<(), Error>) -> Self {
        result.map_or_else(Self::Retry, |()| Self::Done)
    }
}

/// Which events a subscriber hears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kinds {
    /// Every one.
    All,
    /// Those of these kinds.
    Only(&'static [&'static str]),
}

impl Kinds {
    /// Tells whether the kind is among them.
    #[must_use]
    pub fn has(self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(&kind),
        }
    }
}

/// How events reach a subscriber.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// Right after the commit, in batches; by job after a failure.
    Prompt,
    /// By a job of its own: for what is slow by nature, such as HTTP calls and mail.
    Job,
    /// By jobs, the events of one aggregate one after the other by version.
    Ordered,
}

/// Listens to events. Every event arrives at least once, also after a crash.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// A stable name: stored with deliveries that wait.
    fn name(&self) -> &'static str;

    /// The kinds of events to hear.
    fn kinds(&self) -> Kinds;

    /// How they arrive.
    fn delivery(&self) -> Delivery {
        Delivery::Prompt
    }

    /// Whether events of this tenant are wanted; asked at delivery.
    fn wants(&self, _tenant: &TenantId) -> bool {
        true
    }

    /// Handles the events, and answers with one outcome for each. Repetitions must do no harm.
    async fn handle(&self, events: &[Event]) -> Vec<Outcome>;
}
