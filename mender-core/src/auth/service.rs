use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    auth::{
        logic,
        model::{AuthTenant, Device, Tier},
        store::Store,
    },
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    feed::Cache,
    id::{DeviceId, TenantId},
    kernel::Kernel,
    lifecycle::Forget,
    outbox::Journal,
    quota::Quotas,
    tenants::Directory,
    token::Keyring,
};

mod admission;
mod contacts;
mod devices;
mod flaws;
mod limits;
mod tokens;
mod usage;

pub use admission::{AuthRequest, Preauthorization};
pub use devices::DeviceView;
pub use tokens::Verified;

use contacts::Contacts;

/// How device authentication behaves.
#[derive(Clone)]
pub struct Config {
    /// How long a device token is valid.
    pub token_lifetime: Duration,
    /// What tokens name as their issuer.
    pub issuer: String,
    /// Whether devices have tiers; where not, every one is standard.
    pub tiers: bool,
    /// Whether devices name their tenant; where not, all belong to the default one.
    pub tenants: bool,
    /// The tenant token for devices that present none, or an unknown one.
    pub default_tenant_token: Option<String>,
    /// How many devices are remembered in memory, at 100 bytes each.
    pub remembered: usize,
}

impl fmt::Debug for Config {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("token_lifetime", &self.token_lifetime)
            .field("issuer", &self.issuer)
            .field("tiers", &self.tiers)
            .field("tenants", &self.tenants)
            .field("remembered", &self.remembered)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(604_800),
            issuer: "Mender".into(),
            tiers: false,
            tenants: false,
            default_tenant_token: None,
            remembered: 1_000_000,
        }
    }
}

/// The use cases of device authentication.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    quotas: Arc<dyn Quotas>,
    directory: Arc<dyn Directory>,
    keys: Arc<Keyring>,
    config: Config,
    contacts: Arc<Contacts>,
    policies: Arc<Cache<Arc<AuthTenant>>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("auth::Service").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        store: Arc<dyn Store>,
        journal: Arc<dyn Journal>,
        quotas: Arc<dyn Quotas>,
        directory: Arc<dyn Directory>,
        keys: Arc<Keyring>,
        config: Config,
    ) -> Self {
        let contacts = Arc::new(Contacts::new(config.remembered));
        let policies = Arc::new(Cache::new(logic::TENANT_TOPIC, 10_000));
        kernel.register(contacts.clone());
        kernel.register(policies.clone());
        Self { kernel, store, journal, quotas, directory, keys, config, contacts, policies }
    }

    /// Returns how device authentication behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn tier(&self, claimed: Tier) -> Tier {
        if self.config.tiers { claimed } else { Tier::Standard }
    }

    /// Loads a device that the caller may see.
    async fn load(&self, ctx: &Ctx, id: &DeviceId) -> Result<Device> {
        let device = self.store.device(&ctx.tenant, id).await?;
        device
            .filter(|device| ctx.scope.has_group(device.group.as_deref()))
            .ok_or_else(|| Error::not_found("device"))
    }

    /// Loads a device, whoever asks.
    pub(super) async fn stored(&self, tenant: &TenantId, id: &DeviceId) -> Result<Option<Device>> {
        Ok(self.store.device(tenant, id).await?)
    }

    async fn commit(&self, ctx: &Ctx, commit: Commit<Device>) -> Result<()> {
        let write = |commit| self.store.commit_device(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_tenant(&self, ctx: &Ctx, commit: Commit<AuthTenant>) -> Result<()> {
        let write = |commit| self.store.commit_auth_tenant(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    /// Decides about one device, again where it changed meanwhile.
    async fn change(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        decide: impl Fn(&Device) -> Result<Commit<Device>>,
    ) -> Result<()> {
        self.kernel
            .retry(|| async {
                let device = self.load(ctx, id).await?;
                self.commit(ctx, decide(&device)?).await
            })
            .await
    }

    /// Returns what is kept for the tenant, from memory where it may be trusted.
    async fn policy(&self, tenant: &TenantId) -> Result<Arc<AuthTenant>> {
        let load = async || {
            let stored = self.store.auth_tenant(tenant).await?;
            Ok(Arc::new(stored.unwrap_or_else(|| AuthTenant::new(tenant.clone()))))
        };
        self.policies.get_or_load(self.kernel.is_fresh(), tenant, "", load).await
    }
}

#[async_trait]
impl Forget for Service {
    async fn forget_device(&self, tenant: &TenantId, device: &DeviceId) -> Result<()> {
        match self.remove(&Ctx::system(tenant.clone()), device).await {
            Err(error) if error.kind == crate::error::Kind::NotFound => Ok(()),
            answer => answer,
        }
    }

    async fn forget_tenant(&self, tenant: &TenantId) -> Result<()> {
        const CHUNK: usize = 500;
        loop {
            let devices = self.store.walk_devices(tenant, None, CHUNK).await?;
            for device in &devices {
                self.forget_device(tenant, &device.id).await?;
            }
            if devices.is_empty() {
                break;
            }
        }
        self.forget_policy(&Ctx::system(tenant.clone())).await
    }
}
