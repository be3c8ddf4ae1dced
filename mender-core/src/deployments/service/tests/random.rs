//! Random fleets: simulated devices, users, the clock and restarts do what they do in any order,
//! and what must stay true is checked after each step.

mod model;

use std::{collections::BTreeSet, slice::from_ref, time::Duration};

use super::*;
use crate::{
    blob::MemoryBlobs,
    deployments::{
        Batch, Budget, Explanation, NewPhase, Phases, Remedy, Side, Threshold, Window, Zone,
    },
    id::UserId,
    inventory::{AttributeName, FilterId, How, NewAttribute, Value},
    kit::MemoryStores,
    testing::{Act, Answer, Chances, Faults, Faulty, Fleet, Profile, Simulated},
};
use model::Model;

const DEVICES: usize = 8;

const STEPS: usize = 200;

const HOUR: Duration = Duration::from_secs(3600);

/// The releases, the types of devices that each is for, and what must run before.
const RELEASES: [(&str, &[&str], &[&str]); 3] =
    [("r", &["pump"], &[]), ("s", &["pump", "valve"], &[]), ("t", &["pump"], &["r", "s"])];

/// Those of whom a filter finds some.
const RINGS: [&str; 2] = ["a", "b"];

fn user(name: &str) -> Ctx {
    let id: UserId = name.parse().unwrap();
    Ctx::new(Default::default(), Actor::User(id), Scope::All)
}

/// What goes wrong is what the system knows that goes wrong.
fn tolerated<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            let kind = matches!(error.kind, Kind::Conflict | Kind::NotFound | Kind::Invalid { .. });
            assert!(kind && !error.is_stale(), "{error}");
            None
        }
    }
}

struct Story {
    w: World,
    stores: Faulty<MemoryStores>,
    faults: Faults,
    blobs: MemoryBlobs,
    fleet: Fleet,
    ids: Vec<DeviceId>,
    gone: BTreeSet<usize>,
    filters: Vec<FilterId>,
    model: Model,
}

fn server(stores: &Faulty<MemoryStores>, blobs: &MemoryBlobs, time: &TestEnv) -> Mender {
    let builder = Mender::builder().stores(stores.clone()).blobs(blobs.clone());
    builder.ephemeral_keys().env(time.env()).build().unwrap()
}

impl Story {
    async fn new(seed: u64) -> Self {
        let time = TestEnv::seeded(seed);
        let (faults, blobs) = (Faults::default(), MemoryBlobs::default());
        let stores = Faulty::new(MemoryStores::default(), faults.clone());
        let mender = server(&stores, &blobs, &time);
        let fleet = Fleet::new(mender.clone(), time.clone());
        let w = World { mender, time, ctx: Ctx::system(Default::default()) };
        let (ids, gone, filters) = (Vec::new(), BTreeSet::new(), Vec::new());
        let model = Model::default();
        let mut story = Self { w, stores, faults, blobs, fleet, ids, gone, filters, model };
        for (name, types, depends) in RELEASES {
            let files = vec![FileRecipe::new("file", 1)];
            let software = Software::default();
            let recipe = Recipe::module("script", name, types.to_vec(), files, Some(&software));
            let depends_names = depends.iter().map(|&name| name.to_owned()).collect();
            story.w.upload(Recipe { depends_names, ..recipe }, b"x").await;
        }
        let chances =
            Chances { broken: 100, failure: 350, cut: 60, stuck: 40, repeat: 100, late: 300 };
        for n in 0..DEVICES {
            let device_type = if n % 4 == 3 { "valve" } else { "pump" };
            let profile = Profile {
                device_type: device_type.into(),
                artifact_name: "old".into(),
                reboots: (n % 2 == 0).then_some(HOUR / 60),
                chances,
                ..Profile::default()
            };
            let number = u32::try_from(n).unwrap();
            let device = Simulated::new(number, &profile.into(), seed, story.fleet.now());
            story.ids.push(story.fleet.enlist(&story.w.ctx, device).await.unwrap());
        }
        story.settle_in().await;
        story
    }

    /// Has devices known to inventory, in groups and rings.
    async fn settle_in(&mut self) {
        self.fleet.run(HOUR).await;
        self.w.mender.drain().await.unwrap();
        let inventory = self.w.mender.inventory();
        for (n, id) in self.ids.iter().enumerate() {
            let group = format!("g{}", n % 3).parse().unwrap();
            inventory.set_group(&self.w.ctx, id, &group).await.unwrap();
        }
        for ring in RINGS {
            self.filters.push(self.w.filter(ring).await);
        }
        for n in 0..DEVICES {
            self.join_ring(n, n % 2).await;
        }
        self.check().await;
    }

    async fn join_ring(&mut self, n: usize, ring: usize) {
        let name = AttributeName::tag("ring");
        let new = vec![NewAttribute::new(name, Value::Text(RINGS[ring].into()))];
        let inventory = self.w.mender.inventory();
        let joined = inventory.tag(&self.w.ctx, &self.ids[n], new, How::Merge, None).await;
        joined.unwrap();
        self.model.rings.insert(self.ids[n].clone(), ring);
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.w.mender.env().below(bound as u64)).unwrap()
    }

    fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn any(&self) -> Option<DeploymentId> {
        let all: Vec<_> = self.model.deployments.keys().collect();
        (!all.is_empty()).then(|| all[self.below(all.len())].clone())
    }

    async fn check(&mut self) {
        self.model.check(&self.w, &self.ids, &self.ids).await;
    }

    /// Devices that are due do what they want.
    async fn go_on(&mut self) {
        for _ in 0..=self.below(4) {
            self.step().await;
        }
    }

    /// The device that is due does what it wants, and gets what was explained before.
    async fn step(&mut self) {
        let Some((due, at)) = self.fleet.due() else { return };
        self.fleet.pass(at.since(self.fleet.now()));
        let begun = self.fleet.now();
        let explained = match self.fleet.device(due).is_at() {
            Some(_) => None,
            None => Some(self.w.service().explain(&self.w.ctx, &self.ids[due]).await.unwrap()),
        };
        let Some(step) = self.fleet.step(self.fleet.now() + HOUR * 24).await else { return };
        // It may have waited on, and then things may be otherwise.
        let explained = explained.filter(|_| step.member == due && self.fleet.now() == begun);
        let (device, now) = (self.ids[step.member].clone(), self.w.mender.env().now());
        let told = matches!(step.answer, Answer::Update(_)).then(|| self.model.before(&device));
        self.model.check(&self.w, from_ref(&device), &self.ids).await;
        match (step.act, step.answer, told) {
            (Act::Poll(request), Answer::Update(update), Some(before)) => {
                self.model.check_offer(&before, &device, &request, &update, now);
                let is_known = |one: &Explanation| {
                    one.request.artifact_name == request.artifact_name
                        && one.request.device_type == request.device_type
                };
                if let Some(explained) = explained.filter(is_known) {
                    assert_eq!(explained.next.as_ref(), Some(&update.deployment), "{explained:?}");
                }
            }
            (act, Answer::Unavailable { .. }, _) => panic!("{device} is not answered: {act:?}"),
            _ => {}
        }
    }

    async fn act(&mut self) {
        let (n, ctx) = (self.below(DEVICES), self.w.ctx.clone());
        let id = self.any();
        match (self.below(100), id) {
            (0..57, _) => return self.go_on().await,
            (57..60, _) => {
                self.model.forget_ends(&self.ids[n]);
                self.w.service().reset_history(&ctx, &self.ids[n]).await.unwrap();
            }
            (60..66, _) => self.create().await,
            (66..69, _) => self.w.mender.drain().await.unwrap(),
            (69..72, _) => self.fleet.change(n, Simulated::hurry),
            (72..74, _) => self.fleet.change(n, Simulated::cut),
            (74..76, _) => self.fleet.pass(Duration::from_secs(self.below(7200) as u64)),
            (76, _) => self.step_clock(),
            (77, id) => self.crash(n, id).await,
            (78, _) => self.w.service().abort_device(&ctx, &self.ids[n]).await.unwrap(),
            (79, _) if self.one_in(3) && self.gone.len() < 2 => self.decommission(n).await,
            (80..82, _) if !self.gone.contains(&n) => {
                let ring = self.below(2);
                self.join_ring(n, ring).await;
            }
            (82..86, Some(id)) => drop(tolerated(self.w.service().pause(&ctx, &id, "").await)),
            (86..91, Some(id)) => drop(tolerated(self.w.service().resume(&ctx, &id).await)),
            (91..94, Some(id)) => self.approve(&id).await,
            (94, Some(id)) => drop(tolerated(self.w.service().abort(&ctx, &id).await)),
            (95.., Some(id)) => self.interfere(n, &id).await,
            _ => {}
        }
        self.check().await;
    }

    /// A report out of order: late, twice, or about what the device has nothing to do with.
    async fn interfere(&mut self, n: usize, id: &DeploymentId) {
        let all = Status::ALL.into_iter().filter(|status| status.is_reportable());
        let all: Vec<Status> = all.collect();
        let status = all[self.below(all.len())];
        let service = self.w.service();
        tolerated(service.report(&self.w.ctx, id, &self.ids[n], status, "").await);
    }

    async fn approve(&mut self, id: &DeploymentId) {
        let phases = self.model.deployments[id].deployment.rollout.phases.clone();
        for phase in phases.iter().filter(|phase| phase.needs_approval) {
            tolerated(self.w.service().approve(&user("u2"), id, &phase.id).await);
        }
    }

    /// The server's clock is set, up to two hours forth or back; the devices' goes on.
    fn step_clock(&self) {
        let hours = Duration::from_millis(self.below(7_200_000) as u64);
        let now = self.w.mender.env().now();
        self.w.time.set(if self.one_in(2) { now + hours } else { now - hours });
    }

    /// The store fails in the middle of something, of which it keeps what it has; the server is
    /// restarted or not, and in time everything is completed.
    async fn crash(&mut self, n: usize, id: Option<DeploymentId>) {
        let call = 1 + self.below(12) as u64;
        if self.one_in(2) {
            self.faults.fail_before(call);
        } else {
            self.faults.fail_after(call);
        }
        let (service, ctx, device) = (self.w.service(), &self.w.ctx, &self.ids[n]);
        match (self.below(8), id) {
            (0, _) => drop(service.create(&user("u1"), self.order()).await),
            (1, Some(id)) => drop(service.abort(ctx, &id).await),
            (2, Some(id)) => drop(service.report(ctx, &id, device, Status::Failure, "").await),
            (3, _) => drop(service.abort_device(ctx, device).await),
            (4, _) => {
                self.model.forget_ends(device);
                drop(service.reset_history(ctx, device).await);
            }
            (5, _) => drop(self.w.mender.drain().await),
            _ => drop(self.fleet.step(self.fleet.now() + HOUR * 24).await),
        }
        self.faults.heal();
        if self.one_in(2) {
            self.restart();
        }
        for _ in 0..3 {
            self.fleet.pass(HOUR / 6);
            self.w.mender.drain().await.unwrap();
        }
    }

    /// What is in memory is gone, the keys included.
    fn restart(&mut self) {
        self.w.mender = server(&self.stores, &self.blobs, &self.w.time);
        self.fleet.connect(self.w.mender.clone());
    }

    async fn decommission(&mut self, n: usize) {
        if self.gone.insert(n) {
            let auth = self.w.mender.auth();
            auth.decommission(&self.w.ctx, &self.ids[n]).await.unwrap();
            self.fleet.dismiss(n);
            self.w.mender.drain().await.unwrap();
        }
    }

    async fn create(&mut self) {
        tolerated(self.w.service().create(&user("u1"), self.order()).await);
    }

    fn order(&self) -> NewDeployment {
        let whom = match self.below(6) {
            0 => Whom::Group(format!("g{}", self.below(3))),
            1 => Whom::All,
            2 => {
                let id = self.filters[self.below(RINGS.len())].clone();
                Whom::Filter { id, max_devices: self.below(4) as u64 }
            }
            _ => {
                let lives = (0..DEVICES).filter(|n| !self.gone.contains(n));
                let some = lives.filter(|_| self.one_in(2));
                Whom::Devices(some.map(|n| self.ids[n].clone()).collect())
            }
        };
        NewDeployment {
            name: format!("d{}", self.below(4)),
            artifact_name: RELEASES[self.below(RELEASES.len())].0.into(),
            force_installation: self.one_in(8),
            whom,
            course: self.course(),
        }
    }

    fn course(&self) -> Course {
        let phases = self.one_in(2).then(|| self.phases());
        let thresholds = if self.one_in(2) { vec![self.threshold()] } else { Vec::new() };
        let rate = self.one_in(2).then_some(1);
        let budget = Budget {
            parallel: (rate.is_none() || self.one_in(2)).then(|| 1 + self.below(2) as u64),
            bytes_per_second: rate,
        };
        let window = Window { days: vec![], opens: 6 * 60, minutes: 12 * 60, zone: Zone::Utc };
        Course {
            phases,
            retries: u32::try_from(self.below(4)).unwrap() / 2,
            priority: i32::try_from(self.below(4)).unwrap() / 2,
            windows: if self.one_in(6) { vec![window] } else { Vec::new() },
            thresholds,
            budget: self.one_in(3).then_some(budget),
            silence_minutes: self.one_in(2).then_some(90),
            ..Course::default()
        }
    }

    fn phases(&self) -> Phases {
        let now = self.w.mender.env().now();
        let count = 2 + self.below(2);
        let phase = |n: usize| NewPhase {
            batch: (n + 1 < count).then(|| Batch::Devices(1 + self.below(2) as u64)),
            starts: (n > 0 || self.one_in(3)).then(|| now + HOUR * u32::try_from(n + 1).unwrap()),
            needs_approval: self.one_in(3),
            thresholds: if self.one_in(4) { vec![self.threshold()] } else { Vec::new() },
        };
        Phases::Each((0..count).map(phase).collect())
    }

    fn threshold(&self) -> Threshold {
        let sides = [
            (Side::Failure, Batch::Devices(1 + self.below(2) as u64)),
            (Side::Failure, Batch::Percent(50)),
            (Side::Success, Batch::Percent(40)),
        ];
        let (side, limit) = sides[self.below(3)];
        let remedy = if self.one_in(4) { Remedy::Abort } else { Remedy::Pause };
        Threshold { side, limit, sample: self.below(3) as u64, remedy }
    }

    /// Devices to which nothing bad happens, and users who let everything go on, end everything.
    async fn finish(&mut self) {
        for n in 0..DEVICES {
            let device = self.fleet.device(n);
            let profile =
                Profile { device_type: device.device_type().to_owned(), ..Profile::default() };
            let profile = profile.into();
            self.fleet.change(n, |device, now| {
                device.behave(&profile);
                device.cut(now);
            });
        }
        for _ in 0..48 {
            let ids: Vec<_> = self.model.deployments.keys().cloned().collect();
            for id in ids {
                tolerated(self.w.service().resume(&self.w.ctx, &id).await);
                self.approve(&id).await;
            }
            self.fleet.run(HOUR).await;
            self.w.mender.drain().await.unwrap();
            self.check().await;
            if self.model.stuck().is_empty() {
                break;
            }
        }
        let devices: Vec<_> = (0..DEVICES).map(|n| (&self.ids[n], self.fleet.device(n))).collect();
        let stuck = self.model.stuck();
        assert!(stuck.is_empty(), "{} {devices:#?}", stuck.join("\n"));
    }
}

async fn run(seed: u64) {
    let mut story = Story::new(seed).await;
    for _ in 0..STEPS {
        story.act().await;
    }
    story.finish().await;
}

#[tokio::test]
async fn random_fleets_keep_the_invariants() {
    for seed in 0..8 {
        // Named, so that one that fails is found.
        eprintln!("seed {seed}");
        Box::pin(run(seed)).await;
    }
}
