use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    feed::Cache,
    id::{TenantId, Version},
    kernel::Kernel,
    outbox::Journal,
    secret,
    tenants::{
        model::{Addon, Plan, Standing, Tenant, TenantStatus},
        store::Store,
    },
};

/// The kind of cached state that a change of a tenant spoils.
const TOPIC: &str = "tenants.tenant";

/// What other areas ask about tenants.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Returns the tenant that a device's tenant token names.
    async fn by_token(&self, token: &str) -> Result<Option<Standing>>;

    /// Returns the standing of a tenant; one that nobody described may do everything.
    async fn standing(&self, tenant: &TenantId) -> Result<Standing>;

    /// Returns the ids of tenants in their order, those after `after`; without the default one.
    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantId>>;
}

/// A tenant to make.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// What it is called.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// The names of its add-ons.
    pub addons: Vec<String>,
}

/// The use cases of tenants.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    by_token: Arc<Cache<Option<Standing>>>,
    by_id: Arc<Cache<Standing>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("tenants::Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        store: Arc<dyn Store>,
        journal: Arc<dyn Journal>,
    ) -> Self {
        let by_token = Arc::new(Cache::new(TOPIC, 10_000));
        let by_id = Arc::new(Cache::new(TOPIC, 10_000));
        kernel.register(by_token.clone());
        kernel.register(by_id.clone());
        Self { kernel, store, journal, by_token, by_id }
    }

    /// Makes a tenant, with a token for its devices.
    ///
    /// # Errors
    /// `Invalid` for a bad name or an unknown add-on.
    #[tracing::instrument(name = "tenants.create", skip_all)]
    pub async fn create(&self, ctx: &Ctx, new: &NewTenant) -> Result<Tenant> {
        if !crate::id::is_plain(&new.name, 1) {
            return Err(Error::invalid("name", "a name has 1 to 256 plain characters"));
        }
        if let Some(unknown) = new.addons.iter().find(|a| !Addon::NAMES.contains(&a.as_str())) {
            return Err(Error::invalid("addon", format!("unknown add-on {unknown}")));
        }
        let env = self.kernel.env();
        let id = env.object_id().parse().map_err(|e| Error::internal("no id").because(e))?;
        let now = env.now();
        let has = |name: &str| new.addons.iter().any(|addon| addon == name);
        let tenant = Tenant {
            id,
            name: new.name.clone(),
            token: URL_SAFE_NO_PAD.encode(env.bytes::<32>()),
            plan: new.plan,
            trial: false,
            addons: Addon::NAMES.map(|n| Addon { name: n.into(), enabled: has(n) }).into(),
            status: TenantStatus::Active,
            created: now,
            updated: now,
            version: Version::FIRST,
        };
        let commit = Commit::insert(tenant.clone()).invalidate(TOPIC, "");
        let ctx = Ctx { tenant: TenantId::default(), ..ctx.clone() };
        let write = |commit| self.store.commit_tenant(commit);
        self.kernel.commit(&ctx, &self.journal, commit, write).await?;
        Ok(tenant)
    }

    /// Suspends a tenant, or lets it work again. While it is suspended, none of its tokens is
    /// valid, neither of users nor of devices.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    #[tracing::instrument(name = "tenants.set_status", skip_all)]
    pub async fn set_status(&self, ctx: &Ctx, id: &TenantId, status: TenantStatus) -> Result<()> {
        let ctx = Ctx { tenant: TenantId::default(), ..ctx.clone() };
        self.kernel
            .retry(|| async {
                let was = self.tenant(id).await?;
                if was.status == status {
                    return Ok(());
                }
                let mut to = was.clone();
                to.status = status;
                to.updated = self.kernel.env().now();
                let commit = Commit::update(was, to)
                    .invalidate(TOPIC, "")
                    .quiet("nobody keeps the standing of tenants but caches");
                let write = |commit| self.store.commit_tenant(commit);
                Ok(self.kernel.commit(&ctx, &self.journal, commit, write).await?)
            })
            .await
    }

    /// Returns a tenant.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn tenant(&self, id: &TenantId) -> Result<Tenant> {
        self.store.tenant(id).await?.ok_or_else(|| Error::not_found("tenant"))
    }
}

#[async_trait]
impl Directory for Service {
    async fn by_token(&self, token: &str) -> Result<Option<Standing>> {
        let hash = secret::token_hash(token);
        let load = async || {
            let tenant = self.store.tenant_by_token(&hash).await?;
            Ok(tenant.map(Standing::from))
        };
        let fresh = self.kernel.is_fresh();
        self.by_token.get_or_load(fresh, &TenantId::default(), &hash, load).await
    }

    async fn standing(&self, tenant: &TenantId) -> Result<Standing> {
        if tenant.is_default() {
            return Ok(Standing::full(tenant.clone()));
        }
        let load = async || {
            let stored = self.store.tenant(tenant).await?;
            Ok(stored.map_or_else(|| Standing::full(tenant.clone()), Standing::from))
        };
        let fresh = self.kernel.is_fresh();
        self.by_id.get_or_load(fresh, &TenantId::default(), tenant.as_str(), load).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantId>> {
        let tenants = self.store.tenants(after, limit).await?;
        Ok(tenants.into_iter().map(|tenant| tenant.id).collect())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::{
        Mender, auth,
        secret::{HashCost, Secret},
        testing::TestDevice,
        users::{self, Login, NewUser},
    };

    #[tokio::test]
    async fn nobody_of_a_suspended_tenant_gets_in() {
        let cheap = HashCost::CHEAPEST;
        let mender = Mender::in_memory()
            .auth_config(auth::Config { tenants: true, ..auth::Config::default() })
            .users_config(users::Config {
                tenants: true,
                hash_cost: cheap,
                ..users::Config::default()
            })
            .build()
            .unwrap();
        let system = Ctx::system(TenantId::default());
        let new = NewTenant { name: "acme".into(), plan: Plan::Os, addons: Vec::new() };
        let tenant = mender.tenants().create(&system, &new).await.unwrap();
        let ctx = Ctx::system(tenant.id.clone());
        let email = "a@acme.com";
        let new = NewUser {
            email: email.parse().unwrap(),
            password: "correct horse".into(),
            id: None,
            roles: Vec::new(),
        };
        mender.users().create(&ctx, &new).await.unwrap();
        let password = Secret::new("correct horse");
        let login = Login { email: email.into(), password, forever: false };
        let user = mender.users().log_in("", &login).await.unwrap();
        let ask = TestDevice::new(r#"{"mac":"1"}"#, 1).of_tenant(&tenant.token).request();
        let device = mender.auth().auto_authenticate(&ctx, &ask).await.unwrap();

        let gets_in = async || {
            mender.drain().await.unwrap();
            let user = mender.users().verify(&user, "").await.is_ok();
            (user, mender.auth().verify(&device, "").await.is_ok())
        };
        assert_eq!(gets_in().await, (true, true));
        let tenants = mender.tenants();
        tenants.set_status(&system, &tenant.id, TenantStatus::Suspended).await.unwrap();
        assert_eq!(gets_in().await, (false, false));
        tenants.set_status(&system, &tenant.id, TenantStatus::Active).await.unwrap();
        assert_eq!(gets_in().await, (true, true));
    }
}
