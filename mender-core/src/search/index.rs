use crate::{
    id::{DeviceId, TenantId, Version},
    index::Span,
    inventory::{
        Device, Place, Search, Tally,
        entries::{self, Entry},
    },
    port,
};

/// The smallest and the greatest text of an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SortText {
    /// What both begin with.
    pub prefix: String,
    /// The smallest.
    pub first: String,
    /// The greatest.
    pub last: String,
}

/// A device as an index holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexDoc {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// Its version: an index keeps the greatest.
    pub version: Version,
    /// Where it stands in lists.
    pub place: Place,
    /// What it is found by.
    pub texts: Vec<String>,
    /// What it is sorted by, for each attribute.
    pub sorts: Vec<SortText>,
}

impl IndexDoc {
    /// The device as an index holds it.
    #[must_use]
    pub fn of(tenant: &TenantId, device: &Device) -> Self {
        let entries = entries::entries(device);
        let mut sorts: Vec<SortText> = Vec::new();
        for Entry { text, is_first, is_last } in &entries {
            let prefix = &text[..entries::PREFIX];
            if *is_first {
                let (prefix, first) = (prefix.to_owned(), text.clone());
                sorts.push(SortText { prefix, last: first.clone(), first });
            }
            // Entries are in order: the greatest comes after the smallest, or is the same.
            if *is_last && let Some(sort) = sorts.last_mut() {
                sort.last.clone_from(text);
            }
        }
        let mut texts: Vec<String> = entries.into_iter().map(|entry| entry.text).collect();
        texts.extend(entries::words_of(device));
        Self {
            tenant: tenant.clone(),
            device: device.id.clone(),
            version: device.version,
            place: device.place,
            texts,
            sorts,
        }
    }
}

/// What an index found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hits {
    /// The devices of the page, in the order of the search.
    pub devices: Vec<DeviceId>,
    /// How many there are on all pages.
    pub total: u64,
}

port! {
    /// An index of devices beside the primary store. It may lie behind, and never goes back:
    /// of two states of a device the one with the greater version stays.
    pub trait SearchIndex {
        /// Takes up devices, or nothing of those whose version is not greater than the known one.
        async fn put(&self, docs: &[IndexDoc]) -> ();

        /// Forgets devices that had this version when they ended. Unknown ones are no error.
        async fn remove(&self, gone: &[(TenantId, DeviceId, Version)]) -> ();

        /// Finds a page of devices; refused until the index was built once: `limit` of them after the first `skip`.
        async fn find(&self, tenant: &TenantId, search: &Search, skip: u64, limit: usize) -> Hits;

        /// Counts the devices of a search by their texts in a span, as the primary store does.
        async fn tally(
            &self,
            tenant: &TenantId,
            search: &Search,
            within: &Span,
            limit: usize,
        ) -> Tally;

        /// Begins to build the index anew, beside the one that answers; what is put from now on
        /// goes to both. Returns the name of the new one. A rebuild that was under way ends.
        async fn begin_rebuild(&self) -> String;

        /// Has the new index answer from now on, and forgets the other. Refused where another
        /// rebuild began meanwhile.
        async fn finish_rebuild(&self, new: &str) -> ();

        /// Checks that the index answers.
        async fn check(&self) -> ();
    }
}
