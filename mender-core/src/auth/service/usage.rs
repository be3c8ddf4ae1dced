//! How many devices a tenant had accepted, day by day.

use crate::{
    auth::{
        logic,
        model::{Limit, Usage},
        service::Service,
    },
    ctx::Ctx,
    env::Time,
    error::Result,
    id::TenantId,
};

impl Service {
    pub(crate) fn now(&self) -> Time {
        self.kernel.env().now()
    }

    /// Keeps the number of devices that the tenant has accepted now, as that of this day.
    pub(crate) async fn count_usage(&self, tenant: &TenantId) -> Result<()> {
        let used = async |limit: Limit| {
            let quota = self.quotas.quota(tenant, limit.as_str()).await?;
            Ok::<_, crate::error::StoreError>(quota.used.max(0).unsigned_abs())
        };
        let usage = Usage {
            day: self.now().day(),
            standard: used(Limit::Devices).await?,
            micro: used(Limit::MicroDevices).await?,
            system: used(Limit::SystemDevices).await?,
        };
        let ctx = Ctx::system(tenant.clone());
        let known = self.limits(&ctx).await?;
        if logic::count_usage(&known, usage).is_nothing() {
            return Ok(());
        }
        self.change_tenant(&ctx, |was| Ok(logic::count_usage(was, usage))).await
    }

    /// Reports how many devices were accepted, day by day, as CSV; `None` before the first count.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn usage_report(&self, ctx: &Ctx) -> Result<Option<String>> {
        Ok(logic::usage_report(&self.limits(ctx).await?.usage))
    }
}
