use crate::{commit::Stamped, id::TenantId, port, tenants::model::Tenant};

port! {
    /// Keeps tenants. Global: the tenants themselves are no one's data.
    ///
    /// Tenants are unique by token: another one is `Duplicate { tenant_token }`.
    pub trait Store {
        /// Returns a tenant.
        async fn tenant(&self, id: &TenantId) -> Option<Tenant>;

        /// Returns the tenant whose token has this hash.
        async fn tenant_by_token(&self, hash: &str) -> Option<Tenant>;

        /// Returns tenants by id, those after `after`.
        async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Vec<Tenant>;

        /// Stores a change of a tenant, or nothing.
        async fn commit_tenant(&self, commit: Stamped<Tenant>) -> ();
    }
}
