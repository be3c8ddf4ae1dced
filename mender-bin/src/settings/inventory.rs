use mender_core::inventory;

use crate::settings::value::SearchUrl;

settings! {
    "Inventory and search":
    /// What devices may report, and what answers reports.
    #[cfg_attr(
        not(feature = "opensearch"),
        expect(dead_code, reason = "some settings are for OpenSearch only")
    )]
    pub(crate) struct Inventory {
        /// How many attributes a device may report; 0 is no limit.
        inventory_attributes: u16 = "100",
        /// How many tags a device may have; 0 is no limit.
        inventory_tags: u16 = "20",
        /// OpenSearch at https://user:password@host:9200, which then answers reports instead of
        /// the database, once `mender-server search reindex` was run.
        search_url: Option<SearchUrl> = "",
        /// What the names of its indices begin with.
        search_index: String = "mender-devices",
        /// Into how many parts new indices are split.
        search_shards: u32 = "1",
        /// How many copies of each part there are.
        search_replicas: u16 = "0",
    }
}

impl Inventory {
    /// Returns how inventory behaves.
    pub(crate) fn config(&self) -> inventory::Config {
        inventory::Config {
            max_attributes: self.inventory_attributes.into(),
            max_tags: self.inventory_tags.into(),
        }
    }
}
