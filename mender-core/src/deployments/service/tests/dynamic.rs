//! Deployments that devices join as they ask.

use futures_util::future::join_all;

use super::*;
use crate::{
    deployments::{Batch, DeviceDeployment, NewPhase, Phases},
    inventory::{AttributeName, FilterId, NewAttribute, Op, Operand, Predicate, Value},
};

impl World {
    /// Has inventory know a device with this status and a tag of this value.
    async fn known(&self, n: usize, status: &str, ring: &str) {
        let text = |name, text: &str| NewAttribute::new(name, Value::Text(text.into()));
        let status = text(AttributeName::identity("status"), status);
        let new = vec![status, text(AttributeName::tag("ring"), ring)];
        self.mender.inventory().create(&self.ctx, &device(n), new).await.unwrap();
    }

    pub(super) async fn filter(&self, ring: &str) -> FilterId {
        let value = Operand::Value(Value::Text(ring.into()));
        let term = Predicate { name: AttributeName::tag("ring"), op: Op::Eq, value };
        self.mender.inventory().create_filter(&self.ctx, ring, vec![term]).await.unwrap()
    }

    pub(super) async fn join(
        &self,
        id: &FilterId,
        max_devices: u64,
        course: Course,
    ) -> Result<DeploymentId> {
        let new = NewDeployment {
            name: "dynamic".into(),
            artifact_name: "r".into(),
            force_installation: false,
            whom: Whom::Filter { id: id.clone(), max_devices },
            course,
        };
        self.service().create(&self.ctx, new).await
    }
}

#[tokio::test]
async fn devices_join_that_fit_when_they_ask() {
    let w = World::new().await;
    for (n, status, ring) in
        [(0, "accepted", "a"), (1, "accepted", "a"), (2, "accepted", "b"), (3, "pending", "a")]
    {
        w.known(n, status, ring).await;
    }
    let filter = w.filter("a").await;
    let id = w.join(&filter, 0, Course::default()).await.unwrap();
    assert_eq!(w.counts(&id).await, []);
    for (n, joins) in [(0, true), (2, false), (3, false), (7, false), (0, true)] {
        assert_eq!(w.told(n).await.is_some(), joins, "device {n}");
    }
    assert_eq!(w.state(&id).await, (State::Open, Progress::Pending));
    assert_eq!(w.counts(&id).await, [(Status::Pending, 1)]);
    w.report(&id, 0, Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Open, Progress::InProgress));
    assert_eq!(w.told(0).await, None);

    // What the filter is later does not matter, what the device is does.
    w.mender.inventory().delete_filter(&w.ctx, &filter).await.unwrap();
    w.known(2, "accepted", "a").await;
    w.known(3, "accepted", "a").await;
    for n in [2, 3] {
        assert_eq!(w.told(n).await.as_ref(), Some(&id));
    }
    let shown = w.service().deployment(&w.ctx, &id).await.unwrap();
    assert!(shown.deployment.is_dynamic());
    assert_eq!((shown.tally.devices, shown.deployment.max_devices), (3, 0));
    assert!(w.service().targets(&w.ctx, &id).await.unwrap().next().await.is_none());

    w.service().abort(&w.ctx, &id).await.unwrap();
    let ended = [(Status::Aborted, 2), (Status::Success, 1)];
    assert_eq!(w.counts(&id).await, ended);
    assert_eq!((w.told(1).await, w.told(2).await), (None, None));
}

#[tokio::test]
async fn as_many_devices_join_as_may() {
    let w = World::new().await;
    for n in 0..20 {
        w.known(n, "accepted", "a").await;
    }
    let filter = w.filter("a").await;
    let id = w.join(&filter, 3, Course::default()).await.unwrap();
    let next = w.join(&w.filter("none").await, 1, Course::default()).await.unwrap();
    let last = w.join(&filter, 0, Course::default()).await.unwrap();
    assert_eq!(w.counts(&id).await, [(Status::Pending, 3)]);
    let told = join_all((0..20).map(|n| w.told(n))).await;
    let joined: Vec<usize> = (0..20).filter(|n| told[*n].as_ref() == Some(&id)).collect();
    assert_eq!(joined.len(), 3);
    assert_eq!(w.counts(&id).await, [(Status::Pending, 3)]);
    // Others go on to what comes next, and fits.
    for n in (0..20).filter(|n| !joined.contains(n)) {
        assert_eq!(w.told(n).await.as_ref(), Some(&last));
    }
    for (at, status) in [(0, Status::Success), (1, Status::Failure)] {
        w.report(&id, joined[at], status).await.unwrap();
        assert_eq!(w.state(&id).await.0, State::Open);
    }
    // A late word takes the end back; the place stays taken.
    w.report(&id, joined[1], Status::Rebooting).await.unwrap();
    w.report(&id, joined[2], Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await.0, State::Open);
    w.report(&id, joined[1], Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
    assert_eq!(w.state(&next).await, (State::Open, Progress::Pending));
}

#[tokio::test]
async fn a_device_joins_nothing_that_is_older_than_what_it_ended() {
    let w = World::new().await;
    let older = w.join(&w.filter("a").await, 0, Course::default()).await.unwrap();
    let newer = w.create(&w.ctx, "newer", devices(1)).await.unwrap();
    assert_eq!(w.told(0).await.as_ref(), Some(&newer));
    w.known(0, "accepted", "a").await;
    w.known(1, "accepted", "a").await;
    w.report(&newer, 0, Status::Success).await.unwrap();
    assert_eq!((w.told(0).await, w.told(1).await), (None, Some(older.clone())));
    // Unless its history is forgotten: what it ended comes first no more.
    w.service().reset_history(&w.ctx, &device(0)).await.unwrap();
    assert_eq!(w.told(0).await, Some(older));
}

#[tokio::test]
async fn phases_are_planned_for_the_devices_that_fit_at_first() {
    let w = World::new().await;
    let filter = w.filter("a").await;
    let later = NewPhase { starts: Some(w.mender.env().now()), ..NewPhase::default() };
    let half = NewPhase { batch: Some(Batch::Percent(50)), ..NewPhase::default() };
    let course = || Course {
        phases: Some(Phases::Each(vec![half.clone(), later.clone()])),
        ..Course::default()
    };
    let refused = w.join(&filter, 0, course()).await;
    assert_eq!(refusal(refused).1, "No devices for the deployment");
    for n in 0..4 {
        w.known(n, "accepted", "a").await;
    }
    // The count of those that fit may be two seconds old.
    w.time.advance(std::time::Duration::from_secs(3));
    let id = w.join(&filter, 0, course()).await.unwrap();
    let shown = w.service().deployment(&w.ctx, &id).await.unwrap();
    let sizes: Vec<_> = shown.deployment.rollout.phases.iter().map(|phase| phase.devices).collect();
    assert_eq!(sizes, [Some(2), None]);
}

#[tokio::test]
async fn whoever_joins_while_it_is_aborted_is_out_again() {
    let w = World::new().await;
    w.known(0, "accepted", "a").await;
    let id = w.join(&w.filter("a").await, 0, Course::default()).await.unwrap();
    w.service().abort(&w.ctx, &id).await.unwrap();
    w.mender.drain().await.unwrap();
    let shown = w.service().deployment(&w.ctx, &id).await.unwrap();
    let row = DeviceDeployment::waiting(&id, device(0), shown.deployment.created);
    w.service().store.fill(&w.ctx.tenant, &[row]).await.unwrap();
    for _ in 0..2 {
        assert!(!w.service().complete_entry(&w.ctx, &id, &device(0)).await.unwrap());
        let open = w.service().store.open_rows(&w.ctx.tenant, &id, None, 1).await.unwrap();
        assert_eq!(open, []);
    }
}

#[tokio::test]
async fn a_filter_that_is_not_there_is_refused() {
    let w = World::new().await;
    let refused = w.join(&"ghost".parse().unwrap(), 0, Course::default()).await;
    assert_eq!(refusal(refused).0, Kind::Invalid { field: "filter_id" });
    let filter = w.filter("a").await;
    let groups = Some(vec!["g".to_owned()]);
    let mut ctx = w.ctx.clone();
    ctx.scope = Scope::Only { groups, tags: None };
    let new = NewDeployment {
        name: "dynamic".into(),
        artifact_name: "r".into(),
        force_installation: false,
        whom: Whom::Filter { id: filter.clone(), max_devices: 0 },
        course: Course::default(),
    };
    assert_eq!(refusal(w.service().create(&ctx, new).await).0, Kind::Forbidden);
    w.join(&filter, 0, Course::default()).await.unwrap();
    assert_eq!(refusal(w.join(&filter, 0, Course::default()).await).0, Kind::Conflict);
}
