//! The handle on a server: built from its parts, cloned freely, run in the background.

mod background;
mod builder;
mod flaws;
mod hints;

use std::{sync::Arc, time::Duration};

use crate::{
    artifacts, auth,
    blob::{Blobs, MemoryBlobs},
    bus::Bus,
    deployments,
    env::Env,
    error::{Error, Kind, Result, StoreError},
    feed::{self, Feed},
    id::TenantId,
    inventory,
    jobs::{Jobs, Runner},
    kernel::Kernel,
    kit::MemoryStores,
    lifecycle::ForgetTenant,
    mail::Mail,
    outbound::Outbound,
    outbox::{Courier, Journal},
    quota::Quotas,
    search, tenants, users,
};

pub use builder::Builder;

/// What a store keeps beside its aggregates, written by the same commits.
pub trait Base: Journal + Feed + Quotas {}

impl<S: Journal + Feed + Quotas> Base for S {}

/// Everything that a server stores, in one value.
pub trait Stores:
    artifacts::Store
    + auth::Store
    + deployments::Store
    + inventory::Store
    + tenants::Store
    + users::Store
    + Base
    + Jobs
{
}

impl<S> Stores for S where
    S: artifacts::Store
        + auth::Store
        + deployments::Store
        + inventory::Store
        + tenants::Store
        + users::Store
        + Base
        + Jobs
{
}

struct Inner {
    kernel: Arc<Kernel>,
    courier: Courier,
    journals: Vec<Arc<dyn Journal>>,
    bases: Vec<Arc<dyn Base>>,
    runner: Runner,
    artifacts: Arc<artifacts::Service>,
    #[cfg(feature = "testing")]
    releases: Arc<dyn artifacts::Store>,
    auth: Arc<auth::Service>,
    deployments: Arc<deployments::Service>,
    inventory: Arc<inventory::Service>,
    search: Arc<search::Service>,
    tenants: Arc<tenants::Service>,
    users: Arc<users::Service>,
    blobs: Arc<dyn Blobs>,
    bus: Arc<dyn Bus>,
    /// The same; `None` where it is this server's own, so that nobody else hears it.
    shared_bus: Option<Arc<dyn Bus>>,
    outbound: Arc<dyn Outbound>,
    mail: Arc<dyn Mail>,
    public_url: String,
}

/// A server. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Mender(Arc<Inner>);

impl std::fmt::Debug for Mender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mender").field("node", &self.0.kernel.node).finish_non_exhaustive()
    }
}

impl Mender {
    /// Begins to build a server.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Begins to build a server in memory, with keys of its own: everything is gone with it.
    #[must_use]
    pub fn in_memory() -> Builder {
        let builder = Self::builder().stores(MemoryStores::default());
        builder.blobs(MemoryBlobs::default()).ephemeral_keys()
    }

    /// Returns the clock and the source of randomness.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.kernel.env
    }

    /// Returns the use cases of artifacts and releases.
    #[must_use]
    pub fn artifacts(&self) -> &artifacts::Service {
        &self.0.artifacts
    }

    /// Returns the use cases of device authentication.
    #[must_use]
    pub fn auth(&self) -> &auth::Service {
        &self.0.auth
    }

    /// Returns the use cases of deployments.
    #[must_use]
    pub fn deployments(&self) -> &deployments::Service {
        &self.0.deployments
    }

    /// Returns the use cases of inventory.
    #[must_use]
    pub fn inventory(&self) -> &inventory::Service {
        &self.0.inventory
    }

    /// Returns the use cases of search.
    #[must_use]
    pub fn search(&self) -> &search::Service {
        &self.0.search
    }

    /// Returns the use cases of tenants.
    #[must_use]
    pub fn tenants(&self) -> &tenants::Service {
        &self.0.tenants
    }

    /// Returns the use cases of users.
    #[must_use]
    pub fn users(&self) -> &users::Service {
        &self.0.users
    }

    /// Returns where large objects are.
    #[must_use]
    pub fn blobs(&self) -> &dyn Blobs {
        &*self.0.blobs
    }

    /// Returns what carries messages between nodes.
    #[must_use]
    pub fn bus(&self) -> &dyn Bus {
        &*self.0.bus
    }

    /// Returns what sends HTTP requests.
    #[must_use]
    pub fn outbound(&self) -> &dyn Outbound {
        &*self.0.outbound
    }

    /// Returns what sends mail.
    #[must_use]
    pub fn mail(&self) -> &dyn Mail {
        &*self.0.mail
    }

    /// Returns the URL that devices and users reach the server by; empty where none was given.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Returns the table of jobs.
    #[must_use]
    pub fn jobs(&self) -> &dyn Jobs {
        &*self.0.kernel.jobs
    }

    #[cfg(feature = "testing")]
    pub(crate) async fn quota(
        &self,
        tenant: &crate::id::TenantId,
        name: &str,
    ) -> Result<crate::quota::Quota> {
        Ok(self.0.bases[0].quota(tenant, name).await?)
    }

    /// Stores a release whose bytes nobody put anywhere.
    #[cfg(feature = "testing")]
    pub(crate) async fn commit_release(
        &self,
        ctx: &crate::ctx::Ctx,
        commit: crate::commit::Commit<artifacts::Release>,
    ) -> Result<()> {
        let journal: Arc<dyn Journal> = self.0.bases[0].clone();
        let write = |commit| self.0.releases.commit_release(&ctx.tenant, commit);
        Ok(self.0.kernel.commit(ctx, &journal, commit, write).await?)
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check(&self) -> Result<()> {
        self.0.kernel.feed.nodes(self.env().now()).await?;
        Ok(())
    }

    /// Checks that the server is ready: the database and the place of large objects answer, some
    /// node delivers events, and this node's clock agrees with those of the others.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    pub async fn ready(&self) -> Result<()> {
        let now = self.env().now();
        let nodes = self.0.kernel.feed.nodes(now - feed::ALIVE).await?;
        let refused = |what: &'static str| Err(Error::new(Kind::Unavailable, what));
        if !nodes.iter().any(|node| node.runs) {
            return refused("no node delivers events: is Mender::run running?");
        }
        if nodes.iter().any(|node| node.at.since(now) > feed::SKEW) {
            return refused("the clocks of the nodes differ by more than 2 seconds");
        }
        let unusable = |error: StoreError| {
            Error::new(Kind::Unavailable, "the place of large objects can't be used").because(error)
        };
        self.0.blobs.check_blobs().await.map_err(unusable)
    }

    /// Has every area forget a tenant, and what the host keeps for it: a job does so.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_tenant(&self, tenant: &TenantId) -> Result<()> {
        let job = ForgetTenant::job(tenant, self.env().now());
        Ok(self.0.kernel.jobs.put_jobs(&[job]).await?)
    }

    /// Counts the events that are not yet delivered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn undelivered(&self) -> Result<u64> {
        let mut count = 0;
        for journal in &self.0.journals {
            count += journal.unsettled_events().await?;
        }
        Ok(count)
    }

    /// Returns how long the longest due of the jobs that this node runs has been waiting.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn longest_due(&self) -> Result<Duration> {
        let kinds: Vec<String> = self.0.runner.workers.keys().cloned().collect();
        let due = self.0.kernel.jobs.next_due(&kinds).await?;
        Ok(due.map_or(Duration::ZERO, |due| self.env().now().since(due)))
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::{
        auth::{DeviceFilter, Status},
        ctx::Ctx,
        page::PageRequest,
        testing::{TestDevice, TestEnv},
    };

    #[tokio::test]
    async fn a_device_is_accepted_works_and_is_shut_out_at_once() {
        let time = TestEnv::seeded(1);
        let mender = Mender::in_memory().env(time.env()).build().unwrap();
        let ctx = Ctx::system(Default::default());
        let ask = TestDevice::new(r#"{"mac":"1"}"#, 1).request();
        let auth = mender.auth();
        assert_eq!(auth.request("", &ask).await.unwrap_err().kind, Kind::Unauthenticated);
        let all = auth.devices(&ctx, DeviceFilter::default(), PageRequest::default()).await;
        let device = all.unwrap().items.remove(0).device;
        assert_eq!(device.status, Status::Pending);
        auth.decide(&ctx, &device.id, &device.sets[0].id, Status::Accepted).await.unwrap();
        let token = auth.request("", &ask).await.unwrap();
        mender.drain().await.unwrap();
        for _ in 0..2 {
            assert_eq!(auth.verify(&token, "").await.unwrap().device, device.id);
        }
        auth.revoke_token(&ctx, &device.sets[0].id).await.unwrap();
        assert!(auth.verify(&token, "").await.is_err());
        let token = auth.request("", &ask).await.unwrap();
        assert!(auth.verify(&token, "").await.is_ok());
        auth.decommission(&ctx, &device.id).await.unwrap();
        assert!(auth.verify(&token, "").await.is_err());
        mender.drain().await.unwrap();
        assert_eq!(auth.device(&ctx, &device.id).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(mender.undelivered().await.unwrap(), 0);
        assert_eq!(mender.longest_due().await.unwrap(), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_end_of_the_last_handle_frees_the_stores() {
        let stores = MemoryStores::default();
        let mender = Mender::in_memory().stores(stores.clone()).build().unwrap();
        assert!(stores.holders() > 1);
        drop(mender.clone());
        drop(mender);
        assert_eq!(stores.holders(), 1);
    }
}
