//! The handle on a server: built from its parts, cloned freely, run in the background.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth,
    blob::{Blobs, MemoryBlobs, NoBlobs},
    bus::{Bus, LocalBus},
    env::Env,
    error::{Error, Kind, Result},
    event::Subscriber,
    feed::{self, Feed},
    jobs::{Jobs, Runner, Worker},
    kernel::Kernel,
    kit::MemoryStores,
    lifecycle::{Forget, Lifecycle},
    mail::{Mail, NoMail},
    outbound::{NoOutbound, Outbound},
    outbox::{Courier, DELIVER, Deliveries, Journal},
    quota::Quotas,
    tenants,
    token::Keyring,
    users,
};

/// How often contacts are written.
const CONTACTS: Duration = Duration::from_secs(10);

/// How often the background looks for work that other nodes left.
const LOOK: Duration = Duration::from_millis(500);

/// How often what is out of date is swept.
const SWEEP: Duration = Duration::from_secs(60);

/// How much one sweep removes.
const SWEEP_LIMIT: usize = 1000;

/// Everything that a server stores, in one value.
pub trait Stores:
    auth::Store + tenants::Store + users::Store + Journal + Jobs + Feed + Quotas
{
}

impl<S: auth::Store + tenants::Store + users::Store + Journal + Jobs + Feed + Quotas> Stores for S {}

struct Port<S: ?Sized> {
    store: Arc<S>,
    journal: Arc<dyn Journal>,
}

impl<S: ?Sized> Clone for Port<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), journal: self.journal.clone() }
    }
}

/// Builds a [`Mender`].
#[derive(Default)]
pub struct Builder {
    env: Option<Env>,
    auth: Option<Port<dyn auth::Store>>,
    tenants: Option<Port<dyn tenants::Store>>,
    users: Option<Port<dyn users::Store>>,
    jobs: Option<Arc<dyn Jobs>>,
    feed: Option<Arc<dyn Feed>>,
    quotas: Option<Arc<dyn Quotas>>,
    keys: Option<Keyring>,
    ephemeral: bool,
    blobs: Option<Arc<dyn Blobs>>,
    bus: Option<Arc<dyn Bus>>,
    outbound: Option<Arc<dyn Outbound>>,
    mail: Option<Arc<dyn Mail>>,
    public_url: String,
    auth_config: auth::Config,
    users_config: users::Config,
    subscribers: Vec<Arc<dyn Subscriber>>,
    workers: Vec<Arc<dyn Worker>>,
    areas: Vec<Arc<dyn Forget>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    /// Stores everything here.
    #[must_use]
    pub fn stores<S: Stores>(mut self, stores: S) -> Self {
        let all = Arc::new(stores);
        let journal: Arc<dyn Journal> = all.clone();
        self.auth = Some(Port { store: all.clone(), journal: journal.clone() });
        self.tenants = Some(Port { store: all.clone(), journal: journal.clone() });
        self.users = Some(Port { store: all.clone(), journal });
        self.jobs = Some(all.clone());
        self.feed = Some(all.clone());
        self.quotas = Some(all);
        self
    }

    /// Stores device authentication elsewhere.
    #[must_use]
    pub fn auth_store<S: auth::Store + Journal>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.auth = Some(Port { journal: store.clone(), store });
        self
    }

    /// Stores tenants elsewhere.
    #[must_use]
    pub fn tenants_store<S: tenants::Store + Journal>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.tenants = Some(Port { journal: store.clone(), store });
        self
    }

    /// Stores users elsewhere.
    #[must_use]
    pub fn users_store<S: users::Store + Journal>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.users = Some(Port { journal: store.clone(), store });
        self
    }

    /// Signs and verifies tokens with these keys.
    #[must_use]
    pub fn keys(mut self, keys: Keyring) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Signs tokens with a new key that is kept nowhere.
    #[must_use]
    pub fn ephemeral_keys(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// Keeps large objects here.
    #[must_use]
    pub fn blobs(mut self, blobs: impl Blobs) -> Self {
        self.blobs = Some(Arc::new(blobs));
        self
    }

    /// Carries fleeting messages between nodes.
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.bus = Some(Arc::new(bus));
        self
    }

    /// Sends HTTP requests to the world.
    #[must_use]
    pub fn outbound(mut self, outbound: impl Outbound) -> Self {
        self.outbound = Some(Arc::new(outbound));
        self
    }

    /// Sends mail.
    #[must_use]
    pub fn mail(mut self, mail: impl Mail) -> Self {
        self.mail = Some(Arc::new(mail));
        self
    }

    /// Takes time and randomness from here; the machine's where not called.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// The URL that devices and users reach the server by, with its mount path, if any.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = url.into();
        self
    }

    /// How device authentication behaves.
    #[must_use]
    pub fn auth_config(mut self, config: auth::Config) -> Self {
        self.auth_config = config;
        self
    }

    /// How users log in.
    #[must_use]
    pub fn users_config(mut self, config: users::Config) -> Self {
        self.users_config = config;
        self
    }

    /// Has a subscriber hear events.
    #[must_use]
    pub fn subscriber(mut self, subscriber: impl Subscriber) -> Self {
        self.subscribers.push(Arc::new(subscriber));
        self
    }

    /// Has a worker run the jobs of its kind.
    #[must_use]
    pub fn worker(mut self, worker: impl Worker) -> Self {
        self.workers.push(Arc::new(worker));
        self
    }

    /// Has data of the host's own forgotten with devices and tenants, before ours.
    #[must_use]
    pub fn forget(mut self, area: impl Forget) -> Self {
        self.areas.push(Arc::new(area));
        self
    }

    /// Builds the server.
    ///
    /// # Errors
    /// `Invalid` where a part is missing: there is no silent default for stores and keys.
    pub fn build(self) -> Result<Mender> {
        fn need<T>(part: Option<T>, name: &'static str) -> Result<T> {
            part.ok_or_else(|| Error::invalid("builder", format!("{name} must be given")))
        }
        let env = self.env.unwrap_or_else(Env::system);
        let feed = need(self.feed, "stores()")?;
        let jobs = need(self.jobs, "stores()")?;
        let quotas = need(self.quotas, "stores()")?;
        let (auth, tenants) = (need(self.auth, "stores()")?, need(self.tenants, "stores()")?);
        let users = need(self.users, "stores()")?;
        let keys = match self.keys {
            None if self.ephemeral => Keyring::ephemeral(&env)?,
            keys => need(keys, "keys()")?,
        };
        let keys = Arc::new(keys);
        let (kernel, events) = Kernel::new(env.clone(), jobs.clone(), feed, quotas)?;
        let kernel = Arc::new(kernel);

        let mut journals: Vec<Arc<dyn Journal>> = Vec::new();
        for journal in [&auth.journal, &tenants.journal, &users.journal] {
            if !journals.iter().any(|known| Arc::ptr_eq(known, journal)) {
                journals.push(journal.clone());
            }
        }
        let tenants =
            Arc::new(tenants::Service::new(kernel.clone(), tenants.store, tenants.journal));
        let users = Arc::new(users::Service::new(
            kernel.clone(),
            users.store,
            users.journal,
            tenants.clone(),
            keys.clone(),
            self.users_config,
        ));
        let auth = Arc::new(auth::Service::new(
            kernel.clone(),
            auth.store,
            auth.journal,
            tenants.clone(),
            keys,
            self.auth_config,
        ));

        let mut areas = self.areas;
        areas.push(auth.clone());
        let lifecycle = Arc::new(Lifecycle { env: env.clone(), jobs: jobs.clone(), areas });
        let mut subscribers = self.subscribers;
        subscribers.push(lifecycle.clone());
        let mut workers: BTreeMap<String, Arc<dyn Worker>> = BTreeMap::new();
        let usage: Arc<dyn Worker> =
            Arc::new(auth::CountUsage { service: auth.clone(), directory: tenants.clone() });
        for worker in self.workers.into_iter().chain([lifecycle, usage]) {
            workers.insert(worker.kind().to_owned(), worker);
        }
        for subscriber in &subscribers {
            let (subscriber, journals) = (subscriber.clone(), journals.clone());
            let kind = format!("{DELIVER}{}", subscriber.name());
            let deliveries = Deliveries { kind: kind.clone(), subscriber, journals };
            workers.insert(kind, Arc::new(deliveries));
        }
        kernel.outbox.set_heard(subscribers.iter().map(|s| s.kinds()).collect());
        let courier = Courier::new(env.clone(), jobs.clone(), subscribers, events);
        let runner = Runner { env, jobs, workers };
        Ok(Mender(Arc::new(Inner {
            kernel,
            courier,
            journals,
            runner,
            auth,
            tenants,
            users,
            blobs: self.blobs.unwrap_or_else(|| Arc::new(NoBlobs)),
            bus: self.bus.unwrap_or_else(|| Arc::new(LocalBus::default())),
            outbound: self.outbound.unwrap_or_else(|| Arc::new(NoOutbound)),
            mail: self.mail.unwrap_or_else(|| Arc::new(NoMail)),
            public_url: self.public_url,
        })))
    }
}

struct Inner {
    kernel: Arc<Kernel>,
    courier: Courier,
    journals: Vec<Arc<dyn Journal>>,
    runner: Runner,
    auth: Arc<auth::Service>,
    tenants: Arc<tenants::Service>,
    users: Arc<users::Service>,
    blobs: Arc<dyn Blobs>,
    bus: Arc<dyn Bus>,
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

    /// Returns the use cases of device authentication.
    #[must_use]
    pub fn auth(&self) -> &auth::Service {
        &self.0.auth
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
        Ok(self.0.kernel.quotas.quota(tenant, name).await?)
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn check(&self) -> Result<()> {
        self.0.kernel.feed.nodes(self.env().now()).await?;
        Ok(())
    }

    /// Checks that the server is ready: the database answers, some node delivers events, and
    /// this node's clock agrees with those of the others.
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
        Ok(())
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

    /// Puts the jobs that come back for ever, for instance every day; [`Mender::run`] does so by
    /// itself. Again is harmless.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn schedule(&self) -> Result<()> {
        let jobs = [auth::CountUsage::job(self.env().now())];
        Ok(self.0.kernel.jobs.put_jobs(&jobs).await?)
    }

    /// Delivers events, runs jobs and keeps caches true, until told to stop. Then it finishes
    /// what it has begun.
    pub async fn run(&self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let every = |period: Duration, work: fn(Self) -> Work| {
            tasks.spawn(repeat(self.clone(), stop.clone(), period, work));
        };
        every(feed::PERIOD, |m| Box::pin(async move { Ok(m.0.kernel.freshness.look().await?) }));
        every(Duration::from_secs(1), |m| Box::pin(async move { m.beat(true).await }));
        every(CONTACTS, |m| Box::pin(async move { m.auth().record_contacts().await.map(|_| ()) }));
        every(LOOK, |m| Box::pin(async move { m.adopt().await.map(|_| ()) }));
        every(LOOK, |m| Box::pin(async move { m.run_jobs().await.map(|_| ()) }));
        every(SWEEP, |m| {
            Box::pin(async move {
                m.schedule().await?;
                m.sweep().await
            })
        });
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                let batch = tokio::select! {
                    biased;
                    () = stopped.cancelled() => break,
                    batch = mender.0.courier.next() => batch,
                };
                mender.0.courier.deliver_batch(batch).await;
            }
        });
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    () = mender.0.courier.new_job.notified() => {
                        log_failure(mender.run_jobs().await);
                    }
                }
            }
        });
        tasks.close();
        tasks.wait().await;
        while self.0.courier.deliver_waiting().await > 0 {}
        log_failure(self.auth().record_contacts().await);
        log_failure(self.0.kernel.feed.leave(&self.0.kernel.node).await);
    }

    async fn beat(&self, runs: bool) -> Result<()> {
        let kernel = &self.0.kernel;
        let node = feed::Node { id: kernel.node.clone(), at: kernel.env.now(), runs };
        Ok(kernel.feed.beat(&node).await?)
    }

    /// Takes over the events of nodes that died; returns how many.
    async fn adopt(&self) -> Result<usize> {
        let mut count = 0;
        for journal in &self.0.journals {
            count += self.0.courier.deliver_orphans(journal).await?;
        }
        Ok(count)
    }

    async fn run_jobs(&self) -> Result<usize> {
        Ok(self.0.runner.run_due().await?)
    }

    async fn sweep(&self) -> Result<()> {
        let (kernel, now) = (&self.0.kernel, self.env().now());
        kernel.feed.sweep_feed(now - feed::KEPT, SWEEP_LIMIT).await?;
        Ok(kernel.quotas.sweep_quotas(now - feed::KEPT, SWEEP_LIMIT).await?)
    }

    /// Does everything that is due now, until nothing is left: for tests and command-line tools,
    /// which do not [`Mender::run`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drain(&self) -> Result<()> {
        loop {
            self.0.kernel.freshness.look().await?;
            let mut done = self.auth().record_contacts().await?;
            done += self.0.courier.deliver_waiting().await;
            done += self.adopt().await?;
            done += self.run_jobs().await?;
            if done == 0 {
                return Ok(());
            }
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

fn log_failure<T, E: std::error::Error>(answer: Result<T, E>) {
    if let Err(error) = answer {
        let source = error.source().map(ToString::to_string);
        tracing::warn!(%error, source, "background work failed and is tried again");
    }
}

async fn repeat(
    mender: Mender,
    stop: CancellationToken,
    period: Duration,
    work: fn(Mender) -> Work,
) {
    loop {
        log_failure(work(mender.clone()).await);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
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
