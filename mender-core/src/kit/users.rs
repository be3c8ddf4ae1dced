use async_trait::async_trait;

use crate::{
    commit::{Aggregate, Stamped},
    error::StoreResult,
    id::{TenantId, UserId},
    kit::{DocStore, Kit, Plan, field},
    users::{Account, Email, Store},
};

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn account(&self, id: &UserId) -> StoreResult<Option<Account>> {
        self.load(&TenantId::default(), id.as_str()).await
    }

    async fn account_by_email(&self, email: &Email) -> StoreResult<Option<Account>> {
        self.load_unique(&TenantId::default(), email.as_str()).await
    }

    async fn accounts(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<Account>> {
        let member = field("tenant", tenant.as_str());
        let mut plan = Plan::new(Account::KIND, &TenantId::default()).any([member]).limit(limit);
        plan.after = after.map(ToString::to_string);
        self.load_all(&plan).await
    }

    async fn commit_account(&self, commit: Stamped<Account>) -> StoreResult<()> {
        self.commit(&TenantId::default(), commit).await
    }
}
