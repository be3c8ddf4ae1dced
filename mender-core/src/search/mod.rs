//! Search for reports: what inventory knows, by conditions, by place on earth, and in numbers.
//!
//! The answers come from the primary store, always of this moment, or from an **index** of its own
//! that an adapter keeps ([`SearchIndex`]). The index holds what [`inventory`](crate::inventory)
//! makes of each device, the same texts that the primary store finds devices by: so that both find
//! the same. It follows a moment behind, by events; devices in answers are those of the primary store.
//!
//! Reports of what deployments did on devices read the [records](DeviceRecord) themselves.

mod geo;
mod index;
mod model;
mod react;
mod records;
mod service;

pub use geo::{Area, Distance, InvalidDistance};
pub use index::{Hits, IndexDoc, SearchIndex, SortText};
pub use model::{Aggregation, Bucket, DeviceSearch, Term};
pub(crate) use react::FollowInventory;
use records::Best;
pub use records::{Condition, DeviceRecord, Field, FoundRecords, InvalidCondition, RecordSearch};
pub use service::{MAX_ATTRIBUTES, MAX_BUCKETS, MAX_WINDOW, Service};
