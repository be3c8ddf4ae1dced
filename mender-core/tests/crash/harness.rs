//! Runs a use case with a fault at each of its calls of a port, and of each call of the documents
//! below, and checks what is left.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use mender_core::{
    Ctx, Error, Event, Mender, Result, Subscriber,
    artifacts::{ArtifactQuery, Store as _, logic::STORAGE},
    auth::{AuthSetId, AuthTenant, Device, Limit, Status, Store as _, Tier},
    error::Kind,
    event::{Kinds, Outcome},
    inventory::{self, Search, Store as _},
    kit::{Kit, MemoryStores},
    quota::{Quotas as _, capacity},
    secret::HashCost,
    testing::{Faults, Faulty, TestDevice, TestEnv},
    token::{Key, KeyKind, Keyring},
    users,
};

use crate::crash::{
    deployments,
    docs::FaultyDocs,
    told::{Told, ToldOfInventory, told_of_artifacts},
};

/// Longer than every lease and than the time after which a sweep settles quotas.
const LATER: Duration = Duration::from_secs(600);

/// What a subscriber of all kinds heard, by event id.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<BTreeMap<String, Event>>>);

#[async_trait]
impl Subscriber for Heard {
    fn name(&self) -> &'static str {
        "heard"
    }

    fn kinds(&self) -> Kinds {
        Kinds::All
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut heard = self.0.lock().unwrap();
        for event in events {
            heard.insert(event.id.to_string(), event.clone());
        }
        events.iter().map(|_| Outcome::Done).collect()
    }
}

/// A server on stores that fail on demand.
pub(crate) struct World {
    pub(crate) mender: Mender,
    pub(crate) stores: MemoryStores,
    pub(crate) ctx: Ctx,
    pub(crate) time: TestEnv,
    faults: Faults,
    heard: Heard,
    key: String,
    layer: Layer,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// Those of the ports.
    Ports,
    /// Those of the documents below them.
    Documents,
}

impl World {
    fn new(layer: Layer) -> Self {
        let time = TestEnv::seeded(1);
        let key = Key::generate(&time.env(), KeyKind::Ed25519).unwrap();
        let (stores, faults) = (MemoryStores::default(), Faults::default());
        let heard = Heard::default();
        let mender = build(layer, &stores, &faults, &time, &heard, &key);
        let ctx = Ctx::system(Default::default());
        Self { mender, stores, ctx, time, faults, heard, key, layer }
    }

    /// Replaces the server by a new one on the same stores: what was in memory is gone.
    fn restart(&mut self) {
        self.mender =
            build(self.layer, &self.stores, &self.faults, &self.time, &self.heard, &self.key);
    }

    /// Lets leases end, and everything that is left over be done.
    async fn recover(&self) {
        self.faults.heal();
        for _ in 0..3 {
            self.time.advance(LATER);
            self.mender.drain().await.unwrap();
        }
        let now = self.time.env().now();
        self.stores.sweep_quotas(now, 1000).await.unwrap();
    }

    /// Returns the device with this identity, past the faults.
    pub(crate) async fn find(&self, device: &TestDevice) -> Option<Device> {
        let hash = device.identity().hash();
        let tenant = &self.ctx.tenant;
        self.stores.device_by_identity(tenant, &hash).await.unwrap()
    }

    /// Returns the auth set of the device with its key, past the faults.
    pub(crate) async fn set(&self, device: &TestDevice) -> AuthSetId {
        let found = self.find(device).await.unwrap();
        let key = device.key().as_pem();
        let set = found.sets.into_iter().find(|set| set.key == key);
        set.unwrap().id
    }

    /// Has the device ask; that it is not accepted is no failure.
    pub(crate) async fn ask(&self, device: &TestDevice) -> Result<()> {
        refused_is_fine(self.token(device).await.map(|_| ()))
    }

    pub(crate) async fn token(&self, device: &TestDevice) -> Result<String> {
        self.mender.auth().request("", &device.request()).await
    }

    pub(crate) async fn decide(&self, device: &TestDevice, status: Status) -> Result<()> {
        let found = self.find(device).await.unwrap();
        let set = self.set(device).await;
        self.mender.auth().decide(&self.ctx, &found.id, &set, status).await
    }

    /// Has the device ask, and accepts it.
    pub(crate) async fn accepted(&self, device: &TestDevice) {
        self.ask(device).await.unwrap();
        self.decide(device, Status::Accepted).await.unwrap();
    }

    pub(crate) async fn status(&self, device: &TestDevice) -> Option<Status> {
        self.find(device).await.map(|device| device.status)
    }

    async fn devices(&self) -> Vec<Device> {
        let devices = self.stores.walk_devices(&self.ctx.tenant, None, 1000).await;
        devices.unwrap()
    }

    /// What is stored is what was told, nothing waits, and every quota is exact.
    async fn check(&self) {
        let told = Told::of(&self.heard.0.lock().unwrap());
        let stored: Told = self.devices().await.iter().collect();
        assert_eq!(told, stored, "told, then stored");
        self.check_inventory().await;
        self.check_artifacts().await;
        deployments::check(self).await;
        assert_eq!(self.mender.undelivered().await.unwrap(), 0);
        let dead = self.mender.jobs().dead_jobs(10).await.unwrap();
        assert_eq!(dead, []);
        self.check_quotas().await;
        assert_eq!(self.mender.flaws(&self.ctx.tenant).await.unwrap(), [""; 0]);
    }

    pub(crate) async fn inventory(&self) -> Vec<inventory::Device> {
        let tenant = &self.ctx.tenant;
        self.stores.walk_inventory(tenant, &Search::all(), None, 1000).await.unwrap()
    }

    /// Inventory told everything, and both areas know the same of each device.
    async fn check_inventory(&self) {
        let known = self.inventory().await;
        let filters = self.stores.filters(&self.ctx.tenant, 0, 1000).await.unwrap();
        let told = ToldOfInventory::of(&self.heard.0.lock().unwrap());
        assert_eq!(told, ToldOfInventory::stored(&known, &filters), "told, then stored");
        let devices = self.devices().await;
        for device in &devices {
            let copy = known.iter().find(|known| known.id == device.id);
            let copy = copy.unwrap_or_else(|| panic!("inventory does not know {}", device.id));
            assert_eq!(copy.status(), Some(device.status));
            assert_eq!(copy.group(), device.group.as_deref());
        }
        for copy in &known {
            let is_known = devices.iter().any(|device| device.id == copy.id);
            assert!(is_known || copy.id.as_str().starts_with("free"), "{} came back", copy.id);
        }
    }

    /// Every artifact is told, and counted by its bytes.
    async fn check_artifacts(&self) {
        let (tenant, all) = (&self.ctx.tenant, ArtifactQuery::default());
        let stored = self.stores.artifacts(tenant, &all, 0, 1000).await.unwrap();
        let ids = stored.iter().map(|artifact| artifact.id.to_string()).collect();
        assert_eq!(told_of_artifacts(&self.heard.0.lock().unwrap()), ids, "told, then stored");
        let bytes: u64 = stored.iter().map(|artifact| artifact.size).sum();
        let quota = self.stores.quota(tenant, STORAGE).await.unwrap();
        assert_eq!(quota.used, i64::try_from(bytes).unwrap());
    }

    async fn check_quotas(&self) {
        let devices = self.devices().await;
        // Before the first change of a flag nothing limits test devices: there are none.
        let kept = self.stores.auth_tenant(&self.ctx.tenant).await.unwrap();
        let kept = kept.unwrap_or_else(|| AuthTenant::new(self.ctx.tenant.clone()));
        let accepted = || devices.iter().filter(|d| d.status == Status::Accepted);
        let tiers = Tier::ALL.map(|tier| {
            let count = accepted().filter(|device| device.tier == tier).count();
            (tier.limit(), count)
        });
        let test = accepted().filter(|device| device.test).count();
        for (limit, used) in tiers.into_iter().chain([(Limit::TestDevices, test)]) {
            let quota = self.stores.quota(&self.ctx.tenant, limit.as_str()).await;
            let (quota, used) = (quota.unwrap(), i64::try_from(used).unwrap());
            let free = capacity(kept.limit(limit)) - used;
            assert_eq!((quota.used, quota.free), (used, free), "{limit:?}");
        }
    }
}

/// Passes over that a device got no token.
pub(crate) fn refused_is_fine(answer: Result<()>) -> Result<()> {
    answer_or(answer, Kind::Unauthenticated)
}

/// Passes over one kind of refusal: what a client knows to mean that it is done.
pub(crate) fn answer_or(answer: Result<()>, fine: Kind) -> Result<()> {
    match answer {
        Err(error) if error.kind == fine => Ok(()),
        answer => answer,
    }
}

fn build(
    layer: Layer,
    stores: &MemoryStores,
    faults: &Faults,
    time: &TestEnv,
    heard: &Heard,
    key: &str,
) -> Mender {
    let users = users::Config { hash_cost: HashCost::CHEAPEST, ..users::Config::default() };
    let (stores, faults) = (stores.clone(), faults.clone());
    let builder = match layer {
        Layer::Ports => Mender::builder().stores(Faulty::new(stores, faults)),
        Layer::Documents => Mender::builder().stores(Kit::new(FaultyDocs::new(stores, faults))),
    };
    builder
        .keys(Keyring::new(Key::from_pem(key, 0).unwrap()))
        .env(time.env())
        .users_config(users)
        .subscriber(heard.clone())
        .build()
        .unwrap()
}

/// Where a port call fails.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Before,
    After,
}

/// Whether the server outlives the fault.
#[derive(Clone, Copy, Debug)]
enum Fate {
    GoesOn,
    Restarts,
}

/// Runs the use case with a fault at each of its port calls, those of the following deliveries
/// included; repeats it where it failed, as a client would, and expects the end.
pub(crate) async fn survives(
    given: impl AsyncFn(&World),
    when: impl AsyncFn(&World) -> Result<()>,
    then: impl AsyncFn(&World),
) {
    for layer in [Layer::Ports, Layer::Documents] {
        let calls = undisturbed(layer, &given, &when, &then).await;
        for n in 1..=calls {
            for cut in [Cut::Before, Cut::After] {
                for fate in [Fate::GoesOn, Fate::Restarts] {
                    eprintln!("call {n} of {calls} of {layer:?} fails {cut:?}: {fate:?}");
                    let world = World::new(layer);
                    prepare(&world, &given).await;
                    match cut {
                        Cut::Before => world.faults.fail_before(n),
                        Cut::After => world.faults.fail_after(n),
                    }
                    disturbed(world, fate, &when, &then).await;
                }
            }
        }
    }
}

/// Runs the use case without a fault, and counts the calls.
async fn undisturbed(
    layer: Layer,
    given: &impl AsyncFn(&World),
    when: &impl AsyncFn(&World) -> Result<()>,
    then: &impl AsyncFn(&World),
) -> u64 {
    let world = World::new(layer);
    prepare(&world, given).await;
    when(&world).await.unwrap();
    world.mender.drain().await.unwrap();
    let calls = world.faults.calls();
    world.recover().await;
    world.check().await;
    then(&world).await;
    calls
}

async fn disturbed(
    mut world: World,
    fate: Fate,
    when: &impl AsyncFn(&World) -> Result<()>,
    then: &impl AsyncFn(&World),
) {
    let answer = when(&world).await;
    is_told_apart(&answer);
    // A fault here is the background's: it tries again.
    is_told_apart(&world.mender.drain().await);
    if let Fate::Restarts = fate {
        world.restart();
    }
    world.recover().await;
    world.check().await;
    if answer.is_err() {
        when(&world).await.unwrap();
        world.recover().await;
        world.check().await;
    }
    then(&world).await;
}

async fn prepare(world: &World, given: &impl AsyncFn(&World)) {
    given(world).await;
    world.mender.drain().await.unwrap();
    world.faults.heal();
}

/// A store that is away is nobody's bug, and clients may try again.
#[track_caller]
fn is_told_apart(answer: &Result<(), Error>) {
    if let Err(error) = answer {
        assert_eq!(error.kind, Kind::Unavailable, "{error:?}");
    }
}

/// A test of one use case: what is given, what is done, what then holds.
macro_rules! use_cases {
    ($($name:ident: given $given:expr, when $when:expr, then $then:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            Box::pin($crate::crash::harness::survives($given, $when, $then)).await;
        }
    )+};
}
pub(crate) use use_cases;
