//! Why devices get what they get.

use std::time::Duration;

use super::*;
use crate::{
    deployments::{Batch, Budget, Considered, NewPhase, Phases, Reason, Window, Zone},
    env::Time,
    inventory::{AttributeName, NewAttribute, Value},
    kit::MemoryStores,
    testing::{Faults, Faulty},
};

impl World {
    /// Explains what a device gets, and returns the name of each deployment with its reason.
    pub(super) async fn reasons(&self, n: usize) -> Vec<(String, Reason)> {
        let explained = self.service().explain(&self.ctx, &device(n)).await.unwrap();
        let reason = |one: Considered| (one.deployment.name, one.reason);
        explained.considered.into_iter().map(reason).collect()
    }

    pub(super) async fn only(&self, n: usize) -> Reason {
        let reasons = self.reasons(n).await;
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        reasons[0].1
    }

    /// What the device was told when it last asked, of the deployment that comes first.
    async fn last(&self, n: usize) -> Option<(Reason, Time)> {
        let explained = self.service().explain(&self.ctx, &device(n)).await.unwrap();
        let first = explained.considered.into_iter().next().unwrap();
        first.last.map(|outcome| (outcome.reason, outcome.since))
    }

    /// Has inventory know what a device is.
    async fn is_a(&self, n: usize, device_type: &str, artifact_name: &str) {
        let text = |name, text: &str| {
            NewAttribute::new(AttributeName::inventory(name), Value::Text(text.into()))
        };
        let new = vec![text("device_type", device_type), text("artifact_name", artifact_name)];
        self.mender.inventory().create(&self.ctx, &device(n), new).await.unwrap();
    }
}

#[tokio::test]
async fn what_it_would_get_is_explained_before_it_ever_asked() {
    let w = World::new().await;
    assert_eq!(w.reasons(0).await, []);
    w.create(&w.ctx, "first", devices(3)).await.unwrap();
    w.create(&w.ctx, "second", devices(1)).await.unwrap();
    let (first, second) = ("first".to_owned(), "second".to_owned());
    // Of a device that nobody knows, nothing fits.
    let unknown = [(first.clone(), Reason::NoArtifact), (second.clone(), Reason::Later)];
    assert_eq!(w.reasons(0).await, unknown);
    w.is_a(0, "pump", "old").await;
    w.is_a(1, "pump", "r").await;
    w.is_a(2, "valve", "old").await;
    assert_eq!(w.reasons(0).await, [(first, Reason::Install), (second, Reason::Later)]);
    assert_eq!(w.only(1).await, Reason::AlreadyInstalled);
    assert_eq!(w.only(2).await, Reason::NoArtifact);
    // It changes nothing.
    assert_eq!(w.last(0).await, None);
    let explained = w.service().explain(&w.ctx, &device(0)).await.unwrap();
    assert_eq!(explained.next, w.told(0).await);
}

#[tokio::test]
async fn it_says_why_a_device_waits_and_since_when() {
    let w = World::new().await;
    w.is_a(0, "pump", "old").await;
    w.is_a(1, "pump", "old").await;
    let (start, hour) = (w.mender.env().now(), Duration::from_secs(3600));
    let phase = |after: u32, needs_approval| NewPhase {
        batch: Some(Batch::Devices(1)),
        starts: Some(start + hour * after),
        needs_approval,
        ..NewPhase::default()
    };
    let phases = vec![phase(1, false), phase(2, false), phase(3, true)];
    let course = Course { phases: Some(Phases::Each(phases)), ..Course::default() };
    let id = w.create_as(&w.ctx, "phased", devices(3), course).await.unwrap();
    let scheduled = Reason::Scheduled { starts: start + hour };
    assert_eq!(w.only(0).await, scheduled);
    for _ in 0..2 {
        assert_eq!(w.told(0).await, None);
        assert_eq!(w.last(0).await, Some((scheduled, start)));
        w.time.advance(Duration::from_secs(60));
    }
    w.time.advance(hour);
    assert_eq!(w.told(1).await.as_ref(), Some(&id));
    let full = Reason::PhaseFull { phase: 1, next: Some(start + hour * 2) };
    assert_eq!((w.only(0).await, w.only(1).await), (full, Reason::Install));
    assert_eq!(w.last(0).await, Some((scheduled, start)));
    assert_eq!(w.told(0).await, None);
    assert_eq!(w.last(0).await, Some((full, w.mender.env().now())));
    w.service().pause(&w.ctx, &id, "").await.unwrap();
    assert_eq!(w.only(0).await, Reason::Paused);
    w.service().resume(&w.ctx, &id).await.unwrap();
    w.time.advance(hour * 2);
    assert_eq!(w.told(0).await.as_ref(), Some(&id));
    assert_eq!(w.only(2).await, Reason::Unapproved { phase: 3 });
    w.report(&id, 0, Status::Failure).await.unwrap();
    assert_eq!(w.only(0).await, Reason::Done);
    w.service().abort(&w.ctx, &id).await.unwrap();
    assert_eq!((w.only(1).await, w.reasons(2).await), (Reason::Ended, vec![]));
}

#[tokio::test]
async fn windows_and_budgets_are_named() {
    let w = World::new().await;
    for n in 0..2 {
        w.is_a(n, "pump", "old").await;
    }
    let window = Window { days: vec![], opens: 13 * 60, minutes: 60, zone: Zone::Utc };
    let budget = Some(Budget { parallel: Some(1), bytes_per_second: Some(1) });
    let course = Course { windows: vec![window], budget, ..Course::default() };
    let id = w.create_as(&w.ctx, "narrow", devices(2), course).await.unwrap();
    let hour = Duration::from_secs(3600);
    // The clock of the test begins at noon.
    let opens = w.mender.env().now() + hour;
    assert_eq!(w.only(0).await, Reason::OutsideWindow { opens });
    w.time.advance(hour);
    assert_eq!(w.told(0).await.as_ref(), Some(&id));
    assert_eq!((w.only(0).await, w.only(1).await), (Reason::Install, Reason::BudgetUsed));
    w.report(&id, 0, Status::Success).await.unwrap();
    // There is room for another one, and none for its bytes.
    assert_eq!(w.only(1).await, Reason::BudgetUsed);
}

#[tokio::test]
async fn what_a_device_is_is_known_by_inventory_or_else_by_what_it_said() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "first", devices(1)).await.unwrap();
    w.fares(&id, 0, Status::Success).await;
    let runs = async || {
        let request = w.service().explain(&w.ctx, &device(0)).await.unwrap().request;
        (request.device_type, request.artifact_name)
    };
    let is = |device_type: &str, name: &str| (device_type.to_owned(), name.to_owned());
    assert_eq!(runs().await, is("pump", "old"));
    // What it said is as old as its last deployment.
    w.is_a(0, "pump", "r").await;
    assert_eq!(runs().await, is("pump", "r"));
}

#[tokio::test]
async fn many_dynamic_deployments_are_looked_at_together() {
    let faults = Faults::default();
    let stores = Faulty::new(MemoryStores::default(), faults.clone());
    let w = World::built(1, |builder| builder.stores(stores)).await;
    w.is_a(0, "pump", "old").await;
    let filter = w.filter("a").await;
    let calls = async || {
        // What is kept in memory is there.
        w.reasons(0).await;
        faults.heal();
        let reasons = w.reasons(0).await;
        (faults.calls(), reasons)
    };
    let join = async |max| w.join(&filter, max, Course::default()).await.unwrap();
    join(0).await;
    let (one, reasons) = calls().await;
    assert_eq!(reasons.len(), 1);
    for max in 1..=20 {
        join(max).await;
    }
    let (many, reasons) = calls().await;
    assert!(reasons.iter().all(|(_, reason)| *reason == Reason::NoMatch), "{reasons:?}");
    assert_eq!((reasons.len(), many), (21, one));
}

#[tokio::test]
async fn a_dynamic_deployment_that_a_device_ended_long_ago_is_none_that_it_might_join() {
    let w = World::new().await;
    let status =
        NewAttribute::new(AttributeName::identity("status"), Value::Text("accepted".into()));
    let ring = NewAttribute::new(AttributeName::tag("ring"), Value::Text("a".into()));
    w.mender.inventory().create(&w.ctx, &device(0), vec![status, ring]).await.unwrap();
    let filter = w.filter("a").await;
    let join = async |max| w.join(&filter, max, Course::default()).await.unwrap();
    let ended = join(0).await;
    w.fares(&ended, 0, Status::Success).await;
    // More than are named of what it ended.
    let since = 12;
    for n in 0..since {
        let id = w.create(&w.ctx, &format!("d{n}"), devices(1)).await.unwrap();
        w.fares(&id, 0, Status::Success).await;
    }
    let reasons = w.reasons(0).await;
    assert!(reasons.iter().all(|(_, reason)| *reason == Reason::Done), "{reasons:?}");
    assert_eq!(w.only(1).await, Reason::NoMatch);
}

#[tokio::test]
async fn devices_outside_of_the_groups_of_the_user_are_not_explained() {
    let w = World::new().await;
    let mut ctx = w.ctx.clone();
    ctx.scope = Scope::Only { groups: Some(vec!["g".into()]), tags: None };
    assert_eq!(refusal(w.service().explain(&ctx, &device(0)).await).0, Kind::Forbidden);
}

#[tokio::test]
async fn what_the_next_poll_ends_does_not_wait() {
    let w = World::new().await;
    let recipe = |name: &str, device_type: &str| {
        let files = vec![FileRecipe::new("file", 1)];
        Recipe::module("script", name, [device_type], files, Some(&Software::default()))
    };
    w.upload(recipe("valves", "valve"), b"x").await;
    w.upload(recipe("old", "pump"), b"x").await;
    for n in 0..4 {
        w.is_a(n, "pump", "old").await;
    }
    let configuration = crate::deployments::NewConfiguration {
        id: "c1".parse().unwrap(),
        device: device(0),
        name: "configuration".into(),
        configuration: "{}".into(),
        retries: 0,
        control_map: None,
    };
    w.service().configure(&w.ctx, configuration).await.unwrap();
    let routine = w.create(&w.ctx, "routine", devices(4)).await.unwrap();
    let mut urgent = Vec::new();
    for (n, name) in ["r", "valves", "old", "r"].into_iter().enumerate() {
        let new = NewDeployment {
            name: "urgent".into(),
            artifact_name: name.into(),
            force_installation: false,
            whom: Whom::Devices(vec![device(n)]),
            course: Course { priority: 10, ..Course::default() },
        };
        urgent.push(w.service().create(&w.ctx, new).await.unwrap());
    }
    w.service().pause(&w.ctx, &urgent[3], "").await.unwrap();
    let with = |reasons: &[(&str, Reason)]| -> Vec<(String, Reason)> {
        reasons.iter().map(|(name, reason)| ((*name).to_owned(), *reason)).collect()
    };
    let expected = [
        // Configurations only wait.
        with(&[
            ("urgent", Reason::Install),
            ("configuration", Reason::Later),
            ("routine", Reason::Superseded),
        ]),
        // What brings nothing comes before nothing.
        with(&[("urgent", Reason::NoArtifact), ("routine", Reason::Install)]),
        with(&[("urgent", Reason::AlreadyInstalled), ("routine", Reason::Superseded)]),
        with(&[("urgent", Reason::Paused), ("routine", Reason::Later)]),
    ];
    for (n, expected) in expected.into_iter().enumerate() {
        assert_eq!(w.reasons(n).await, expected, "device {n}");
    }
    // It is as it was said.
    for (n, told) in [(0, Some(&urgent[0])), (1, Some(&routine)), (2, None), (3, None)] {
        let explained = w.service().explain(&w.ctx, &device(n)).await.unwrap();
        assert_eq!((explained.next.as_ref(), w.told(n).await.as_ref()), (told, told), "{n}");
    }
    assert_eq!(w.counts(&routine).await, [(Status::Aborted, 2), (Status::Pending, 2)]);
}
