//! Deployments on memory and virtual time.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod budget;
mod course;
mod dynamic;
mod explain;
mod flaws;
mod late;
mod pace;
mod random;
mod reports;
mod rights;
mod safety;
mod streamed;
mod tally;
mod tiers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;

use crate::{
    artifacts::{
        ArtifactId, NewArtifact,
        format::{FileRecipe, Recipe, Software},
    },
    ctx::{Actor, Ctx, Scope},
    deployments::{
        CHUNK, Course, DeploymentId, DeploymentQuery, DeviceIds, Instructions, NewDeployment,
        Progress, Request, State, Status, Whom, logic,
    },
    error::{Kind, Result},
    id::DeviceId,
    mender::{Builder, Mender},
    page::PageRequest,
    testing::TestEnv,
};

struct World {
    mender: Mender,
    time: TestEnv,
    ctx: Ctx,
}

/// More devices than are walked before an answer.
const MANY: usize = 5001;

fn device(n: usize) -> DeviceId {
    format!("d{n:05}").parse().unwrap()
}

fn devices(count: usize) -> Vec<DeviceId> {
    (0..count).map(device).collect()
}

fn refusal<T>(answer: Result<T>) -> (Kind, String) {
    let error = answer.map(|_| ()).unwrap_err();
    (error.kind, error.what.into_owned())
}

impl World {
    /// A server with a release for pumps.
    async fn new() -> Self {
        Self::seeded(1).await
    }

    async fn seeded(seed: u64) -> Self {
        Self::built(seed, |builder| builder).await
    }

    /// A server that is set up in a way of its own.
    async fn built(seed: u64, set_up: impl FnOnce(Builder) -> Builder) -> Self {
        let time = TestEnv::seeded(seed);
        let mender = set_up(Mender::in_memory().env(time.env())).build().unwrap();
        let w = Self { mender, time, ctx: Ctx::system(Default::default()) };
        let files = vec![FileRecipe::new("file", 1)];
        let recipe = Recipe::module("script", "r", ["pump"], files, Some(&Software::default()));
        w.upload(recipe, b"x").await;
        w
    }

    async fn upload(&self, recipe: Recipe, file: &[u8]) -> ArtifactId {
        let bytes = Bytes::from(recipe.build(&[file], None).unwrap());
        let bytes = stream::iter([Ok(bytes)]);
        let uploaded = self.mender.artifacts().upload(&self.ctx, NewArtifact::default(), bytes);
        uploaded.await.unwrap()
    }

    fn service(&self) -> &super::Service {
        self.mender.deployments()
    }

    async fn create(&self, ctx: &Ctx, name: &str, devices: Vec<DeviceId>) -> Result<DeploymentId> {
        self.create_as(ctx, name, devices, Course::default()).await
    }

    async fn create_as(
        &self,
        ctx: &Ctx,
        name: &str,
        devices: Vec<DeviceId>,
        course: Course,
    ) -> Result<DeploymentId> {
        let new = NewDeployment {
            name: name.into(),
            artifact_name: "r".into(),
            force_installation: false,
            whom: Whom::Devices(devices),
            course,
        };
        self.service().create(ctx, new).await
    }

    /// Returns what a pump is told that runs something else.
    async fn told(&self, n: usize) -> Option<DeploymentId> {
        let request = Request {
            artifact_name: "old".into(),
            device_type: "pump".into(),
            ..Request::default()
        };
        let told = self.service().next(&self.ctx, &device(n), &request, "http://x").await;
        told.unwrap().map(|told| match told {
            Instructions::Install { deployment, .. } => deployment,
            Instructions::Configure { deployment } => deployment.id,
        })
    }

    async fn report(&self, id: &DeploymentId, n: usize, status: Status) -> Result<()> {
        self.service().report(&self.ctx, id, &device(n), status, "").await
    }

    async fn counts(&self, id: &DeploymentId) -> Vec<(Status, u64)> {
        let shown = self.service().deployment(&self.ctx, id).await.unwrap();
        let counts = shown.tally.counts.into_iter();
        counts.filter(|(_, count)| *count > 0).collect()
    }

    async fn state(&self, id: &DeploymentId) -> (State, Progress) {
        let shown = self.service().deployment(&self.ctx, id).await.unwrap();
        (shown.deployment.state, shown.progress)
    }
}

#[tokio::test]
async fn a_large_deployment_is_seen_at_once_and_offered_once_it_is_whole() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Filling, Progress::Pending));
    assert_eq!(w.counts(&id).await, [(Status::Pending, MANY as u64)]);
    assert_eq!(w.told(0).await, None);
    w.mender.drain().await.unwrap();
    assert_eq!(w.state(&id).await, (State::Open, Progress::Pending));
    assert_eq!(w.told(0).await, Some(id.clone()));
    let parts: Vec<DeviceIds> =
        w.service().targets(&w.ctx, &id).await.unwrap().try_collect().await.unwrap();
    assert_eq!(parts, devices(MANY).chunks(CHUNK).map(DeviceIds::of).collect::<Vec<_>>());
}

#[tokio::test]
async fn as_many_deployments_are_active_as_may() {
    let config = super::Config { max_active: Some(2), ..super::Config::default() };
    let w = World::built(1, |builder| builder.deployments_config(config)).await;
    let first = w.create(&w.ctx, "first", devices(1)).await.unwrap();
    w.create(&w.ctx, "second", devices(1)).await.unwrap();
    assert_eq!(refusal(w.create(&w.ctx, "third", devices(1)).await).0, Kind::LimitReached);
    w.service().abort(&w.ctx, &first).await.unwrap();
    w.create(&w.ctx, "third", devices(1)).await.unwrap();
}

#[tokio::test]
async fn the_abort_of_a_large_deployment_is_seen_at_once() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.told(7).await, Some(id.clone()));
    w.report(&id, 7, Status::Downloading).await.unwrap();
    w.service().abort(&w.ctx, &id).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Closing, Progress::Finished));
    for _ in 0..2 {
        assert_eq!(w.counts(&id).await, [(Status::Aborted, 1)]);
        assert_eq!(refusal(w.report(&id, 7, Status::Installing).await).0, Kind::Conflict);
        assert_eq!(refusal(w.report(&id, 8, Status::Installing).await).0, Kind::NotFound);
        assert_eq!((w.told(7).await, w.told(8).await), (None, None));
        w.mender.drain().await.unwrap();
    }
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
}

#[tokio::test]
async fn an_abort_ends_the_filling_too() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    w.service().abort(&w.ctx, &id).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
    assert_eq!(w.told(0).await, None);
    // The same may be ordered again.
    w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn deployments_of_one_moment_come_one_after_the_other() {
    let w = World::new().await;
    let mut all = Vec::new();
    for name in ["one", "two", "three"] {
        all.push(w.create(&w.ctx, name, devices(1)).await.unwrap());
    }
    for id in &all {
        assert_eq!(w.told(0).await.as_ref(), Some(id));
        w.report(id, 0, Status::Success).await.unwrap();
    }
    assert_eq!(w.told(0).await, None);
    let query = DeploymentQuery { ascending: true, ..DeploymentQuery::default() };
    let page = PageRequest::default();
    let (listed, total) = w.service().deployments(&w.ctx, query, page).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|shown| shown.deployment.id).collect();
    assert_eq!((listed, total), (all, 3));
    w.mender.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_two_deployments_are_created_at_one_time() {
    const TASKS: usize = 20;
    const EACH: usize = 20;
    let w = Arc::new(World::new().await);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let w = w.clone();
        tasks.spawn(async move {
            for n in 0..EACH {
                w.create(&w.ctx, &format!("{task}-{n}"), vec![device(task)]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let page = PageRequest::new(1, 500);
    let all = w.service().deployments(&w.ctx, DeploymentQuery::default(), page).await.unwrap().0;
    let times: BTreeSet<_> = all.iter().map(|shown| shown.deployment.created).collect();
    assert_eq!((all.len(), times.len()), (TASKS * EACH, TASKS * EACH));
}

#[tokio::test]
async fn late_reports_on_two_deployments_bring_no_older_one_back() {
    let w = World::new().await;
    let older = w.create(&w.ctx, "older", devices(2)).await.unwrap();
    let newer = w.create(&w.ctx, "newer", devices(2)).await.unwrap();
    for id in [&older, &newer] {
        assert_eq!(w.told(0).await.as_ref(), Some(id));
        w.report(id, 0, Status::Success).await.unwrap();
    }
    for id in [&newer, &older] {
        w.report(id, 0, Status::Downloading).await.unwrap();
    }
    assert_eq!(w.told(0).await, Some(newer));
}

#[tokio::test]
async fn users_of_groups_reach_no_other_devices() {
    let w = World::new().await;
    let inventory = w.mender.inventory();
    for n in 0..2 {
        inventory.create(&w.ctx, &device(n), Vec::new()).await.unwrap();
        let group = format!("g{n}").parse().unwrap();
        inventory.set_group(&w.ctx, &device(n), &group).await.unwrap();
    }
    let scope = Scope::Only { groups: Some(vec!["g0".into()]), tags: None };
    let limited = Ctx::new(w.ctx.tenant.clone(), Actor::System, scope);
    let own = w.create(&limited, "own", vec![device(0)]).await.unwrap();
    for devices in [vec![device(1)], vec![device(0), device(1)], vec![device(9)]] {
        let refused = refusal(w.create(&limited, "others'", devices).await);
        assert_eq!(refused.0, Kind::Forbidden);
    }
    let other = w.create(&w.ctx, "other", vec![device(1)]).await.unwrap();
    let (service, page) = (w.service(), PageRequest::default());
    let all = DeploymentQuery::default;
    let (listed, total) = service.deployments(&limited, all(), page).await.unwrap();
    assert_eq!((listed[0].deployment.id.clone(), total), (own, 1));
    let refused = [
        refusal(service.deployment(&limited, &other).await),
        refusal(service.devices(&limited, &other, &[], page).await),
        refusal(service.targets(&limited, &other).await.map(drop)),
        refusal(service.all_devices(&limited, &other).await.map(drop)),
        refusal(service.log(&limited, &other, &device(1)).await),
        refusal(service.abort(&limited, &other).await),
        refusal(service.history(&limited, &device(1), &[], page).await),
        refusal(service.abort_device(&limited, &device(1)).await),
        refusal(service.reset_history(&limited, &device(1)).await),
    ];
    assert!(refused.iter().all(|(kind, _)| *kind == Kind::Forbidden), "{refused:?}");
    assert_eq!(service.statistics(&limited, &[other]).await.unwrap(), []);
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_no_more_keeps_no_deployment_open() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(2)).await.unwrap();
    assert_eq!(w.told(0).await, Some(id.clone()));
    w.time.advance(std::time::Duration::from_secs(1));
    w.report(&id, 0, Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await.1, Progress::InProgress);
    w.service().decommission(&w.ctx, &device(1)).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
    assert_eq!(w.counts(&id).await, [(Status::Success, 1), (Status::Decommissioned, 1)]);
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn text_that_no_database_keeps_is_refused() {
    let w = World::new().await;
    let request =
        Request { artifact_name: "a\0".into(), device_type: "pump".into(), ..Request::default() };
    let asked = w.service().next(&w.ctx, &device(0), &request, "http://x").await;
    assert!(matches!(refusal(asked).0, Kind::Invalid { .. }));
    let created = w.create(&w.ctx, "a\0", devices(1)).await;
    assert!(matches!(refusal(created).0, Kind::Invalid { .. }));
}

#[tokio::test]
async fn devices_provide_much_but_not_without_limits() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(2)).await.unwrap();
    let asks = async |n: usize, key: usize, value: usize, count: usize| {
        let name = |n: usize| "k".repeat(key - n.to_string().len()) + &n.to_string();
        let provides = (0..count).map(|n| (name(n), "v".repeat(value))).collect();
        let (artifact_name, device_type) = ("old".into(), "pump".into());
        let request = Request { artifact_name, device_type, provides, control_map: false };
        w.service().next(&w.ctx, &device(n), &request, "http://x").await.map(|told| told.is_some())
    };
    // A key of 900 kB; many values; many of them that each might be.
    for (key, value, count) in [(900_000, 1, 1), (4097, 1, 1), (5, 1, 4097), (5, 3000, 330)] {
        let refused = refusal(asks(0, key, value, count).await).0;
        assert_eq!(refused, Kind::Invalid { field: "request" }, "{key} {value} {count}");
    }
    assert_eq!(w.counts(&id).await, [(Status::Pending, 2)]);
    for (n, key, value, count) in [(0, 4096, 4096, 15), (1, 20, 10, 4096)] {
        assert!(asks(n, key, value, count).await.unwrap(), "{key} {value} {count}");
    }
}
