//! Verification and revocation of device tokens.

use ring::digest;

use crate::{
    auth::{
        logic,
        model::AuthSetId,
        service::{Service, admission::Claims, contacts::Remembered},
    },
    ctx::Ctx,
    error::{Error, Kind, Result},
    id::{DeviceId, TenantId},
    tenants::{Addon, TenantStatus},
    token::{Numbered, Parts},
};

/// What a valid device token says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The device, in its tenant.
    pub ctx: Ctx,
    /// The device.
    pub device: DeviceId,
    /// The plan of its tenant when the token was issued.
    pub plan: String,
    /// Whether the tenant was in trial then.
    pub trial: bool,
    /// The add-ons that it had then.
    pub addons: Vec<Addon>,
}

fn refused() -> Error {
    Error::unauthenticated("the token is not valid")
}

impl Service {
    /// Verifies a device token, and notes that the device was in contact.
    ///
    /// A token that was verified before costs no read, until something is revoked.
    ///
    /// # Errors
    /// `Unauthenticated` for every token that is not valid.
    pub async fn verify(&self, token: &str, trace: &str) -> Result<Verified> {
        let unproven: Claims =
            Parts::of(token).and_then(|parts| parts.unverified()).ok_or_else(refused)?;
        if !unproven.device || unproven.tenant.is_empty() == self.config.tenants {
            return Err(refused());
        }
        let tenant: TenantId = unproven.tenant.parse().map_err(|_| refused())?;
        let device: DeviceId = unproven.sub.parse().map_err(|_| refused())?;
        let now = self.kernel.env().now();
        if unproven.exp <= now.seconds() {
            return Err(refused());
        }
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let known = self.kernel.is_fresh() && self.contacts.knows(&tenant, &device, hash.as_ref());
        if !known {
            self.check(token, &tenant, &device, hash.as_ref()).await?;
        }
        if self.config.tenants
            && self.directory.standing(&tenant).await?.status == TenantStatus::Suspended
        {
            return Err(refused());
        }
        self.contacts.contact(&tenant, &device, now);
        let Claims { plan, trial, addons, .. } = unproven;
        let ctx = Self::device_ctx(Ctx::system(tenant).with_request(trace), &device);
        Ok(Verified { ctx, device, plan, trial, addons })
    }

    /// Verifies a token that is not remembered, and remembers it.
    async fn check(
        &self,
        token: &str,
        tenant: &TenantId,
        id: &DeviceId,
        hash: &[u8],
    ) -> Result<()> {
        let claims: Claims = self.keys.verify(Numbered::No, token).ok_or_else(refused)?;
        if claims.iss.is_empty() {
            return Err(refused());
        }
        let set: AuthSetId = claims.jti.parse().map_err(|_| refused())?;
        let ticket = self.contacts.ticket(tenant, id);
        let device = self.store.device(tenant, id).await?.ok_or_else(refused)?;
        let policy = self.policy(tenant).await?;
        if !logic::is_valid(&device, &set, claims.iat, policy.from) {
            return Err(refused());
        }
        let saved = if self.contacts.saved(tenant, id).is_none() {
            let seen = self.store.seen(tenant, std::slice::from_ref(id)).await?;
            Some(seen.first().map_or(Remembered::NEVER, |(_, at)| *at))
        } else {
            None
        };
        self.contacts.remember(ticket, tenant, id, hash, saved);
        Ok(())
    }

    /// Revokes the tokens of an auth set.
    ///
    /// # Errors
    /// `NotFound` where it has none.
    #[tracing::instrument(name = "auth.revoke_token", skip_all)]
    pub async fn revoke_token(&self, ctx: &Ctx, set: &AuthSetId) -> Result<()> {
        let now = self.kernel.env().now();
        self.kernel
            .retry(|| async {
                let device = self.store.device_of_set(&ctx.tenant, set).await?;
                let device = device
                    .filter(|device| ctx.scope.has_group(device.group.as_deref()))
                    .ok_or_else(|| Error::not_found("token"))?;
                self.commit(ctx, logic::revoke(&device, set, now)?).await
            })
            .await
    }

    /// Revokes every token of a device; none is no error.
    ///
    /// # Errors
    /// Those of the store.
    #[tracing::instrument(name = "auth.revoke_device_tokens", skip_all)]
    pub async fn revoke_device_tokens(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        let now = self.kernel.env().now();
        match self.change(ctx, device, |device| Ok(logic::revoke_all(device, now))).await {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            answer => answer,
        }
    }

    /// Revokes every token of the tenant's devices.
    ///
    /// # Errors
    /// Those of the store.
    #[tracing::instrument(name = "auth.revoke_tenant_tokens", skip_all)]
    pub async fn revoke_tenant_tokens(&self, ctx: &Ctx) -> Result<()> {
        let now = self.kernel.env().now();
        self.change_tenant(ctx, |was| Ok(logic::revoke_tenant(was, now))).await
    }
}
