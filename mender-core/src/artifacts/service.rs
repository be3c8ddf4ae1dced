use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    artifacts::{
        logic,
        model::{Artifact, ArtifactId, ArtifactSettings, Release, Retired, Upload},
        store::Store,
    },
    blob::{BlobKey, BlobSettings, Blobs, OpenBlobs},
    commit::Commit,
    ctx::Ctx,
    env::Time,
    error::{Error, Result},
    feed::Cache,
    id::{DeviceId, TenantId},
    kernel::Kernel,
    lifecycle::Forget,
    outbox::Journal,
    quota::Quotas,
    secret,
    token::Keyring,
};

mod artifacts;
mod bounded;
mod deltas;
mod deltas_work;
mod direct;
mod flaws;
mod generate;
mod lease;
mod links;
mod manifests;
mod releases;
mod settings;
mod upload;
mod watch;

pub(crate) use artifacts::Sweep;
pub use deltas::{DeltaRequest, DeltaState};
pub(crate) use deltas_work::Deltas;
pub use links::{Linked, PATH as STORAGE_PATH};
pub use manifests::{MAX_ARTIFACT as MAX_MANIFEST_ARTIFACT, NewManifest};
pub use settings::Storage;
pub use upload::NewArtifact;
pub(crate) use watch::Watch;

/// How many releases are kept in memory: some have many artifacts.
const KEPT: usize = 100;

/// How artifacts are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// How many bytes an artifact may have.
    pub max_size: u64,
    /// How many bytes a file may have that an artifact is made of.
    pub max_generate_size: u64,
    /// Whether clients may put artifacts into the store of blobs themselves.
    pub direct_upload: bool,
    /// Whether what they put there is taken for what they say it is.
    pub skip_verify: bool,
    /// For how long a link to an artifact works.
    pub download_expires: Duration,
    /// For how long a link to put an artifact works.
    pub upload_expires: Duration,
    /// How deltas are made.
    pub delta: DeltaConfig,
}

/// How deltas are made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeltaConfig {
    /// Whether they are made for tenants of which nobody says so.
    pub enabled: bool,
    /// How many bytes an image may have.
    pub max_image: u64,
    /// The folder for images that are being worked on; `None`: that of the system.
    pub work: Option<PathBuf>,
    /// How many deltas this node makes at a time.
    pub parallel: usize,
}

impl Default for DeltaConfig {
    fn default() -> Self {
        Self { enabled: true, max_image: 5 << 30, work: None, parallel: 1 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_size: 10 << 30,
            max_generate_size: 256 << 20,
            direct_upload: false,
            skip_verify: false,
            download_expires: Duration::from_secs(15 * 60),
            upload_expires: Duration::from_secs(60 * 60),
            delta: DeltaConfig::default(),
        }
    }
}

/// What artifacts ask deployments.
#[async_trait]
pub(crate) trait Usage: Send + Sync + 'static {
    /// Returns the ids of the deployments of releases with these names that have not ended.
    async fn open(&self, tenant: &TenantId, names: &[String]) -> Result<Vec<String>>;

    /// Returns when the last of the deployments of a release ended that have.
    async fn last_end(&self, tenant: &TenantId, name: &str) -> Result<Option<Time>>;
}

/// The use cases of artifacts and releases.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    quotas: Arc<dyn Quotas>,
    blobs: Arc<dyn Blobs>,
    open: Option<Arc<dyn OpenBlobs>>,
    usage: Arc<dyn Usage>,
    keys: Arc<Keyring>,
    config: Config,
    /// How many more deltas may be made.
    delta_slots: Arc<Semaphore>,
    /// Work that outlasts the job that began it.
    tasks: TaskTracker,
    /// What releases have, for those who ask often.
    kept: Arc<Cache<Arc<[Artifact]>>>,
}

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) quotas: Arc<dyn Quotas>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) open: Option<Arc<dyn OpenBlobs>>,
    pub(crate) usage: Arc<dyn Usage>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) config: Config,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("artifacts::Service").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The key of an artifact's bytes.
///
/// # Errors
/// `Invalid` for an id that can't be part of a key: no artifact has it.
pub fn blob_of(tenant: &TenantId, id: &ArtifactId) -> Result<BlobKey> {
    key(tenant, id.as_str())
}

/// The key of bytes that an artifact is yet to be made of.
///
/// # Errors
/// As [`blob_of`].
pub fn raw_of(tenant: &TenantId, id: &ArtifactId) -> Result<BlobKey> {
    key(tenant, &format!("{id}.tmp"))
}

fn key(tenant: &TenantId, name: &str) -> Result<BlobKey> {
    let key = match tenant.as_str() {
        "" => BlobKey::new(name),
        // Ids that clients made may have characters that keys do not.
        tenant => BlobKey::new(format!("{tenant}/{name}"))
            .or_else(|| BlobKey::new(format!("{}/{name}", secret::token_hash(tenant)))),
    };
    key.ok_or_else(|| Error::invalid("id", "no id of an artifact"))
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { kernel, store, journal, quotas, blobs, open, usage, keys, config } = parts;
        let delta_slots = Arc::new(Semaphore::new(config.delta.parallel));
        let tasks = TaskTracker::new();
        let kept = Arc::new(Cache::new(logic::TOPIC, KEPT));
        kernel.register(kept.clone());
        Self {
            kernel,
            store,
            journal,
            quotas,
            blobs,
            open,
            usage,
            keys,
            config,
            delta_slots,
            tasks,
            kept,
        }
    }

    /// Returns how artifacts are kept.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns where the bytes of a tenant's artifacts are.
    async fn blobs(&self, tenant: &TenantId) -> Result<Arc<dyn Blobs>> {
        let settings = self.store.artifact_settings(tenant).await?;
        match settings.and_then(|settings| settings.storage) {
            None => Ok(self.blobs.clone()),
            Some(own) => self.open_blobs(&own).await,
        }
    }

    /// Opens a store that a tenant brings.
    async fn open_blobs(&self, settings: &BlobSettings) -> Result<Arc<dyn Blobs>> {
        let nobody = || Error::internal("this server opens no stores of tenants");
        Ok(self.open.as_ref().ok_or_else(nobody)?.open_blobs(settings).await?)
    }

    fn now(&self) -> Time {
        self.kernel.env().now()
    }

    async fn commit(&self, ctx: &Ctx, commit: Commit<Release>) -> Result<()> {
        let write = |commit| self.store.commit_release(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_retired(&self, ctx: &Ctx, commit: Commit<Retired>) -> Result<()> {
        let write = |commit| self.store.commit_retired(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_upload(&self, ctx: &Ctx, commit: Commit<Upload>) -> Result<()> {
        let write = |commit| self.store.commit_upload(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_settings(&self, ctx: &Ctx, commit: Commit<ArtifactSettings>) -> Result<()> {
        let write = |commit| self.store.commit_artifact_settings(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }
}

/// The tags that the releases must have which the caller may see, as a query wants them.
fn visible(ctx: &Ctx) -> Option<Vec<String>> {
    ctx.scope.tags().map(<[String]>::to_vec)
}

/// Refuses callers who are limited to some releases, or to some devices.
fn check_scope(ctx: &Ctx) -> Result<()> {
    match (ctx.scope.tags(), ctx.scope.groups()) {
        (None, None) => Ok(()),
        _ => Err(Error::forbidden("for users who may reach all devices and releases")),
    }
}

#[async_trait]
impl Forget for Service {
    async fn forget_device(&self, _: &TenantId, _: &DeviceId) -> Result<()> {
        Ok(())
    }

    async fn forget_tenant(&self, tenant: &TenantId) -> Result<()> {
        let ctx = Ctx::system(tenant.clone());
        self.forget_releases(&ctx).await?;
        self.forget_deltas(&ctx, None).await?;
        self.forget_settings(&ctx).await
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
