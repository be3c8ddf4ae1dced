//! Phases, retries, and where devices wait.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::{Map, json};

use super::*;
use crate::{
    artifacts::{DeltaQuery, DeltaSettings},
    deployments::{Batch, NewPhase, Phases, Reason, ShownDevice, Uniform},
    env::hex,
    inventory::{AttributeName, NewAttribute, Value},
};

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// A first phase of so many devices, and one hour later the others.
    fn halves(&self, devices: u64, starts: Option<Duration>) -> Course {
        let now = self.mender.env().now();
        let first = NewPhase {
            batch: Some(Batch::Devices(devices)),
            starts: starts.map(|after| now + after),
            ..NewPhase::default()
        };
        let second = NewPhase {
            starts: Some(now + starts.unwrap_or_default() + HOUR),
            ..NewPhase::default()
        };
        Course { phases: Some(Phases::Each(vec![first, second])), ..Course::default() }
    }

    async fn begun(&self, id: &DeploymentId) -> Vec<(u32, u64)> {
        let shown = self.service().deployment(&self.ctx, id).await.unwrap();
        shown.tally.phases.into_iter().collect()
    }

    async fn shown_device(&self, id: &DeploymentId, n: usize) -> ShownDevice {
        let page = PageRequest::default();
        let (all, _) = self.service().devices(&self.ctx, id, &[], page).await.unwrap();
        all.into_iter().find(|shown| shown.row.device == device(n)).unwrap()
    }

    async fn total_as(&self, progress: Progress) -> u64 {
        let query = DeploymentQuery { progress: Some(progress), ..DeploymentQuery::default() };
        let listed = self.service().deployments(&self.ctx, query, PageRequest::default()).await;
        listed.unwrap().1
    }
}

#[tokio::test]
async fn as_many_devices_begin_in_a_phase_as_it_has() {
    let w = World::new().await;
    let course = w.halves(2, None);
    let id = w.create_as(&w.ctx, "phased", devices(5), course).await.unwrap();
    for (n, begins) in [(4, true), (1, true), (0, false), (4, true), (2, false)] {
        assert_eq!(w.told(n).await.is_some(), begins, "device {n}");
    }
    assert_eq!(w.begun(&id).await, [(0, 2)]);
    assert_eq!(w.counts(&id).await, [(Status::Pending, 5)]);
    w.report(&id, 4, Status::Success).await.unwrap();
    // The place of one that ended is not free again.
    assert_eq!(w.told(0).await, None);
    w.time.advance(HOUR);
    for n in 0..4 {
        assert_eq!(w.told(n).await.as_ref(), Some(&id));
        w.report(&id, n, Status::Success).await.unwrap();
    }
    assert_eq!(w.begun(&id).await, [(0, 2), (1, 3)]);
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
    let phases = w.service().deployment(&w.ctx, &id).await.unwrap().deployment.rollout.phases;
    assert_eq!(w.shown_device(&id, 4).await.phase.as_ref(), Some(&phases[0].id));
    assert_eq!(w.shown_device(&id, 0).await.phase.as_ref(), Some(&phases[1].id));
}

#[tokio::test]
async fn devices_that_ask_at_once_don_t_exceed_a_phase() {
    let w = World::new().await;
    let course = w.halves(3, None);
    let id = w.create_as(&w.ctx, "phased", devices(20), course).await.unwrap();
    let all = (0..20).map(|n| w.told(n));
    let told = futures_util::future::join_all(all).await;
    assert_eq!(told.iter().flatten().count(), 3);
    assert_eq!(w.begun(&id).await, [(0, 3)]);
}

#[tokio::test]
async fn a_scheduled_deployment_begins_when_its_first_phase_does() {
    let w = World::new().await;
    let course = w.halves(1, Some(HOUR));
    let id = w.create_as(&w.ctx, "later", devices(2), course).await.unwrap();
    assert_eq!(w.state(&id).await.1, Progress::Scheduled);
    assert_eq!(
        (w.total_as(Progress::Scheduled).await, w.total_as(Progress::Pending).await),
        (1, 0)
    );
    assert_eq!(w.told(0).await, None);
    w.time.advance(HOUR);
    assert_eq!(w.state(&id).await.1, Progress::Pending);
    assert_eq!(
        (w.total_as(Progress::Scheduled).await, w.total_as(Progress::Pending).await),
        (0, 1)
    );
    assert_eq!((w.told(0).await, w.told(1).await), (Some(id), None));
}

#[tokio::test]
async fn equal_phases_are_made_for_the_devices_that_are_meant() {
    let w = World::new().await;
    let uniform = |interval: &str| Uniform {
        starts: None,
        interval: interval.into(),
        batch: Batch::Percent(50),
    };
    let course =
        |interval| Course { phases: Some(Phases::Uniform(uniform(interval))), ..Course::default() };
    let refused = w.create_as(&w.ctx, "uniform", devices(4), course("soon")).await;
    assert!(matches!(refusal(refused).0, Kind::Invalid { field: "time_interval" }));
    let refused = refusal(w.create_as(&w.ctx, "uniform", devices(1), course("PT1H")).await);
    assert!(refused.1.ends_with("Batch: (1) will be empty"), "{refused:?}");
    let id = w.create_as(&w.ctx, "uniform", devices(4), course("PT1H")).await.unwrap();
    let rollout = w.service().deployment(&w.ctx, &id).await.unwrap().deployment.rollout;
    assert_eq!(rollout.uniform, Some(uniform("PT1H")));
    let sizes: Vec<_> = rollout.phases.iter().map(|phase| phase.devices).collect();
    assert_eq!(sizes, [Some(2), None]);
}

#[tokio::test]
async fn a_device_that_failed_tries_again_as_often_as_it_may() {
    let w = World::new().await;
    let course = Course { retries: 2, ..w.halves(1, None) };
    let id = w.create_as(&w.ctx, "retried", devices(2), course).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(w.told(0).await.as_ref(), Some(&id));
        assert_eq!(w.shown_device(&id, 0).await.attempts, Some(attempt));
        w.report(&id, 0, Status::Installing).await.unwrap();
        // Saying it twice costs one attempt.
        w.report(&id, 0, Status::Failure).await.unwrap();
        w.report(&id, 0, Status::Failure).await.unwrap();
        let failed = attempt == 3;
        let status = if failed { Status::Failure } else { Status::Pending };
        assert_eq!(w.shown_device(&id, 0).await.row.status, status);
    }
    assert_eq!(w.told(0).await, None);
    // No attempt took a place in the phase.
    assert_eq!(w.begun(&id).await, [(0, 1)]);
    let mut counts = w.counts(&id).await;
    counts.sort();
    assert_eq!(counts, [(Status::Failure, 1), (Status::Pending, 1)]);
}

#[tokio::test]
async fn what_a_device_says_anew_after_a_failure_is_no_contradiction() {
    let w = World::new().await;
    let course = Course { retries: 1, ..Course::default() };
    let id = w.create_as(&w.ctx, "retried", devices(1), course).await.unwrap();
    let ask = async |name: &str| {
        let request = Request {
            artifact_name: name.into(),
            device_type: "pump".into(),
            ..Request::default()
        };
        w.service().next(&w.ctx, &device(0), &request, "http://x").await
    };
    assert!(ask("old").await.unwrap().is_some());
    // It installed something without a word: the first attempt failed.
    assert_eq!(refusal(ask("other").await).0, Kind::Conflict);
    assert!(ask("other").await.unwrap().is_some());
    assert_eq!(w.shown_device(&id, 0).await.attempts, Some(2));
    assert_eq!(refusal(ask("another").await).0, Kind::Conflict);
    assert_eq!(w.counts(&id).await, [(Status::Failure, 1)]);
    assert_eq!(w.state(&id).await.1, Progress::Finished);
}

#[tokio::test]
async fn devices_that_understand_it_are_told_where_to_wait() {
    let w = World::new().await;
    let map = |action: &str| {
        let states = json!({ "ArtifactInstall_Enter": { "action": action } });
        Map::from_iter([("states".to_owned(), states), ("id".to_owned(), json!("any"))])
    };
    let with = |map| Course { control_map: Some(map), ..Course::default() };
    let id = w.create_as(&w.ctx, "careful", devices(2), with(map("pause"))).await.unwrap();
    let ask = async |n: usize, control_map: bool| {
        let request = Request {
            artifact_name: "old".into(),
            device_type: "pump".into(),
            control_map,
            ..Request::default()
        };
        match w.service().next(&w.ctx, &device(n), &request, "http://x").await.unwrap() {
            Some(Instructions::Install { control_map, .. }) => control_map,
            other => panic!("{other:?}"),
        }
    };
    let told = ask(0, true).await.unwrap();
    assert_eq!((&told["id"], &told["states"]), (&json!(id.as_str()), &map("pause")["states"]));
    assert_eq!(ask(1, false).await, None);

    let service = w.service();
    service.set_control_map(&w.ctx, &id, map("force_continue")).await.unwrap();
    let read = async |n| service.control_map(&w.ctx, &id, &device(n)).await;
    assert_eq!(read(0).await.unwrap()["states"], map("force_continue")["states"]);
    assert_eq!(refusal(read(7).await).0, Kind::NotFound);
    w.report(&id, 0, Status::Success).await.unwrap();
    assert_eq!(refusal(read(0).await).0, Kind::NotFound);

    // An empty map is none.
    let plain = w.create_as(&w.ctx, "plain", devices(1), with(Map::new())).await.unwrap();
    let change = async |id| service.set_control_map(&w.ctx, id, map("pause")).await;
    assert_eq!(refusal(change(&plain).await).0, Kind::Conflict);
    service.abort(&w.ctx, &id).await.unwrap();
    assert_eq!(refusal(change(&id).await).0, Kind::Conflict);
    assert_eq!(refusal(change(&"ghost".parse().unwrap()).await).0, Kind::NotFound);
    let long = Map::from_iter([("a".to_owned(), json!("x".repeat(70_000)))]);
    for ill in [long, Map::from_iter([("a".to_owned(), json!("\0"))])] {
        let refused = w.create_as(&w.ctx, "ill", devices(1), with(ill)).await;
        assert!(matches!(refusal(refused).0, Kind::Invalid { .. }));
    }
}

#[tokio::test]
async fn a_device_waits_for_the_delta_that_is_made_for_it() {
    let w = World::new().await;
    let mut image: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    let mut provides = BTreeMap::new();
    let mut ids = Vec::new();
    for version in ["v1", "v2"] {
        image.extend_from_slice(version.as_bytes());
        let file = FileRecipe::new("image.ext4", image.len() as u64);
        let recipe = Recipe::rootfs(version, ["pump"], file, Some(&Software::default()));
        ids.push(w.upload(recipe, &image).await);
        let sum = hex(digest(&SHA256, &image).as_ref());
        provides.entry("rootfs-image.checksum".to_owned()).or_insert(sum);
    }
    let module = "rootfs-image.update-module.mender-binary-delta";
    provides.insert(format!("{module}.mender_update_module"), "mender-binary-delta".into());
    provides.insert(format!("{module}.version"), "1.4.1".into());
    provides.insert("rootfs-image.version".into(), "v1".into());
    let settings = DeltaSettings { enabled: true, ..DeltaSettings::default() };
    w.mender.artifacts().configure_deltas(&w.ctx, settings, None).await.unwrap();
    let (artifact_name, device_type) = ("v1".to_owned(), "pump".to_owned());
    let able = Request { artifact_name, device_type, provides, ..Request::default() };
    let unable = Request { provides: BTreeMap::new(), ..able.clone() };

    let course = Course { delta: true, ..Course::default() };
    let new = NewDeployment {
        name: "delta".into(),
        artifact_name: "v2".into(),
        force_installation: false,
        whom: Whom::Devices(devices(2)),
        course,
    };
    w.service().create(&w.ctx, new).await.unwrap();
    let get = async |n, request: &Request| {
        let told = w.service().next(&w.ctx, &device(n), request, "http://x").await.unwrap();
        told.map(|told| match told {
            Instructions::Install { artifact, .. } => *artifact,
            Instructions::Configure { .. } => panic!("no configuration"),
        })
    };
    // Who looks has nothing made, whoever may look.
    let text = |(name, text): (&str, &str)| {
        NewAttribute::new(AttributeName::inventory(name), Value::Text(text.into()))
    };
    let own = [("artifact_name", "v1"), ("device_type", "pump")];
    let provided = able.provides.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let new = own.into_iter().chain(provided).map(text).collect();
    w.mender.inventory().create(&w.ctx, &device(0), new).await.unwrap();
    let group = "g".parse().unwrap();
    w.mender.inventory().set_group(&w.ctx, &device(0), &group).await.unwrap();
    let scope = Scope::Only { groups: Some(vec!["g".into()]), tags: None };
    let limited = Ctx { scope, ..w.ctx.clone() };
    let explained = w.service().explain(&limited, &device(0)).await.unwrap();
    assert_eq!((explained.next, explained.considered[0].reason), (None, Reason::MakingDelta));
    let jobs = async || {
        let (query, page) = (DeltaQuery::default(), PageRequest::default());
        w.mender.artifacts().delta_jobs(&w.ctx, &query, page).await.unwrap().0.len()
    };
    assert_eq!(jobs().await, 0);

    assert_eq!(get(0, &able).await, None);
    assert_eq!((jobs().await, w.only(0).await), (1, Reason::MakingDelta));
    // What it asked about it is told by what it said, whatever inventory knows.
    let unknown = text(("rootfs-image.checksum", "unknown"));
    w.mender.inventory().create(&w.ctx, &device(0), vec![unknown]).await.unwrap();
    assert_eq!(w.only(0).await, Reason::MakingDelta);
    let full = get(1, &unable).await.unwrap();
    assert_eq!(full.id, ids[1]);
    assert_eq!(get(0, &able).await, None);
    w.mender.drain().await.unwrap();
    assert_eq!(w.only(0).await, Reason::Install);
    let delta = get(0, &able).await.unwrap();
    assert_ne!(delta.id, full.id);
    assert!(delta.size < full.size / 4);
    // Made for one device, it is there for the next.
    assert_eq!(get(0, &able).await, Some(delta));
}
