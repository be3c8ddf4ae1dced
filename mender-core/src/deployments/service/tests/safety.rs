//! What keeps deployments from doing harm.

use std::time::Duration;

use super::*;
use crate::{
    deployments::{Batch, Budget, Cause, NewPhase, Phases, Remedy, Side, Threshold, Window, Zone},
    id::UserId,
    inventory::{AttributeName, NewAttribute, Value},
    kit::MemoryStores,
    testing::{Faults, Faulty},
};

const MINUTE: Duration = Duration::from_secs(60);

fn user(name: &str) -> Ctx {
    let id: UserId = name.parse().unwrap();
    Ctx::new(Default::default(), Actor::User(id), Scope::All)
}

fn failures(limit: Batch, sample: u64, remedy: Remedy) -> Threshold {
    Threshold { side: Side::Failure, limit, sample, remedy }
}

fn of(thresholds: Vec<Threshold>) -> Course {
    Course { thresholds, ..Course::default() }
}

impl World {
    pub(super) async fn fares(&self, id: &DeploymentId, n: usize, status: Status) {
        assert_eq!(self.told(n).await.as_ref(), Some(id), "device {n}");
        self.report(id, n, status).await.unwrap();
    }

    async fn cause(&self, id: &DeploymentId) -> Option<Cause> {
        let shown = self.service().deployment(&self.ctx, id).await.unwrap();
        shown.deployment.conduct.hold.map(|hold| hold.cause)
    }
}

#[tokio::test]
async fn a_pause_holds_back_who_has_yet_to_begin() {
    let w = World::new().await;
    let service = w.service();
    let id = w.create(&w.ctx, "paused", devices(4)).await.unwrap();
    for n in [0, 1] {
        assert!(w.told(n).await.is_some());
    }
    w.report(&id, 0, Status::Downloading).await.unwrap();
    service.pause(&user("u1"), &id, "it smokes").await.unwrap();
    service.pause(&w.ctx, &id, "again").await.unwrap();
    let by = Some("u1".parse().unwrap());
    assert_eq!(w.cause(&id).await, Some(Cause::User { id: by, reason: "it smokes".into() }));
    for (n, goes_on) in [(0, true), (1, false), (2, false)] {
        assert_eq!(w.told(n).await.is_some(), goes_on, "device {n}");
    }
    // One that was told before may still say that it began.
    w.report(&id, 1, Status::Success).await.unwrap();
    w.report(&id, 0, Status::Success).await.unwrap();
    service.resume(&w.ctx, &id).await.unwrap();
    service.resume(&w.ctx, &id).await.unwrap();
    assert_eq!(w.cause(&id).await, None);
    for n in [2, 3] {
        w.fares(&id, n, Status::Success).await;
    }
    assert_eq!(w.state(&id).await.0, State::Closed);
    for refused in [service.pause(&w.ctx, &id, "").await, service.resume(&w.ctx, &id).await] {
        assert_eq!(refusal(refused).0, Kind::Conflict);
    }
}

#[tokio::test]
async fn a_phase_that_needs_it_begins_once_another_user_approved_it() {
    let w = World::new().await;
    let service = w.service();
    let now = w.mender.env().now();
    let phase = |batch: Option<u64>, starts: Option<Duration>, needs_approval| NewPhase {
        batch: batch.map(Batch::Devices),
        starts: starts.map(|after| now + after),
        needs_approval,
        thresholds: Vec::new(),
    };
    let phases = vec![
        phase(Some(1), None, false),
        phase(Some(1), Some(MINUTE), true),
        phase(None, Some(2 * MINUTE), false),
    ];
    let course = Course { phases: Some(Phases::Each(phases)), ..Course::default() };
    let id = w.create_as(&user("u1"), "careful", devices(3), course).await.unwrap();
    let phases = service.deployment(&w.ctx, &id).await.unwrap().deployment.rollout.phases;
    w.fares(&id, 0, Status::Success).await;
    // The time of the third has come; it waits for the second all the same.
    w.time.advance(3 * MINUTE);
    assert_eq!(w.told(1).await, None);
    let approve = async |ctx: &Ctx, phase: &str| service.approve(ctx, &id, phase).await;
    for (ctx, kind) in [(user("u1"), Kind::Forbidden), (w.ctx.clone(), Kind::Forbidden)] {
        assert_eq!(refusal(approve(&ctx, &phases[1].id).await).0, kind);
    }
    assert_eq!(refusal(approve(&user("u2"), &phases[0].id).await).0, Kind::Conflict);
    assert_eq!(refusal(approve(&user("u2"), "ghost").await).0, Kind::NotFound);
    assert_eq!(w.told(1).await, None);
    for _ in 0..2 {
        approve(&user("u2"), &phases[1].id).await.unwrap();
    }
    for n in [1, 2] {
        w.fares(&id, n, Status::Success).await;
    }
    assert_eq!(refusal(approve(&user("u2"), &phases[1].id).await).0, Kind::Conflict);
}

#[tokio::test]
async fn failures_pause_a_deployment_and_count_anew_once_it_is_resumed() {
    let w = World::new().await;
    let half = failures(Batch::Percent(50), 4, Remedy::Pause);
    let id = w.create_as(&w.ctx, "half", devices(12), of(vec![half])).await.unwrap();
    for n in 0..3 {
        w.fares(&id, n, Status::Failure).await;
    }
    w.fares(&id, 3, Status::Success).await;
    let Some(Cause::Threshold { phase: None, threshold, score }) = w.cause(&id).await else {
        panic!("not paused");
    };
    assert_eq!((threshold, score.failed, score.succeeded), (half, 3, 1));
    assert_eq!(w.told(4).await, None);
    w.service().resume(&w.ctx, &id).await.unwrap();
    for (n, status) in (4..).zip([Status::Success, Status::Success, Status::Success]) {
        w.fares(&id, n, status).await;
    }
    w.fares(&id, 7, Status::Failure).await;
    assert_eq!(w.cause(&id).await, None);
    // It is the end that counts, not what was said before.
    w.report(&id, 4, Status::Failure).await.unwrap();
    assert!(w.cause(&id).await.is_some());
    w.service().resume(&w.ctx, &id).await.unwrap();
    w.report(&id, 4, Status::Success).await.unwrap();
    w.fares(&id, 8, Status::Success).await;
}

#[tokio::test]
async fn a_late_success_makes_up_for_no_failure_after_a_deployment_was_resumed() {
    let w = World::new().await;
    let first = failures(Batch::Devices(1), 0, Remedy::Pause);
    let id = w.create_as(&w.ctx, "again", devices(5), of(vec![first])).await.unwrap();
    for n in 0..3 {
        w.fares(&id, n, Status::Failure).await;
        assert!(w.cause(&id).await.is_some(), "device {n}");
        w.service().resume(&w.ctx, &id).await.unwrap();
        // What is taken back was counted before.
        w.report(&id, n, Status::Success).await.unwrap();
        assert_eq!(w.cause(&id).await, None);
    }
    w.report(&id, 0, Status::Failure).await.unwrap();
    let Some(Cause::Threshold { score, .. }) = w.cause(&id).await else { panic!("not paused") };
    assert_eq!((score.failed, score.succeeded), (1, 1));
    assert_eq!(w.service().flaws(&w.ctx.tenant).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_is_counted_holds_back_before_anybody_judges() {
    let w = World::new().await;
    let first = failures(Batch::Devices(1), 0, Remedy::Pause);
    let id = w.create_as(&w.ctx, "cut off", devices(2), of(vec![first])).await.unwrap();
    assert!(w.told(0).await.is_some());
    // As if the server had ended right after the commit.
    let (tenant, service) = (&w.ctx.tenant, w.service());
    let row = service.store.device_deployment(tenant, &id, &device(0)).await.unwrap().unwrap();
    let known = service.store.deployment(tenant, &id).await.unwrap().unwrap();
    let now = w.mender.env().now();
    let commit = logic::report(row, &known, Status::Failure, "", now).unwrap();
    service.commit_device(&w.ctx, commit).await.unwrap();
    assert_eq!(w.cause(&id).await, None);
    assert_eq!(w.told(1).await, None);
    assert!(w.cause(&id).await.is_some());
}

#[tokio::test]
async fn thresholds_cost_one_read_however_many_phases_have_them() {
    let faults = Faults::default();
    let stores = Faulty::new(MemoryStores::default(), faults.clone());
    let w = World::built(1, |builder| builder.stores(stores)).await;
    let now = w.mender.env().now();
    let mut reads = Vec::new();
    for (with, begun) in [(false, 1), (true, 1), (true, 60)] {
        let phase = |n| NewPhase {
            batch: Some(Batch::Devices(1)),
            starts: (n > 0).then(|| if n < begun { now } else { now + MINUTE }),
            needs_approval: false,
            thresholds: with
                .then(|| failures(Batch::Devices(1), 0, Remedy::Pause))
                .into_iter()
                .collect(),
        };
        let phases = Some(Phases::Each((0..90).map(phase).collect()));
        let id = w.create_as(&w.ctx, "phased", devices(90), Course { phases, ..Course::default() });
        let id = id.await.unwrap();
        assert_eq!(w.told(0).await, Some(id.clone()));
        faults.heal();
        assert!(w.told(0).await.is_some());
        reads.push(faults.calls());
        w.service().abort(&w.ctx, &id).await.unwrap();
    }
    assert_eq!(reads, [reads[0], reads[0] + 1, reads[0] + 1]);
}

#[tokio::test]
async fn a_phase_is_judged_once_it_has_begun() {
    let w = World::new().await;
    let now = w.mender.env().now();
    let phase = |starts, needs_approval| NewPhase {
        batch: Some(Batch::Devices(1)),
        starts,
        needs_approval,
        thresholds: vec![failures(Batch::Devices(1), 0, Remedy::Pause)],
    };
    let phases =
        vec![phase(None, false), phase(Some(now + MINUTE), true), phase(Some(now + MINUTE), false)];
    let course = Course {
        phases: Some(Phases::Each(phases)),
        ..of(vec![failures(Batch::Devices(9), 0, Remedy::Pause)])
    };
    let id = w.create_as(&user("u1"), "phased", devices(3), course).await.unwrap();
    let known = || async { w.service().deployment(&w.ctx, &id).await.unwrap().deployment };
    let judged = async || {
        let known = known().await;
        let parts = logic::judged_now(&known, w.mender.env().now());
        parts.map(|(part, _)| part).collect::<Vec<_>>()
    };
    assert_eq!(judged().await, [None, Some(0)]);
    w.fares(&id, 0, Status::Success).await;
    w.time.advance(MINUTE);
    assert_eq!(judged().await, [None, Some(0)]);
    let second = known().await.rollout.phases[1].id.clone();
    w.service().approve(&user("u2"), &id, &second).await.unwrap();
    assert_eq!(judged().await, [None, Some(0), Some(1), Some(2)]);
    w.fares(&id, 1, Status::Failure).await;
    assert!(matches!(w.cause(&id).await, Some(Cause::Threshold { phase: Some(2), .. })));
}

#[tokio::test]
async fn too_few_successes_in_a_phase_end_a_deployment() {
    let w = World::new().await;
    let limit = Batch::Percent(100);
    let all = Threshold { side: Side::Success, limit, sample: 2, remedy: Remedy::Abort };
    let course = |devices| {
        let batch = Some(Batch::Devices(devices));
        let first = NewPhase { batch, thresholds: vec![all], ..NewPhase::default() };
        let starts = Some(w.mender.env().now() + MINUTE);
        let rest = NewPhase { starts, ..NewPhase::default() };
        Course { phases: Some(Phases::Each(vec![first, rest])), ..Course::default() }
    };
    let fine = w.create_as(&w.ctx, "fine", devices(4), course(2)).await.unwrap();
    for n in [0, 1] {
        w.fares(&fine, n, Status::Success).await;
    }
    w.time.advance(MINUTE);
    // A failure of another phase is none of this one.
    for n in [2, 3] {
        w.fares(&fine, n, Status::Failure).await;
    }
    let ill = w.create_as(&w.ctx, "ill", devices(4), course(3)).await.unwrap();
    assert!(w.told(3).await.is_some());
    w.fares(&ill, 0, Status::Success).await;
    assert_eq!(w.state(&ill).await.0, State::Open);
    w.fares(&ill, 1, Status::Failure).await;
    assert_eq!(w.state(&ill).await.1, Progress::Finished);
    assert_eq!(w.told(2).await, None);
    assert_eq!(refusal(w.report(&ill, 3, Status::Installing).await).0, Kind::Conflict);
}

#[tokio::test]
async fn devices_begin_within_windows_by_their_own_clock() {
    let w = World::new().await;
    // The clock of the test begins at noon, UTC; two hours earlier it is ten.
    let window = |zone| Window { days: vec![], opens: 10 * 60, minutes: 60, zone };
    let course = |zone| Course { windows: vec![window(zone)], ..Course::default() };
    let utc = w.create_as(&w.ctx, "utc", devices(1), course(Zone::Utc)).await.unwrap();
    assert_eq!(w.told(0).await, None);
    let text = |text: &str| Value::Text(text.into());
    for (n, name) in
        [(1, AttributeName::tag("timezone")), (2, AttributeName::inventory("timezone"))]
    {
        let new = vec![NewAttribute::new(name, text("Etc/GMT+2"))];
        w.mender.inventory().create(&w.ctx, &device(n), new).await.unwrap();
    }
    let own = w.create_as(&w.ctx, "own", devices(4), course(Zone::Device)).await.unwrap();
    for (n, begins) in [(1, true), (2, true), (3, false)] {
        assert_eq!(w.told(n).await.is_some(), begins, "device {n}");
    }
    w.report(&own, 1, Status::Downloading).await.unwrap();
    w.time.advance(60 * MINUTE);
    // The window is closed: who began goes on.
    assert_eq!((w.told(1).await, w.told(2).await), (Some(own.clone()), None));
    w.time.advance(21 * 60 * MINUTE);
    assert_eq!(w.told(0).await, Some(utc));
    assert_eq!(w.told(3).await, Some(own));
    let ill = Window { minutes: 0, ..window(Zone::Utc) };
    let course = Course { windows: vec![ill], ..Course::default() };
    let refused = w.create_as(&w.ctx, "ill", devices(1), course).await;
    assert_eq!(refusal(refused).0, Kind::Invalid { field: "maintenance_windows" });
}

#[tokio::test]
async fn of_two_deployments_the_one_of_higher_priority_comes_first() {
    let w = World::new().await;
    let with = |priority| Course { priority, ..Course::default() };
    let routine = w.create_as(&w.ctx, "routine", devices(3), with(0)).await.unwrap();
    assert_eq!(w.told(0).await.as_ref(), Some(&routine));
    w.report(&routine, 0, Status::Downloading).await.unwrap();
    let urgent = w.create_as(&w.ctx, "urgent", devices(3), with(5)).await.unwrap();
    let idle = w.create_as(&w.ctx, "idle", devices(3), with(-5)).await.unwrap();
    // What it is at comes first whatever its priority.
    assert_eq!(w.told(0).await.as_ref(), Some(&routine));
    w.report(&routine, 0, Status::Success).await.unwrap();
    for n in [0, 1] {
        w.fares(&urgent, n, Status::Success).await;
        w.fares(&idle, n, Status::Success).await;
        assert_eq!(w.told(n).await, None);
    }
    // The older one would have been a step back.
    let ended = [(Status::Aborted, 1), (Status::Pending, 1), (Status::Success, 1)];
    assert_eq!(w.counts(&routine).await, ended);
    let row = w.service().store.device_deployment(&w.ctx.tenant, &routine, &device(1)).await;
    assert_eq!(row.unwrap().unwrap().substate, format!("superseded by {urgent}"));
    w.fares(&urgent, 2, Status::Failure).await;
    assert_eq!(w.state(&routine).await.0, State::Closed);
}

#[tokio::test]
async fn what_a_device_can_t_install_comes_before_nothing() {
    let w = World::new().await;
    let recipe = |name: &str, device_type: &str| {
        let files = vec![FileRecipe::new("file", 1)];
        Recipe::module("script", name, [device_type], files, Some(&Software::default()))
    };
    w.upload(recipe("valves", "valve"), b"x").await;
    w.upload(recipe("old", "pump"), b"x").await;
    let routine = w.create(&w.ctx, "routine", devices(3)).await.unwrap();
    let urgent = async |artifact_name: &str, n: usize| {
        let course = Course { priority: 10, ..Course::default() };
        let (name, whom) = (artifact_name.to_owned(), Whom::Devices(vec![device(n)]));
        let artifact_name = name.clone();
        let new = NewDeployment { name, artifact_name, force_installation: false, whom, course };
        w.service().create(&w.ctx, new).await.unwrap()
    };
    let valves = urgent("valves", 0).await;
    w.fares(&routine, 0, Status::Success).await;
    assert_eq!(w.told(0).await, None);
    assert_eq!(w.counts(&valves).await, [(Status::NoArtifact, 1)]);
    // What a device runs that is newer is as good as what it is told to install.
    urgent("old", 1).await;
    assert_eq!(w.told(1).await, None);
    let ended = [(Status::Aborted, 1), (Status::Pending, 1), (Status::Success, 1)];
    assert_eq!(w.counts(&routine).await, ended);
}

#[tokio::test]
async fn software_comes_before_no_configuration_for_good() {
    let w = World::new().await;
    let configuration = crate::deployments::NewConfiguration {
        id: "c1".parse().unwrap(),
        device: device(0),
        name: "configuration".into(),
        configuration: "{}".into(),
        retries: 0,
        control_map: None,
    };
    let configured = configuration.id.clone();
    w.service().configure(&w.ctx, configuration).await.unwrap();
    let course = Course { priority: 10, ..Course::default() };
    let urgent = w.create_as(&w.ctx, "urgent", devices(1), course).await.unwrap();
    w.fares(&urgent, 0, Status::Success).await;
    w.fares(&configured, 0, Status::Success).await;
}

#[tokio::test]
async fn what_has_not_begun_waits_for_what_has_a_higher_priority() {
    let w = World::new().await;
    let with = |priority| Course { priority, ..Course::default() };
    let routine = w.create_as(&w.ctx, "routine", devices(4), with(0)).await.unwrap();
    for n in 0..4 {
        assert_eq!(w.told(n).await.as_ref(), Some(&routine));
    }
    w.report(&routine, 0, Status::Downloading).await.unwrap();
    let newer = w.create_as(&w.ctx, "newer", devices(2), with(0)).await.unwrap();
    w.service().pause(&w.ctx, &routine, "it smokes").await.unwrap();
    let urgent = w.create_as(&w.ctx, "urgent", devices(3), with(5)).await.unwrap();
    // What has begun goes on; what was only told does not, paused or not.
    assert_eq!(w.told(0).await.as_ref(), Some(&routine));
    w.fares(&urgent, 1, Status::Success).await;
    w.service().resume(&w.ctx, &routine).await.unwrap();
    w.fares(&urgent, 2, Status::Success).await;
    // Beside nothing urgent it is told again.
    assert_eq!(w.told(3).await.as_ref(), Some(&routine));
    w.report(&routine, 3, Status::Success).await.unwrap();
    w.report(&routine, 0, Status::Success).await.unwrap();
    assert_eq!(w.counts(&routine).await, [(Status::Aborted, 2), (Status::Success, 2)]);
    assert_eq!(w.state(&routine).await.0, State::Closed);
    w.fares(&urgent, 0, Status::Success).await;
    assert_eq!((w.told(0).await, w.told(1).await), (None, None));
    assert_eq!(w.counts(&newer).await, [(Status::Aborted, 2)]);
    assert_eq!((w.state(&urgent).await.0, w.state(&newer).await.0), (State::Closed, State::Closed));
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn as_many_devices_fetch_at_once_as_may() {
    let w = World::new().await;
    let budget = Some(Budget { parallel: Some(2), bytes_per_second: None });
    let course = Course { budget, ..Course::default() };
    let id = w.create_as(&w.ctx, "narrow", devices(6), course).await.unwrap();
    let asks = async |n| w.told(n).await.is_some();
    assert_eq!(
        (asks(0).await, asks(1).await, asks(2).await, asks(0).await),
        (true, true, false, true)
    );
    w.report(&id, 0, Status::Downloading).await.unwrap();
    assert!(!asks(2).await);
    w.report(&id, 0, Status::Installing).await.unwrap();
    assert_eq!((asks(2).await, asks(3).await), (true, false));
    w.report(&id, 2, Status::Failure).await.unwrap();
    assert!(asks(3).await);
    // One that never begins, and says nothing, loses its place; another one gets it.
    w.report(&id, 3, Status::Downloading).await.unwrap();
    w.time.advance(11 * MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!((asks(4).await, asks(1).await, asks(5).await), (true, false, false));
    w.report(&id, 4, Status::Success).await.unwrap();
    assert!(asks(1).await);
    w.service().abort(&w.ctx, &id).await.unwrap();
    let slots = w.service().quotas.quota(&w.ctx.tenant, &logic::slots_quota(&id)).await.unwrap();
    assert_eq!((slots.free, slots.used), (2, 0));
}

#[tokio::test]
async fn as_many_bytes_are_handed_out_as_time_gives() {
    let w = World::new().await;
    let size = {
        let plain = w.create(&w.ctx, "plain", devices(1)).await.unwrap();
        w.fares(&plain, 0, Status::Success).await;
        w.service().deployment(&w.ctx, &plain).await.unwrap().tally.bytes
    };
    // In a minute a tenth of what a device fetches: the first one makes debts.
    let budget = Some(Budget { parallel: None, bytes_per_second: Some(size / 600) });
    let course = Course { budget, ..Course::default() };
    w.create_as(&w.ctx, "slow", devices(3), course).await.unwrap();
    assert!(w.told(1).await.is_some());
    assert_eq!(w.told(2).await, None);
    let mut minutes = 0;
    while w.told(2).await.is_none() {
        w.time.advance(MINUTE);
        minutes += 1;
    }
    assert!((9..=10).contains(&minutes), "{minutes} minutes");
    assert_eq!(w.told(0).await, None);
    // Time with nobody there is not saved up for ever.
    w.time.advance(10_000 * MINUTE);
    assert!(w.told(0).await.is_some());
}

#[tokio::test]
async fn devices_that_nobody_could_hear_were_not_silent() {
    let w = World::new().await;
    let course = Course { silence_minutes: Some(30), ..Course::default() };
    let id = w.create_as(&w.ctx, "away", devices(1), course).await.unwrap();
    w.fares(&id, 0, Status::Downloading).await;
    let presence = &w.service().kernel.presence;
    let serve = async |minutes: u32| {
        for _ in 0..minutes * 3 {
            presence.note(w.time.env().now());
            w.mender.drain().await.unwrap();
            w.time.advance(Duration::from_secs(20));
        }
    };
    serve(10).await;
    w.time.advance(40 * MINUTE);
    w.mender.drain().await.unwrap();
    serve(29).await;
    assert_eq!(w.counts(&id).await, [(Status::Downloading, 1)]);
    serve(2).await;
    assert_eq!(w.counts(&id).await, [(Status::Failure, 1)]);
}

#[tokio::test]
async fn who_says_the_same_again_or_polls_is_not_silent() {
    let w = World::new().await;
    let course = Course { silence_minutes: Some(1), ..Course::default() };
    let id = w.create_as(&w.ctx, "chatty", devices(3), course).await.unwrap();
    for n in 0..3 {
        w.fares(&id, n, Status::Downloading).await;
    }
    for _ in 0..3 {
        w.time.advance(50 * MINUTE / 60);
        w.report(&id, 0, Status::Downloading).await.unwrap();
        assert_eq!(w.told(1).await.as_ref(), Some(&id));
        w.mender.drain().await.unwrap();
    }
    assert_eq!(w.counts(&id).await, [(Status::Failure, 1), (Status::Downloading, 2)]);
}

#[tokio::test]
async fn bytes_are_handed_out_after_a_clock_was_ahead() {
    // Whether the deployment was created by then, or only its budget filled up.
    for was_created in [false, true] {
        let w = World::new().await;
        let start = w.mender.env().now();
        let year = start + 365 * 24 * 60 * MINUTE;
        let budget = Some(Budget { parallel: None, bytes_per_second: Some(1) });
        w.time.set(if was_created { year } else { start });
        let course = Course { budget, ..Course::default() };
        let id = w.create_as(&w.ctx, "slow", devices(3), course).await.unwrap();
        assert!(w.told(0).await.is_some());
        if !was_created {
            w.time.set(year);
            assert!(w.told(1).await.is_some());
        }
        let bytes = w.service().deployment(&w.ctx, &id).await.unwrap().tally.bytes;
        w.time.set(start);
        for minutes in [0, 1] {
            assert_eq!(w.told(2).await, None, "{minutes} minutes");
            w.time.advance(MINUTE);
        }
        w.time.advance(Duration::from_secs(bytes));
        assert_eq!(w.told(2).await, Some(id));
    }
}

#[tokio::test]
async fn devices_fall_silent_after_a_clock_was_ahead() {
    let w = World::new().await;
    let start = w.mender.env().now();
    let course = Course { silence_minutes: Some(30), ..Course::default() };
    let id = w.create_as(&w.ctx, "silent", devices(2), course).await.unwrap();
    w.time.set(start + 24 * 60 * MINUTE);
    w.fares(&id, 0, Status::Downloading).await;
    w.time.set(start + MINUTE);
    w.mender.drain().await.unwrap();
    let status = async || w.counts(&id).await[0];
    assert_eq!(status().await, (Status::Downloading, 1));
    w.time.advance(29 * MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!(status().await, (Status::Downloading, 1));
    w.time.advance(MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!(status().await, (Status::Failure, 1));
}

#[tokio::test]
async fn devices_that_fall_silent_have_failed() {
    let w = World::new().await;
    let course = Course { silence_minutes: Some(30), retries: 1, ..Course::default() };
    let id = w.create_as(&w.ctx, "silent", devices(4), course).await.unwrap();
    for (n, status) in
        [(0, Status::Downloading), (1, Status::Installing), (2, Status::PauseBeforeRebooting)]
    {
        w.fares(&id, n, status).await;
    }
    assert!(w.told(3).await.is_some());
    w.time.advance(20 * MINUTE);
    w.report(&id, 1, Status::Installing).await.unwrap();
    w.time.advance(11 * MINUTE);
    w.mender.drain().await.unwrap();
    let row = async |n: usize| {
        w.service().store.device_deployment(&w.ctx.tenant, &id, &device(n)).await.unwrap().unwrap()
    };
    let first = row(0).await;
    assert_eq!((first.status, first.failed), (Status::Pending, true));
    assert_eq!(first.substate, "silent for 30 minutes");
    assert_eq!(row(1).await.status, Status::Installing);
    w.fares(&id, 0, Status::Downloading).await;
    w.time.advance(31 * MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!(row(0).await.status, Status::Failure);
    assert_eq!((row(1).await.failed, row(3).await.failed), (true, false));
    // One that waits for a word has a reason to be silent.
    assert_eq!(row(2).await.status, Status::PauseBeforeRebooting);
}
