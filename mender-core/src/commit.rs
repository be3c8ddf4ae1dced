//! Writes as data: one aggregate, its charges and its events, stored together or not at all.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    env::Time,
    event::{Event, NewEvent},
    id::Version,
};

/// A thing that is loaded, decided on and stored as a whole.
pub trait Aggregate: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name of the kind, `area.noun`.
    const KIND: &'static str;

    /// The largest stored form, in bytes; services refuse more with
    /// [`crate::error::Kind::TooLarge`].
    const MAX_BYTES: usize = 1 << 20;

    /// The id, unique within tenant and kind.
    fn id(&self) -> &str;

    /// The version, which grows by one with every stored change.
    fn version(&self) -> Version;

    /// Sets the version; called by [`Commit::update`] only.
    fn set_version(&mut self, version: Version);

    /// The one scalar that the store keeps unique within tenant and kind.
    fn unique(&self) -> Key;

    /// What the aggregate is found and sorted by.
    fn index(&self) -> Vec<IndexKey>;
}

/// The value of a unique field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// The field, as [`crate::error::StoreError::Duplicate`] names it.
    pub field: &'static str,
    /// Its value.
    pub value: String,
}

/// One thing that an aggregate is found or sorted by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum IndexKey {
    /// The aggregate is among those with this value of this field; a field may have many.
    Field(&'static str, String),
    /// Where the aggregate stands in this order. One value for each order.
    Order(&'static str, String),
    /// An index text of the aggregate's own making, below U+007F or escaped.
    Text(String),
    /// Where the aggregate stands among those that have a place under this name. Names are the
    /// data's, and many: stores keep the place, and no index of it.
    Sort(String, String),
}

/// A decision: what to store, or nothing.
///
/// Logic returns it, services store it. Everything in it happens together or not at all.
#[derive(Clone, Debug)]
#[must_use = "a commit does nothing until it is stored"]
pub struct Commit<A> {
    /// The change of the one aggregate.
    pub change: Change<A>,
    /// What the change takes from quotas, or gives back.
    pub charges: Vec<Charge>,
    /// What others are told.
    pub events: Vec<NewEvent>,
    /// Which cached state of other nodes is out of date with it.
    pub invalidates: Vec<Topic>,
}

/// The change of one aggregate.
#[derive(Clone, Debug)]
pub enum Change<A> {
    /// No change, no I/O.
    Nothing,
    /// A new aggregate.
    Insert(A),
    /// Another state of the aggregate; applies only to the version of `was`.
    Update {
        /// The state that was loaded.
        was: A,
        /// The state to store.
        to: A,
    },
    /// The end of the aggregate; applies only to its version.
    Delete(A),
}

impl<A> Change<A> {
    /// Returns the aggregate as it is after the change, or as it last was.
    pub fn aggregate(&self) -> Option<&A> {
        match self {
            Self::Nothing => None,
            Self::Insert(a) | Self::Update { to: a, .. } | Self::Delete(a) => Some(a),
        }
    }
}

/// A draw on a quota of the tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Charge {
    /// The name of the quota.
    pub quota: String,
    /// What is done to it.
    pub draw: Draw,
}

/// What is done to a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Draw {
    /// Takes as many units; refused with [`crate::error::StoreError::LimitReached`] when fewer
    /// are free.
    Take(i64),
    /// Gives as many units back; never refused.
    Give(i64),
    /// Raises what is taken to as much, which is above zero; refused with
    /// [`crate::error::StoreError::LimitReached`] where it is as much already. For what only ever
    /// rises: what is free stays as it is.
    Raise(i64),
    /// Moves the limit by as much; never refused. What is free may go below zero.
    Move(i64),
}

/// Cached state that others may hold: a kind of thing and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// The kind of thing, for instance `auth.device`.
    pub kind: &'static str,
    /// Which one; empty for all of the tenant.
    pub key: String,
}

impl<A: Aggregate> Commit<A> {
    fn of(change: Change<A>) -> Self {
        Self { change, charges: Vec::new(), events: Vec::new(), invalidates: Vec::new() }
    }

    /// Changes nothing.
    pub fn nothing() -> Self {
        Self::of(Change::Nothing)
    }

    /// Stores a new aggregate.
    pub fn insert(aggregate: A) -> Self {
        Self::of(Change::Insert(aggregate))
    }

    /// Stores the next state, one version on.
    pub fn update(was: A, mut to: A) -> Self {
        to.set_version(was.version().next());
        Self::of(Change::Update { was, to })
    }

    /// Ends the aggregate.
    pub fn delete(aggregate: A) -> Self {
        Self::of(Change::Delete(aggregate))
    }

    /// Says why this commit tells nobody.
    pub fn quiet(self, reason: &'static str) -> Self {
        debug_assert!(self.events.is_empty(), "quiet, yet with events: {reason}");
        self
    }

    /// Draws on a quota.
    pub fn charge(mut self, quota: impl Into<String>, draw: Draw) -> Self {
        self.charges.push(Charge { quota: quota.into(), draw });
        self
    }

    /// Tells others.
    pub fn event(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }

    /// Makes caches of other nodes forget.
    pub fn invalidate(mut self, kind: &'static str, key: impl Into<String>) -> Self {
        self.invalidates.push(Topic { kind, key: key.into() });
        self
    }

    /// Tells whether there is nothing to store.
    pub fn is_nothing(&self) -> bool {
        matches!(self.change, Change::Nothing)
    }

    /// Returns the aggregate as it is after the change, or as it last was.
    pub fn aggregate(&self) -> Option<&A> {
        self.change.aggregate()
    }
}

/// A commit on its way to the store: with its own id, its events complete and leased.
///
/// Made by the kernel, by nothing else in the server.
#[derive(Clone, Debug)]
pub struct Stamped<A> {
    /// The id of the commit; kept with the aggregate, so that an adapter that lost the
    /// database's answer can find out whether the commit was applied.
    pub id: String,
    /// The change.
    pub change: Change<A>,
    /// The draws on quotas.
    pub charges: Vec<Charge>,
    /// The events to append.
    pub events: Vec<Event>,
    /// Until when the events belong to the committing node.
    pub lease_until: Time,
    /// The invalidations to append to the feed.
    pub invalidates: Vec<Topic>,
    /// When the commit is made.
    pub at: Time,
}
