//! What a tenant may have: limits of accepted devices, and rules for newcomers.

use crate::{
    auth::{
        logic,
        model::{AcceptRule, AuthTenant, Limit},
        service::Service,
    },
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result, StoreError},
};

/// The most rules that a tenant may have, and conditions that a rule may have.
const MAX_RULES: usize = 50;

/// The longest name, key or pattern of a rule.
const MAX_TEXT: usize = 256;

impl Service {
    pub(super) async fn change_tenant(
        &self,
        ctx: &Ctx,
        decide: impl Fn(&AuthTenant) -> Result<Commit<AuthTenant>>,
    ) -> Result<()> {
        self.kernel
            .retry(|| async {
                let stored = self.store.auth_tenant(&ctx.tenant).await?;
                let Some(was) = stored else {
                    self.insert_tenant(ctx).await?;
                    return Err(StoreError::Conflict.into());
                };
                self.commit_tenant(ctx, decide(&was)?).await
            })
            .await
    }

    async fn insert_tenant(&self, ctx: &Ctx) -> Result<()> {
        let tenant = AuthTenant::new(ctx.tenant.clone());
        let commit = logic::new_tenant(tenant, self.kernel.env().now());
        let write = async |commit| match self.store.commit_auth_tenant(&ctx.tenant, commit).await {
            Err(StoreError::Duplicate { .. }) => Ok(()),
            answer => answer,
        };
        Ok(self.kernel.commit(ctx, &self.journal, commit, |c| Box::pin(write(c))).await?)
    }

    pub(super) async fn forget_policy(&self, ctx: &Ctx) -> Result<()> {
        self.kernel
            .retry(|| async {
                match self.store.auth_tenant(&ctx.tenant).await? {
                    Some(was) => self.commit_tenant(ctx, logic::delete_tenant(&was)).await,
                    None => Ok(()),
                }
            })
            .await
    }

    /// Returns a limit; -1 where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn limit(&self, ctx: &Ctx, limit: Limit) -> Result<i64> {
        let stored = self.store.auth_tenant(&ctx.tenant).await?;
        Ok(stored.map_or(crate::quota::NO_LIMIT, |tenant| tenant.limit(limit)))
    }

    /// Returns how many devices count against a limit.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn used(&self, ctx: &Ctx, limit: Limit) -> Result<i64> {
        Ok(self.quotas.quota(&ctx.tenant, limit.as_str()).await?.used)
    }

    /// Returns all limits of a tenant.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn limits(&self, ctx: &Ctx) -> Result<AuthTenant> {
        let stored = self.store.auth_tenant(&ctx.tenant).await?;
        Ok(stored.unwrap_or_else(|| {
            // What the first change will make of it.
            let mut tenant = AuthTenant::new(ctx.tenant.clone());
            let tests = (Limit::TestDevices, logic::MAX_TEST_DEVICES);
            tenant.limits.extend([tests]);
            tenant
        }))
    }

    /// Sets limits; `None` takes one away. Devices that are accepted stay so.
    ///
    /// # Errors
    /// With tiers, `Invalid` for a limit below the number of devices accepted now.
    #[tracing::instrument(name = "auth.set_limits", skip_all)]
    pub async fn set_limits(&self, ctx: &Ctx, limits: &[(Limit, Option<i64>)]) -> Result<()> {
        if self.config.tiers {
            for (limit, value) in limits {
                let used = self.quotas.quota(&ctx.tenant, limit.as_str()).await?.used;
                let room = value.is_none_or(|value| crate::quota::capacity(value) >= used);
                if !room {
                    return Err(Error::invalid("limit", "limit below the devices accepted now"));
                }
            }
        }
        self.change_tenant(ctx, |was| Ok(logic::set_limits(was, limits))).await
    }

    /// Returns the rules that accept new devices.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn accept_rules(&self, ctx: &Ctx) -> Result<Vec<AcceptRule>> {
        Ok(self.limits(ctx).await?.accept)
    }

    /// Sets the rules that accept new devices.
    ///
    /// # Errors
    /// `Invalid` for too many or too long ones, and for a rule without a condition: it would
    /// accept everybody.
    #[tracing::instrument(name = "auth.set_accept_rules", skip_all)]
    pub async fn set_accept_rules(&self, ctx: &Ctx, rules: &[AcceptRule]) -> Result<()> {
        let short = |text: &String| text.chars().count() <= MAX_TEXT && !text.contains('\0');
        let sound = |rule: &AcceptRule| {
            short(&rule.name)
                && (1..=MAX_RULES).contains(&rule.identity.len())
                && rule.identity.iter().all(|(key, pattern)| short(key) && short(pattern))
        };
        if rules.len() > MAX_RULES || !rules.iter().all(sound) {
            return Err(Error::invalid(
                "rules",
                "at most 50 rules, each with 1 to 50 conditions of at most 256 characters",
            ));
        }
        self.change_tenant(ctx, |was| Ok(logic::set_rules(was, rules.to_vec()))).await
    }
}
