use crate::{
    commit::Stamped,
    id::{DeviceId, TenantId},
    index::Span,
    inventory::{
        model::{Device, Filter, FilterId, Place},
        query::Search,
    },
    port,
};

/// How often index texts occur.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// The most frequent texts with the number of devices, then by text.
    pub top: Vec<(String, u64)>,
    /// The sum of the numbers of all other texts.
    pub others: u64,
}

port! {
    /// Keeps what is known about devices, and saved filters.
    ///
    /// Devices are unique by place, another one is `Duplicate { place }`; filters are unique by
    /// name, another one is `Duplicate { name }`. Devices are found by
    /// [`entries`](crate::inventory::entries) and words: what is stored, found and counted is
    /// always of one moment.
    pub trait Store {
        /// Returns a device.
        async fn inventory_device(&self, tenant: &TenantId, id: &DeviceId) -> Option<Device>;

        /// Returns the devices of a search: `limit` of them after the first `skip`.
        async fn search_inventory(
            &self,
            tenant: &TenantId,
            search: &Search,
            skip: u64,
            limit: usize,
        ) -> Vec<Device>;

        /// Returns the devices of a search by place, those after `after`: for walks. The order
        /// of the search does not matter.
        async fn walk_inventory(
            &self,
            tenant: &TenantId,
            search: &Search,
            after: Option<Place>,
            limit: usize,
        ) -> Vec<Device>;

        /// Counts the devices of a search.
        async fn count_inventory(&self, tenant: &TenantId, search: &Search) -> u64;

        /// Counts the devices of a search by their index texts in a span, `limit` texts with
        /// the most. A device counts once for each of its texts.
        async fn tally_inventory(
            &self,
            tenant: &TenantId,
            search: &Search,
            within: &Span,
            limit: usize,
        ) -> Tally;

        /// Returns the index texts in a span that any device has, in order, those after `after`.
        /// Costs what it returns.
        async fn inventory_texts(
            &self,
            tenant: &TenantId,
            within: &Span,
            after: Option<&str>,
            limit: usize,
        ) -> Vec<String>;

        /// Stores a change of a device and its events, or nothing.
        async fn commit_inventory(&self, tenant: &TenantId, commit: Stamped<Device>) -> ();

        /// Returns a saved filter.
        async fn filter(&self, tenant: &TenantId, id: &FilterId) -> Option<Filter>;

        /// Returns saved filters by name: `limit` of them after the first `skip`.
        async fn filters(&self, tenant: &TenantId, skip: u64, limit: usize) -> Vec<Filter>;

        /// Counts the saved filters.
        async fn count_filters(&self, tenant: &TenantId) -> u64;

        /// Stores a change of a saved filter, or nothing.
        async fn commit_filter(&self, tenant: &TenantId, commit: Stamped<Filter>) -> ();
    }
}
