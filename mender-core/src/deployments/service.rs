use std::{collections::BTreeMap, slice::from_ref, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    artifacts::{Artifact, ArtifactId},
    auth::Tier,
    blob::Link,
    commit::Commit,
    ctx::Ctx,
    deployments::{
        Adviser,
        logic::{self, Selection},
        model::{
            Deployment, DeploymentId, DeploymentSettings, DeviceDeployment, Log, Payload, Request,
            Tally, Targets,
        },
        store::Store,
    },
    env::Time,
    error::{Error, Kind, Result},
    feed::Cache,
    id::{DeviceId, TenantId},
    inventory::{AttributeName, Device, Filter, FilterId, Predicate},
    kernel::Kernel,
    lifecycle::Forget,
    memo::Memo,
    outbox::Journal,
    quota::Quotas,
    token::Keyring,
};

mod budget;
mod candidate;
mod configuration;
mod create;
mod devices;
mod end;
mod explain;
mod fill;
mod flaws;
mod logs;
mod pace;
mod poll;
mod read;
mod recorded;
mod safety;
mod settings;
mod stream;
mod tally;

pub(crate) use budget::WatchTenant;
pub use configuration::{ConfigurationLink, NewConfiguration};
pub use create::{Course, NewDeployment, Whom};
pub use explain::{Considered, Explanation};
pub(crate) use fill::{Complete, Walk};
pub use pace::{Burst, Pace};
pub use poll::Instructions;
pub use read::{Shown, ShownDevice};
pub(crate) use safety::Watch;
pub use stream::{Named, Streamed};
pub(crate) use tally::Count;

/// How many deployments, and tenants with dynamic ones, are kept in memory.
const KNOWN: usize = 1000;

/// How deployments behave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// What must fit for a device to get an artifact.
    pub selection: Selection,
    /// For how long devices may fetch what they were told to.
    pub link_expires: Duration,
    /// For how long they may fetch a configuration.
    pub configuration_expires: Duration,
    /// How many deployments of software a tenant may have that have not ended; `None`: as many as
    /// it likes. Creations at the same moment may go beyond it by as many.
    pub max_active: Option<u64>,
    /// How many bytes an artifact may have for devices of the micro tier, where the tenant says
    /// nothing else; `None`: as many as it likes.
    pub micro_limit: Option<u64>,
    /// How many devices may begin a deployment in a time, on this node.
    pub pace: Pace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            link_expires: Duration::from_secs(24 * 3600),
            configuration_expires: Duration::from_secs(15 * 60),
            max_active: None,
            micro_limit: Some(5 << 20),
            pace: Pace::default(),
        }
    }
}

/// What deployments ask artifacts.
#[async_trait]
pub(crate) trait Releases: Send + Sync + 'static {
    /// Returns the artifacts of a release; none where there is none, or where it is leaving.
    async fn of_release(&self, tenant: &TenantId, name: &str) -> Result<Vec<Artifact>>;

    /// As above, from memory where it is known to be true: for polls.
    async fn kept(&self, tenant: &TenantId, name: &str) -> Result<Arc<[Artifact]>>;

    /// Returns artifacts by id, also those that left their releases.
    async fn by_id(
        &self,
        tenant: &TenantId,
        ids: &[ArtifactId],
    ) -> Result<BTreeMap<ArtifactId, Artifact>>;

    /// Tells whether the caller may use a release.
    async fn is_visible(&self, ctx: &Ctx, name: &str) -> Result<bool>;

    /// Returns what a device gets in place of an artifact: the artifact itself, or a delta. Where
    /// the caller only looks, none is made.
    async fn delta(
        &self,
        ctx: &Ctx,
        target: &Artifact,
        request: &Request,
        deployment: &DeploymentId,
        looks: bool,
    ) -> Result<Delta>;

    /// Returns a link to an artifact for a device.
    async fn link(
        &self,
        tenant: &TenantId,
        artifact: &Artifact,
        valid_for: Duration,
        base: &str,
    ) -> Result<Link>;
}

/// What a device gets in place of an artifact.
pub(crate) enum Delta {
    /// Nothing: the artifact itself.
    None,
    /// Nothing yet: it is being made.
    InMaking,
    /// This artifact.
    Ready(ArtifactId),
}

/// What deployments ask inventory.
#[async_trait]
pub(crate) trait Fleet: Send + Sync + 'static {
    /// Returns the accepted devices of a group, or all accepted ones, by id.
    async fn accepted(&self, tenant: &TenantId, group: Option<&str>) -> Result<Vec<DeviceId>>;

    /// Returns a device.
    async fn device(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Device>>;

    /// Returns a saved filter.
    async fn filter(&self, ctx: &Ctx, id: &FilterId) -> Result<Option<Filter>>;

    /// Counts the accepted devices that fit; may be two seconds old.
    async fn count(&self, tenant: &TenantId, terms: &[Predicate]) -> Result<u64>;

    /// Returns the group of a device.
    async fn group_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<String>>;

    /// Returns a device by the value of an attribute.
    async fn find(
        &self,
        ctx: &Ctx,
        attribute: &AttributeName,
        value: &str,
    ) -> Result<Option<DeviceId>>;
}

/// What deployments ask device authentication.
#[async_trait]
pub(crate) trait Tiers: Send + Sync + 'static {
    /// Tells whether devices have tiers; where not, every one is standard.
    fn has_tiers(&self) -> bool;

    /// Returns the tier of a device; one that is not known is standard.
    async fn tier(&self, tenant: &TenantId, device: &DeviceId) -> Result<Tier>;
}

/// The use cases of deployments.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    releases: Arc<dyn Releases>,
    fleet: Arc<dyn Fleet>,
    tiers: Arc<dyn Tiers>,
    quotas: Arc<dyn Quotas>,
    keys: Arc<Keyring>,
    adviser: Option<Arc<dyn Adviser>>,
    config: Config,
    known: Arc<Cache<Option<Arc<Deployment>>>>,
    dynamic: Arc<Cache<Arc<[Arc<Deployment>]>>>,
    settings: Arc<Cache<Arc<DeploymentSettings>>>,
    starts: pace::Starts,
    /// Whose turn it is to store a new deployment.
    turn: tokio::sync::Mutex<()>,
    memo: Memo<Tally>,
}

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) releases: Arc<dyn Releases>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) tiers: Arc<dyn Tiers>,
    pub(crate) quotas: Arc<dyn Quotas>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) adviser: Option<Arc<dyn Adviser>>,
    pub(crate) config: Config,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("deployments::Service").field("config", &self.config).finish_non_exhaustive()
    }
}

fn not_found() -> Error {
    Error::not_found("Resource not found")
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { kernel, store, journal, releases, fleet, tiers, quotas, keys, adviser, config } =
            parts;
        let known = Arc::new(Cache::new(logic::TOPIC, KNOWN));
        let dynamic = Arc::new(Cache::new(logic::DYNAMIC_TOPIC, KNOWN));
        kernel.register(known.clone());
        let settings = Arc::new(Cache::new(logic::SETTINGS_TOPIC, KNOWN));
        kernel.register(dynamic.clone());
        kernel.register(settings.clone());
        let starts = pace::Starts::new(config.pace);
        Self {
            kernel,
            store,
            journal,
            releases,
            fleet,
            tiers,
            quotas,
            keys,
            adviser,
            config,
            known,
            dynamic,
            settings,
            starts,
            turn: tokio::sync::Mutex::default(),
            memo: Memo::new(),
        }
    }

    /// Returns how deployments behave.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn now(&self) -> Time {
        self.kernel.env().now()
    }

    async fn load(&self, ctx: &Ctx, id: &DeploymentId) -> Result<Deployment> {
        self.store.deployment(&ctx.tenant, id).await?.ok_or_else(not_found)
    }

    async fn commit(&self, ctx: &Ctx, commit: Commit<Deployment>) -> Result<()> {
        let write = |commit| self.store.commit_deployment(&ctx.tenant, commit);
        // A deployment is large, and what stores one is part of many others.
        Ok(Box::pin(self.kernel.commit(ctx, &self.journal, commit, write)).await?)
    }

    async fn commit_device(&self, ctx: &Ctx, commit: Commit<DeviceDeployment>) -> Result<()> {
        let write = |commit| self.store.commit_device_deployment(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_targets(&self, ctx: &Ctx, commit: Commit<Targets>) -> Result<()> {
        let write = |commit| self.store.commit_targets(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_log(&self, ctx: &Ctx, commit: Commit<Log>) -> Result<()> {
        let write = |commit| self.store.commit_log(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    /// Changes a row as it is now, as often as it takes.
    async fn change_row(
        &self,
        ctx: &Ctx,
        (deployment, device): (&DeploymentId, &DeviceId),
        decide: impl Fn(DeviceDeployment) -> Commit<DeviceDeployment>,
    ) -> Result<()> {
        let attempt = || async {
            match self.store.device_deployment(&ctx.tenant, deployment, device).await? {
                Some(row) => self.commit_device(ctx, decide(row)).await,
                None => Ok(()),
            }
        };
        self.kernel.retry(attempt).await
    }

    /// Ends a deployment whose devices have all ended, and stops one whose devices fared worse
    /// than its thresholds allow.
    pub(crate) async fn settle(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        let attempt = || async {
            let Some(deployment) = self.store.deployment(&ctx.tenant, id).await? else {
                return Ok(());
            };
            // What is stopped is as good as settled: another device's end does the rest.
            self.judge(ctx, &deployment).await?;
            if !deployment.is_open() || !self.is_done(ctx, &deployment).await? {
                return Ok(());
            }
            let artifacts = self.artifact_ids(ctx, &deployment).await?;
            self.commit(ctx, logic::finish(deployment, artifacts, self.now())).await
        };
        self.kernel.retry(attempt).await
    }

    /// Tells whether no device of an open deployment is at it, nor any may come.
    async fn is_done(&self, ctx: &Ctx, deployment: &Deployment) -> Result<bool> {
        let (tenant, id) = (&ctx.tenant, &deployment.id);
        if deployment.is_dynamic() {
            let quota = self.quotas.quota(tenant, &logic::devices_quota(id)).await?;
            if deployment.max_devices == 0 || quota.free > 0 {
                return Ok(false);
            }
            // A place may be taken by a device whose row is yet to be there.
            let tallies = self.store.tallies(tenant, from_ref(id)).await?;
            if tallies.get(id).is_none_or(|tally| tally.devices < deployment.max_devices) {
                return Ok(false);
            }
        }
        Ok(self.store.open_rows(tenant, id, None, 1).await?.is_empty())
    }

    /// Returns what a deployment has to give.
    async fn artifact_ids(&self, ctx: &Ctx, deployment: &Deployment) -> Result<Vec<ArtifactId>> {
        if deployment.is_finished() {
            return Ok(deployment.artifacts.clone());
        }
        let artifacts = self.artifacts(&ctx.tenant, deployment).await?;
        Ok(artifacts.into_iter().map(|artifact| artifact.id).collect())
    }

    /// Returns what a deployment has to give, from memory where it is known to be true.
    async fn kept(&self, tenant: &TenantId, deployment: &Deployment) -> Result<Arc<[Artifact]>> {
        match deployment.payload {
            Payload::Configuration(_) => Ok(Arc::new([])),
            Payload::Software => self.releases.kept(tenant, &deployment.artifact_name).await,
        }
    }

    async fn artifacts(&self, tenant: &TenantId, deployment: &Deployment) -> Result<Vec<Artifact>> {
        match deployment.payload {
            Payload::Configuration(_) => Ok(Vec::new()),
            Payload::Software => self.releases.of_release(tenant, &deployment.artifact_name).await,
        }
    }
}

#[async_trait]
impl Forget for Service {
    async fn forget_device(&self, tenant: &TenantId, device: &DeviceId) -> Result<()> {
        self.decommission(&Ctx::system(tenant.clone()), device).await
    }

    async fn forget_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.forget_all(&Ctx::system(tenant.clone())).await
    }
}

/// Whether an error says that another one came first.
fn is_duplicate(error: &Error) -> bool {
    error.kind == Kind::Conflict && !error.is_stale()
}

#[cfg(all(test, feature = "testing"))]
mod tests;
