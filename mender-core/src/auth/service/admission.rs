//! How devices get in: their requests, preauthorizations and automatic acceptance.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{
        logic::{self, Claim, Verdict},
        model::{AuthSetId, AuthTenant, Device, Identity, Status, Tier},
        service::Service,
    },
    ctx::{Actor, Ctx, Scope},
    error::{Error, Kind, Result, StoreError},
    id::DeviceId,
    signature::PublicKey,
    tenants::{Addon, Standing, TenantStatus},
    token::Numbered,
};

/// A device's request for a token.
#[derive(Clone)]
pub struct AuthRequest {
    /// What the device says it is.
    pub identity: Identity,
    /// The key it claims the identity with.
    pub key: PublicKey,
    /// The tenant it belongs to.
    pub tenant_token: Option<String>,
    /// The tier it claims.
    pub tier: Tier,
    /// The exact bytes that were signed.
    pub body: Bytes,
    /// The signature, in base64.
    pub signature: String,
}

impl fmt::Debug for AuthRequest {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("identity", &self.identity)
            .field("key", &self.key)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

/// A device that a user announces before it comes.
#[derive(Clone, Debug)]
pub struct Preauthorization {
    /// What the device will say it is.
    pub identity: Identity,
    /// The key it will come with.
    pub key: PublicKey,
    /// The tier it will claim.
    pub tier: Tier,
    /// Whether a device that exists already gets the key too.
    pub force: bool,
}

/// The time that tokens name as the start of their validity: none.
const NO_TIME: i64 = -62_135_596_800;

/// The claims of a device token, in the order of the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) jti: String,
    pub(super) sub: String,
    pub(super) iss: String,
    #[serde(rename = "mender.tenant", default, skip_serializing_if = "String::is_empty")]
    pub(super) tenant: String,
    pub(super) exp: i64,
    #[serde(default)]
    pub(super) iat: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(rename = "mender.device", default)]
    pub(super) device: bool,
    #[serde(rename = "mender.plan", default)]
    pub(super) plan: String,
    #[serde(rename = "mender.trial", default)]
    pub(super) trial: bool,
    #[serde(rename = "mender.addons", default)]
    pub(super) addons: Vec<Addon>,
}

/// What decides about a device that has no accepted key yet.
#[derive(Clone, Copy)]
enum Door<'a> {
    /// The rules of the tenant.
    Rules(&'a AuthTenant),
    /// A caller who vouches for the device.
    Open,
}

impl Door<'_> {
    fn lets_in(self, identity: &Identity) -> bool {
        match self {
            Self::Rules(policy) => logic::is_accepted_by(&policy.accept, identity),
            Self::Open => true,
        }
    }
}

impl Service {
    /// Answers a device's request with a token.
    ///
    /// # Errors
    /// `Invalid { signature }` where the signature does not fit, `Invalid { tenant_token }` where
    /// no tenant takes the device, `LimitReached` where a preauthorized device finds no room,
    /// `Unauthenticated` for every device that is not accepted.
    #[tracing::instrument(name = "auth.request", skip_all)]
    pub async fn request(&self, trace: &str, request: &AuthRequest) -> Result<String> {
        check_signature(request)?;
        let standing = self.standing(request.tenant_token.as_deref()).await?;
        let ctx = Ctx::system(standing.tenant.clone()).with_request(trace);
        let policy = self.policy(&ctx.tenant).await?;
        self.admit(&ctx, &standing, &policy, request, Door::Rules(&policy)).await
    }

    /// Accepts a device that the caller vouches for, and answers with its token.
    ///
    /// # Errors
    /// As [`Service::request`]; `LimitReached` also for new devices.
    #[tracing::instrument(name = "auth.auto", skip_all)]
    pub async fn auto_authenticate(&self, ctx: &Ctx, request: &AuthRequest) -> Result<String> {
        check_signature(request)?;
        let standing = self.directory.standing(&ctx.tenant).await?;
        let policy = self.policy(&ctx.tenant).await?;
        self.admit(ctx, &standing, &policy, request, Door::Open).await
    }

    /// Finds the tenant of a device.
    async fn standing(&self, token: Option<&str>) -> Result<Standing> {
        if !self.config.tenants {
            return Ok(Standing::full(Default::default()));
        }
        let refused = |what: &'static str| Error::invalid("tenant_token", what);
        let token = token.filter(|token| !token.is_empty());
        let mut found = match token {
            Some(token) => self.directory.by_token(token).await?,
            None => None,
        };
        if found.is_none()
            && let Some(token) = &self.config.default_tenant_token
        {
            found = self.directory.by_token(token).await?;
        }
        match found {
            Some(tenant) if tenant.status == TenantStatus::Suspended => {
                Err(refused("Account suspended"))
            }
            Some(tenant) => Ok(tenant),
            None if token.is_none() => Err(refused("tenant token missing")),
            None => Err(refused("tenant not found")),
        }
    }

    async fn admit(
        &self,
        ctx: &Ctx,
        standing: &Standing,
        policy: &AuthTenant,
        request: &AuthRequest,
        door: Door<'_>,
    ) -> Result<String> {
        self.kernel
            .retry(|| async {
                let (device, set) = self.let_in(ctx, request, door).await?;
                self.issue(ctx, standing, policy, device, &set).await
            })
            .await
    }

    /// Records what the request brings, and returns the device with its accepted set.
    async fn let_in(
        &self,
        ctx: &Ctx,
        request: &AuthRequest,
        door: Door<'_>,
    ) -> Result<(Device, AuthSetId)> {
        let known = self.store.device_by_identity(&ctx.tenant, &request.identity.hash()).await?;
        let outside = |device: &Device| !ctx.scope.has_group(device.group.as_deref());
        if known.as_ref().is_some_and(outside) {
            return Err(Error::forbidden("the device is out of scope"));
        }
        let fresh = known.as_ref().is_none_or(|device| device.status == Status::Noauth);
        // Rules are for newcomers: what a user decided stays.
        let accept = matches!(door, Door::Open) || fresh && door.lets_in(&request.identity);
        let answer = self.decide_on(ctx, known.as_ref(), request, accept).await;
        match (answer, door) {
            // No room for another accepted device: the rule leaves it to a user.
            (Err(error), Door::Rules(_)) if accept && error.kind == Kind::LimitReached => {
                self.decide_on(ctx, known.as_ref(), request, false).await
            }
            (answer, _) => answer,
        }
    }

    async fn decide_on(
        &self,
        ctx: &Ctx,
        known: Option<&Device>,
        request: &AuthRequest,
        accept: bool,
    ) -> Result<(Device, AuthSetId)> {
        let refused = || Error::unauthenticated("the device is not accepted");
        let claim = self.claim(&request.key, request.tier)?;
        let Some(was) = known else {
            let set = claim.set.clone();
            if accept {
                let status = Status::Accepted;
                return Ok((self.record(ctx, &request.identity, claim, status).await?, set));
            }
            self.record(ctx, &request.identity, claim, Status::Pending).await?;
            return Err(refused());
        };
        match logic::present(was, claim, accept, self.kernel.env().now())? {
            Verdict::Refused(commit) => {
                self.commit(ctx, commit).await?;
                Err(refused())
            }
            Verdict::Granted(commit, set) => {
                let device = commit.aggregate().cloned().unwrap_or_else(|| was.clone());
                self.commit(ctx, commit).await?;
                Ok((device, set))
            }
        }
    }

    fn claim(&self, key: &PublicKey, tier: Tier) -> Result<Claim> {
        let (key, tier) = (key.as_pem().to_owned(), self.tier(tier));
        Ok(Claim { key, tier, set: self.new_id()? })
    }

    fn new_id<I: std::str::FromStr>(&self) -> Result<I> {
        self.kernel.env().uuid().parse().map_err(|_| Error::internal("no id"))
    }

    async fn record(
        &self,
        ctx: &Ctx,
        identity: &Identity,
        claim: Claim,
        status: Status,
    ) -> Result<Device> {
        let id: DeviceId = self.new_id()?;
        let now = self.kernel.env().now();
        let commit = logic::record(id, identity.clone(), claim, status, now);
        let device = commit.aggregate().cloned();
        let write = async |commit| match self.store.commit_device(&ctx.tenant, commit).await {
            // Somebody else recorded it first: decide on that.
            Err(StoreError::Duplicate { .. }) => Err(StoreError::Conflict),
            answer => answer,
        };
        self.kernel.commit(ctx, &self.journal, commit, |c| Box::pin(write(c))).await?;
        device.ok_or_else(|| Error::internal("nothing recorded"))
    }

    async fn issue(
        &self,
        ctx: &Ctx,
        standing: &Standing,
        policy: &AuthTenant,
        device: Device,
        set: &AuthSetId,
    ) -> Result<String> {
        let now = self.kernel.env().now();
        let (commit, issued) = logic::issue(&device, set, policy.from, now);
        let first = !commit.is_nothing();
        self.commit(ctx, commit).await?;
        let claims = Claims {
            jti: set.to_string(),
            sub: device.id.to_string(),
            iss: self.config.issuer.clone(),
            tenant: ctx.tenant.to_string(),
            exp: issued.saturating_add_unsigned(self.config.token_lifetime.as_secs()),
            iat: issued,
            nbf: NO_TIME,
            device: true,
            plan: standing.plan.as_str().into(),
            trial: standing.trial,
            addons: standing.addons.clone(),
        };
        let token = self.keys.sign(Numbered::No, &claims)?;
        self.contacts.issued(&ctx.tenant, &device.id, now, first);
        Ok(token)
    }

    /// Announces a device before it comes, and returns its id.
    ///
    /// # Errors
    /// `Conflict` where the device exists already and `force` is not set; then
    /// [`Service::device_by_identity`] tells which one.
    #[tracing::instrument(name = "auth.preauthorize", skip_all)]
    pub async fn preauthorize(&self, ctx: &Ctx, what: &Preauthorization) -> Result<DeviceId> {
        self.kernel
            .retry(|| async {
                let claim = self.claim(&what.key, what.tier)?;
                let hash = what.identity.hash();
                let Some(was) = self.store.device_by_identity(&ctx.tenant, &hash).await? else {
                    let status = Status::Preauthorized;
                    let device = self.record(ctx, &what.identity, claim, status).await?;
                    return Ok(device.id);
                };
                if !ctx.scope.has_group(was.group.as_deref()) {
                    return Err(Error::forbidden("the device is out of scope"));
                }
                if !what.force {
                    return Err(Error::conflict("the device exists"));
                }
                let now = self.kernel.env().now();
                self.commit(ctx, logic::preauthorize(&was, claim, now)?).await?;
                Ok(was.id)
            })
            .await
    }

    /// Returns the device that has this identity.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn device_by_identity(
        &self,
        ctx: &Ctx,
        identity: &Identity,
    ) -> Result<Option<Device>> {
        let device = self.store.device_by_identity(&ctx.tenant, &identity.hash()).await?;
        Ok(device.filter(|device| ctx.scope.has_group(device.group.as_deref())))
    }

    /// The context of a device that presented a valid token.
    #[must_use]
    pub(super) fn device_ctx(ctx: Ctx, device: &DeviceId) -> Ctx {
        Ctx { actor: Actor::Device(device.clone()), scope: Scope::All, ..ctx }
    }
}

fn check_signature(request: &AuthRequest) -> Result<()> {
    if request.key.verify(&request.body, &request.signature) {
        Ok(())
    } else {
        Err(Error::invalid("signature", "signature verification failed"))
    }
}
