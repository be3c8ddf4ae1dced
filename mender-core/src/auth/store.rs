use crate::{
    auth::model::{AuthSetId, AuthTenant, Device, DeviceFilter, Seen},
    commit::Stamped,
    env::Time,
    event::Event,
    id::{DeviceId, TenantId},
    port,
};

port! {
    /// Keeps devices with their auth sets, and when they were last in contact.
    ///
    /// Devices are unique by tenant and identity: another one is `Duplicate { identity }`.
    pub trait Store {
        /// Returns a device.
        async fn device(&self, tenant: &TenantId, id: &DeviceId) -> Option<Device>;

        /// Returns the device whose identity has this hash.
        async fn device_by_identity(&self, tenant: &TenantId, hash: &str) -> Option<Device>;

        /// Returns the device that has this auth set.
        async fn device_of_set(&self, tenant: &TenantId, set: &AuthSetId) -> Option<Device>;

        /// Returns devices by the name of their status, then by id: `limit` of them after the
        /// first `skip`.
        async fn devices(
            &self,
            tenant: &TenantId,
            filter: &DeviceFilter,
            skip: u64,
            limit: usize,
        ) -> Vec<Device>;

        /// Counts devices.
        async fn count_devices(&self, tenant: &TenantId, filter: &DeviceFilter) -> u64;

        /// Returns devices by id, those after `after`: for walks over all of a tenant.
        async fn walk_devices(
            &self,
            tenant: &TenantId,
            after: Option<&DeviceId>,
            limit: usize,
        ) -> Vec<Device>;

        /// Stores a change of a device, its charges and its events, or nothing.
        async fn commit_device(&self, tenant: &TenantId, commit: Stamped<Device>) -> ();

        /// Returns what is kept for a tenant.
        async fn auth_tenant(&self, tenant: &TenantId) -> Option<AuthTenant>;

        /// Stores a change of what is kept for a tenant, or nothing.
        async fn commit_auth_tenant(&self, tenant: &TenantId, commit: Stamped<AuthTenant>) -> ();

        /// Returns when devices were last recorded in contact, those that ever were.
        async fn seen(&self, tenant: &TenantId, ids: &[DeviceId]) -> Vec<(DeviceId, Time)>;

        /// Records contacts, and with them these events, leased until `lease_until`. A time
        /// never goes back.
        async fn record_seen(
            &self,
            contacts: &[Seen],
            events: &[Event],
            lease_until: Time,
        ) -> ();

        /// Forgets when a device was in contact.
        async fn forget_seen(&self, tenant: &TenantId, id: &DeviceId) -> ();
    }
}
