use std::{collections::BTreeMap, sync::Arc};

use crate::{
    artifacts, auth,
    blob::{Blobs, NoBlobs, OpenBlobs},
    bus::{Bus, LocalBus},
    deployments,
    env::Env,
    error::{Error, Result},
    event::Subscriber,
    feed::Feed,
    inventory,
    jobs::{Jobs, Runner, Worker},
    kernel::Kernel,
    lifecycle::{Forget, ForgetTenant, Lifecycle},
    mail::{Mail, NoMail},
    mender::{Base, Inner, Mender, Stores},
    outbound::{NoOutbound, Outbound},
    outbox::{Courier, DELIVER, Deliveries, Journal},
    search::{self, SearchIndex},
    tenants,
    token::Keyring,
    users,
};

struct Port<S: ?Sized> {
    store: Arc<S>,
    base: Arc<dyn Base>,
}

impl<S: ?Sized> Clone for Port<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), base: self.base.clone() }
    }
}

/// Builds a [`Mender`].
#[derive(Default)]
pub struct Builder {
    env: Option<Env>,
    artifacts: Option<Port<dyn artifacts::Store>>,
    auth: Option<Port<dyn auth::Store>>,
    deployments: Option<Port<dyn deployments::Store>>,
    inventory: Option<Port<dyn inventory::Store>>,
    tenants: Option<Port<dyn tenants::Store>>,
    users: Option<Port<dyn users::Store>>,
    jobs: Option<Arc<dyn Jobs>>,
    base: Option<Arc<dyn Base>>,
    keys: Option<Keyring>,
    ephemeral: bool,
    blobs: Option<Arc<dyn Blobs>>,
    open_blobs: Option<Arc<dyn OpenBlobs>>,
    bus: Option<Arc<dyn Bus>>,
    outbound: Option<Arc<dyn Outbound>>,
    mail: Option<Arc<dyn Mail>>,
    index: Option<Arc<dyn SearchIndex>>,
    adviser: Option<Arc<dyn deployments::Adviser>>,
    public_url: String,
    artifacts_config: artifacts::Config,
    auth_config: auth::Config,
    deployments_config: deployments::Config,
    inventory_config: inventory::Config,
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
        let base: Arc<dyn Base> = all.clone();
        self.artifacts = Some(Port { store: all.clone(), base: base.clone() });
        self.auth = Some(Port { store: all.clone(), base: base.clone() });
        self.deployments = Some(Port { store: all.clone(), base: base.clone() });
        self.inventory = Some(Port { store: all.clone(), base: base.clone() });
        self.tenants = Some(Port { store: all.clone(), base: base.clone() });
        self.users = Some(Port { store: all.clone(), base: base.clone() });
        self.base = Some(base);
        self.jobs = Some(all);
        self
    }

    /// Stores artifacts elsewhere; their bytes are blobs.
    #[must_use]
    pub fn artifacts_store<S: artifacts::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.artifacts = Some(Port { base: store.clone(), store });
        self
    }

    /// Stores device authentication elsewhere.
    #[must_use]
    pub fn auth_store<S: auth::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.auth = Some(Port { base: store.clone(), store });
        self
    }

    /// Stores deployments elsewhere.
    #[must_use]
    pub fn deployments_store<S: deployments::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.deployments = Some(Port { base: store.clone(), store });
        self
    }

    /// Stores inventory elsewhere.
    #[must_use]
    pub fn inventory_store<S: inventory::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.inventory = Some(Port { base: store.clone(), store });
        self
    }

    /// Stores tenants elsewhere.
    #[must_use]
    pub fn tenants_store<S: tenants::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.tenants = Some(Port { base: store.clone(), store });
        self
    }

    /// Stores users elsewhere.
    #[must_use]
    pub fn users_store<S: users::Store + Base>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.users = Some(Port { base: store.clone(), store });
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

    /// Opens the stores that tenants bring for their large objects.
    #[must_use]
    pub fn open_blobs(mut self, open: impl OpenBlobs) -> Self {
        self.open_blobs = Some(Arc::new(open));
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

    /// Has logs of failed deployments explained; not at all where not called.
    #[must_use]
    pub fn log_adviser(mut self, adviser: impl deployments::Adviser) -> Self {
        self.adviser = Some(Arc::new(adviser));
        self
    }

    /// Has reports answered from an index of devices; from the primary store where not called.
    #[must_use]
    pub fn search_index(mut self, index: impl SearchIndex) -> Self {
        self.index = Some(Arc::new(index));
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

    /// How artifacts are kept.
    #[must_use]
    pub fn artifacts_config(mut self, config: artifacts::Config) -> Self {
        self.artifacts_config = config;
        self
    }

    /// How deployments behave.
    #[must_use]
    pub fn deployments_config(mut self, config: deployments::Config) -> Self {
        self.deployments_config = config;
        self
    }

    /// How device authentication behaves.
    #[must_use]
    pub fn auth_config(mut self, config: auth::Config) -> Self {
        self.auth_config = config;
        self
    }

    /// How inventory behaves.
    #[must_use]
    pub fn inventory_config(mut self, config: inventory::Config) -> Self {
        self.inventory_config = config;
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
        let base = need(self.base, "stores()")?;
        let jobs = need(self.jobs, "stores()")?;
        let (auth, tenants) = (need(self.auth, "stores()")?, need(self.tenants, "stores()")?);
        let users = need(self.users, "stores()")?;
        let artifacts = need(self.artifacts, "stores()")?;
        #[cfg(feature = "testing")]
        let releases = artifacts.store.clone();
        let deployments = need(self.deployments, "stores()")?;
        let inventory = need(self.inventory, "stores()")?;
        let keys = match self.keys {
            None if self.ephemeral => Keyring::ephemeral(&env)?,
            keys => need(keys, "keys()")?,
        };
        let keys = Arc::new(keys);
        let mut bases = vec![base.clone()];
        let others = [&artifacts.base, &auth.base, &deployments.base, &inventory.base];
        for other in others.into_iter().chain([&tenants.base, &users.base]) {
            // Only the addresses count: one value may have several tables of methods.
            if !bases.iter().any(|known| std::ptr::addr_eq(&raw const **known, &raw const **other))
            {
                bases.push(other.clone());
            }
        }
        let feeds = bases.iter().map(|base| base.clone() as Arc<dyn Feed>).collect();
        let journals: Vec<_> = bases.iter().map(|base| base.clone() as Arc<dyn Journal>).collect();
        let (kernel, events) = Kernel::new(env.clone(), jobs.clone(), base, feeds)?;
        let kernel = Arc::new(kernel);

        let tenants = Arc::new(tenants::Service::new(kernel.clone(), tenants.store, tenants.base));
        let users = Arc::new(users::Service::new(
            kernel.clone(),
            users.store,
            users.base,
            tenants.clone(),
            keys.clone(),
            self.users_config,
        ));
        let auth = Arc::new(auth::Service::new(
            kernel.clone(),
            auth.store,
            auth.base.clone(),
            auth.base,
            tenants.clone(),
            keys.clone(),
            self.auth_config,
        ));

        let inventory = Arc::new(inventory::Service::new(
            kernel.clone(),
            inventory.store,
            inventory.base,
            self.inventory_config,
        ));

        let blobs: Arc<dyn Blobs> = self.blobs.unwrap_or_else(|| Arc::new(NoBlobs));
        let artifacts = Arc::new(artifacts::Service::new(artifacts::Parts {
            kernel: kernel.clone(),
            store: artifacts.store,
            journal: artifacts.base.clone(),
            quotas: artifacts.base,
            blobs: blobs.clone(),
            open: self.open_blobs,
            usage: Arc::new(deployments::UsageOf(deployments.store.clone())),
            keys: keys.clone(),
            config: self.artifacts_config,
        }));

        let deployments = Arc::new(deployments::Service::new(deployments::Parts {
            kernel: kernel.clone(),
            store: deployments.store,
            journal: deployments.base.clone(),
            releases: artifacts.clone(),
            fleet: inventory.clone(),
            tiers: auth.clone(),
            quotas: deployments.base,
            keys: keys.clone(),
            adviser: self.adviser,
            config: self.deployments_config,
        }));

        let lag = Arc::default();
        let search = Arc::new(search::Service::new(
            inventory.clone(),
            deployments.clone(),
            tenants.clone(),
            jobs.clone(),
            self.index.clone(),
            Arc::clone(&lag),
        ));

        let mut areas = self.areas;
        areas.extend([deployments.clone() as Arc<dyn Forget>, artifacts.clone()]);
        areas.extend([inventory.clone() as Arc<dyn Forget>, auth.clone()]);
        let lifecycle = Arc::new(Lifecycle { env: env.clone(), jobs: jobs.clone(), areas });
        let mut subscribers = self.subscribers;
        subscribers.push(lifecycle.clone());
        let follow =
            inventory::FollowDevices { inventory: inventory.clone(), source: auth.clone() };
        subscribers.push(Arc::new(follow));
        subscribers.push(Arc::new(deployments::Settle(deployments.clone())));
        let follow = auth::FollowGroups { auth: auth.clone(), source: inventory.clone() };
        subscribers.push(Arc::new(follow));
        if let Some(index) = self.index {
            let (env, inventory) = (env.clone(), inventory.clone());
            subscribers.push(Arc::new(search::FollowInventory { env, inventory, index, lag }));
        }
        let mut workers: BTreeMap<String, Arc<dyn Worker>> = BTreeMap::new();
        let usage: Arc<dyn Worker> =
            Arc::new(auth::CountUsage { service: auth.clone(), directory: tenants.clone() });
        let tenants_end: Arc<dyn Worker> = Arc::new(ForgetTenant(lifecycle.clone()));
        let sweep: Arc<dyn Worker> = Arc::new(artifacts::Sweep(artifacts.clone()));
        let ours = [lifecycle.clone() as Arc<dyn Worker>, usage, tenants_end, sweep];
        let uploads = artifacts::Watch::all(&artifacts);
        let walks: [Arc<dyn Worker>; 5] = [
            Arc::new(deployments::Walk(deployments.clone())),
            Arc::new(deployments::Complete(deployments.clone())),
            Arc::new(deployments::Watch(deployments.clone())),
            Arc::new(deployments::WatchTenant(deployments.clone())),
            Arc::new(deployments::Count(deployments.clone())),
        ];
        let deltas = artifacts::Deltas::all(&artifacts);
        for worker in self.workers.into_iter().chain(ours).chain(uploads).chain(deltas).chain(walks)
        {
            let kind = worker.kind().to_owned();
            if workers.insert(kind.clone(), worker).is_some() {
                return Err(Error::invalid("builder", format!("two workers run {kind} jobs")));
            }
        }
        for subscriber in &subscribers {
            let (subscriber, journals) = (subscriber.clone(), journals.clone());
            let kind = format!("{DELIVER}{}", subscriber.name());
            let deliveries = Deliveries { kind: kind.clone(), subscriber, journals };
            if workers.insert(kind.clone(), Arc::new(deliveries)).is_some() {
                return Err(Error::invalid("builder", format!("two subscribers: {kind}")));
            }
        }
        kernel.outbox.set_heard(subscribers.iter().map(|s| s.kinds()).collect());
        let courier = Courier::new(env.clone(), jobs.clone(), subscribers, events);
        let runner = Runner { env, jobs, workers };
        Ok(Mender(Arc::new(Inner {
            kernel,
            courier,
            journals,
            bases,
            runner,
            artifacts,
            #[cfg(feature = "testing")]
            releases,
            auth,
            deployments,
            inventory,
            search,
            tenants,
            users,
            blobs,
            shared_bus: self.bus.clone(),
            bus: self.bus.unwrap_or_else(|| Arc::new(LocalBus::default())),
            outbound: self.outbound.unwrap_or_else(|| Arc::new(NoOutbound)),
            mail: self.mail.unwrap_or_else(|| Arc::new(NoMail)),
            public_url: self.public_url,
        })))
    }
}
