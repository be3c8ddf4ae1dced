//! Inventory: what is known about devices, static groups, and searches.
//!
//! A **device** has **attributes**, each a value under a scope and a name. The scope says who owns
//! it: devices report `inventory`, device authentication tells `identity`, users set `tags`, the
//! server keeps `system`, monitoring `monitor`. The attribute `system/group` is the device's
//! **static group**: a group is there as long as a device is in it. A **saved filter** is a dynamic
//! group: its devices are those that fit when one looks.
//!
//! A [`Query`] is compiled to a [`Search`] over index texts ([`entries`]), so that it finds the same
//! in every store. Patterns, and the order by relevance of free text, cost as much as there are
//! devices that come into question; an index answers everything else, apart from exact counts.
//!
//! What device authentication knows of a device is copied whenever one of its events says that it
//! changed.

pub mod entries;
mod events;
pub mod logic;
mod model;
mod query;
mod react;
mod service;
mod store;
mod words;

pub use events::{FilterEvent, InventoryEvent};
pub use model::{
    Attribute, AttributeName, Attributes, Coordinates, Device, Facts, Filter, FilterId, GroupName,
    InvalidGroup, InvalidValue, NewAttribute, Place, Value, name,
};
pub use query::{InvalidPredicate, MAX_KEYS, MAX_TERMS, Op, Operand, Predicate, Query, Search};
pub(crate) use react::{FactsOf, FollowDevices};
pub(crate) use service::GroupOf;
pub use service::{
    Config, Found, How, Line, LineOutcome, Moved, NameCount, Service, Statistics, Statuses,
};
pub use store::{Store, Tally};
pub use words::words;
