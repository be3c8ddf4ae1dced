//! What is counted: each record, whenever it changes, and once when all is over.

use std::{slice::from_ref, time::Duration};

use super::*;
use crate::deployments::{Tally, service::read::Shown};

impl World {
    async fn shown(&self, id: &DeploymentId) -> Shown {
        self.service().deployment(&self.ctx, id).await.unwrap()
    }

    /// Returns what the records say, and checks that it is what is shown.
    async fn counted(&self, id: &DeploymentId) -> Tally {
        let records = self.service().store.tallies(&self.ctx.tenant, from_ref(id)).await.unwrap();
        let records = records.get(id).cloned().unwrap_or_default();
        assert_eq!(self.shown(id).await.tally, records);
        records
    }

    /// Waits until what has ended is counted.
    async fn settled(&self) {
        self.mender.drain().await.unwrap();
        self.time.advance(Duration::from_secs(120));
        self.mender.drain().await.unwrap();
    }
}

#[tokio::test]
async fn what_has_ended_is_counted_once_and_late_reports_are_added() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(3)).await.unwrap();
    for (n, status) in [Status::Failure, Status::Success, Status::Failure].into_iter().enumerate() {
        assert_eq!(w.told(n).await, Some(id.clone()));
        w.report(&id, n, status).await.unwrap();
    }
    // Before it is counted, as after.
    w.report(&id, 0, Status::Success).await.unwrap();
    let before = w.counted(&id).await;
    assert_eq!(before.count(Status::Success), 2);
    assert_eq!(w.shown(&id).await.deployment.tally, None);
    w.settled().await;
    let frozen = w.shown(&id).await.deployment.tally.unwrap();
    assert_eq!((frozen.count(Status::Success), frozen.count(Status::Failure)), (1, 2));
    assert_eq!(w.counted(&id).await, before);
    w.report(&id, 0, Status::Failure).await.unwrap();
    w.report(&id, 1, Status::Downloading).await.unwrap();
    w.report(&id, 1, Status::AlreadyInstalled).await.unwrap();
    let after = w.counted(&id).await;
    let counts =
        [Status::Failure, Status::AlreadyInstalled, Status::Success].map(|s| after.count(s));
    assert_eq!(counts, [2, 1, 0]);
    w.service().reset_history(&w.ctx, &device(2)).await.unwrap();
    assert_eq!(w.counted(&id).await, after);
    let statistics = w.service().statistics(&w.ctx, from_ref(&id)).await.unwrap();
    assert_eq!(statistics, [(id.clone(), after)]);
    w.settled().await;
    assert_eq!(w.shown(&id).await.deployment.tally, Some(frozen));
}

#[tokio::test]
async fn an_aborted_deployment_is_counted_when_its_rows_are_closed() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    w.mender.drain().await.unwrap();
    for n in 0..2 {
        assert_eq!(w.told(n).await, Some(id.clone()));
    }
    w.report(&id, 0, Status::Success).await.unwrap();
    w.service().abort(&w.ctx, &id).await.unwrap();
    assert_eq!(w.state(&id).await.0, State::Closing);
    assert_eq!(w.counts(&id).await, [(Status::Aborted, 1), (Status::Success, 1)]);
    w.settled().await;
    let tally = w.counted(&id).await;
    assert_eq!((tally.count(Status::Aborted), tally.devices), (1, 2));
    assert_eq!(w.shown(&id).await.deployment.tally, Some(tally));
}

#[tokio::test]
async fn an_abort_that_was_cut_off_is_completed() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(3)).await.unwrap();
    assert_eq!(w.told(0).await, Some(id.clone()));
    w.settled().await;
    let deployment = w.shown(&id).await.deployment;
    let abort = crate::deployments::logic::abort(deployment, vec![], w.time.env().now()).unwrap();
    w.service().commit(&w.ctx, abort).await.unwrap();
    assert_eq!(w.state(&id).await.0, State::Closing);
    w.settled().await;
    w.settled().await;
    assert_eq!(w.state(&id).await.0, State::Closed);
    assert_eq!(w.counted(&id).await.count(Status::Aborted), 1);
    assert!(w.shown(&id).await.deployment.tally.is_some());
}

#[tokio::test]
async fn a_deployment_without_records_is_counted_too() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(3)).await.unwrap();
    w.service().abort(&w.ctx, &id).await.unwrap();
    w.settled().await;
    assert_eq!(w.shown(&id).await.deployment.tally, Some(Tally::default()));
    assert_eq!(w.counted(&id).await, Tally::default());
}

#[tokio::test]
async fn how_far_a_large_deployment_is_is_never_out_of_date() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(10_001)).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.told(0).await, Some(id.clone()));
    assert_eq!(w.state(&id).await, (State::Open, Progress::Pending));
    w.report(&id, 0, Status::Downloading).await.unwrap();
    assert_eq!(w.state(&id).await, (State::Open, Progress::InProgress));
}
