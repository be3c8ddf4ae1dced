use async_trait::async_trait;

use crate::{
    commit::{Aggregate, Stamped},
    error::StoreResult,
    id::TenantId,
    kit::{DocStore, Kit, Plan},
    tenants::{Store, Tenant},
};

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn tenant(&self, id: &TenantId) -> StoreResult<Option<Tenant>> {
        self.load(&TenantId::default(), id.as_str()).await
    }

    async fn tenant_by_token(&self, hash: &str) -> StoreResult<Option<Tenant>> {
        self.load_unique(&TenantId::default(), hash).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> StoreResult<Vec<Tenant>> {
        let mut plan = Plan::new(Tenant::KIND, &TenantId::default()).limit(limit);
        plan.after = after.map(ToString::to_string);
        self.load_all(&plan).await
    }

    async fn commit_tenant(&self, commit: Stamped<Tenant>) -> StoreResult<()> {
        self.commit(&TenantId::default(), commit).await
    }
}
