//! Reports on what a device has ended.

use super::*;
use crate::deployments::Reason;

impl World {
    /// Polls as a device that runs this; tells what it is told to install.
    async fn asks_running(&self, n: usize, runs: &str) -> Result<Option<DeploymentId>> {
        let request = Request {
            artifact_name: runs.into(),
            device_type: "pump".into(),
            ..Request::default()
        };
        let told = self.service().next(&self.ctx, &device(n), &request, "http://x").await?;
        Ok(told.map(|told| match told {
            Instructions::Install { deployment, .. } => deployment,
            Instructions::Configure { deployment } => deployment.id,
        }))
    }

    /// What was decided about a deployment when the device last asked.
    async fn decided(&self, id: &DeploymentId, n: usize) -> Option<Reason> {
        let row = self.service().store.device_deployment(&self.ctx.tenant, id, &device(n)).await;
        row.unwrap().unwrap().outcome.map(|outcome| outcome.reason)
    }
}

#[tokio::test]
async fn a_late_report_does_not_undo_what_a_device_has_installed() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "late", devices(2)).await.unwrap();
    for status in [Status::Success, Status::Failure] {
        assert_eq!(w.asks_running(0, "old").await.unwrap().as_ref(), Some(&id));
        w.report(&id, 0, status).await.unwrap();
        w.report(&id, 0, Status::Downloading).await.unwrap();
        // One that runs what it ran is at it again, for all that anybody knows.
        assert_eq!(w.counts(&id).await, [(Status::Downloading, 1), (Status::Pending, 1)]);
    }
    assert_eq!(w.asks_running(0, "old").await.unwrap().as_ref(), Some(&id));
    w.report(&id, 0, Status::Success).await.unwrap();
    w.report(&id, 0, Status::Downloading).await.unwrap();
    // One that runs something else is not.
    for _ in 0..2 {
        assert_eq!(w.asks_running(0, "r").await.unwrap(), None);
        assert_eq!(w.counts(&id).await, [(Status::Pending, 1), (Status::Success, 1)]);
    }
    assert_eq!(w.decided(&id, 0).await, Some(Reason::Done));
    assert_eq!(w.asks_running(1, "old").await.unwrap().as_ref(), Some(&id));
    w.report(&id, 1, Status::Success).await.unwrap();
    assert_eq!(w.state(&id).await.0, State::Closed);
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn a_late_report_keeps_no_deployment_open_of_a_device_that_went_on() {
    let w = World::new().await;
    let older = w.create(&w.ctx, "older", devices(2)).await.unwrap();
    let newer = w.create(&w.ctx, "newer", devices(1)).await.unwrap();
    for id in [&older, &newer] {
        assert_eq!(w.told(0).await.as_ref(), Some(id));
        w.report(id, 0, Status::Success).await.unwrap();
    }
    w.report(&older, 0, Status::Installing).await.unwrap();
    assert_eq!(w.told(1).await.as_ref(), Some(&older));
    w.report(&older, 1, Status::Success).await.unwrap();
    assert_eq!(w.counts(&older).await, [(Status::Installing, 1), (Status::Success, 1)]);
    assert_eq!(w.told(0).await, None);
    assert_eq!(w.counts(&older).await, [(Status::Success, 2)]);
    assert_eq!(w.state(&older).await.0, State::Closed);
    // What has ended is not looked at again.
    w.report(&older, 0, Status::Installing).await.unwrap();
    assert_eq!(w.told(0).await, None);
    assert_eq!(w.counts(&older).await, [(Status::Installing, 1), (Status::Success, 1)]);
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn a_reset_brings_nothing_back_that_is_older_than_what_ended_since() {
    let w = World::new().await;
    let urgent = Course { priority: 1, ..Course::default() };
    let older = w.create(&w.ctx, "older", devices(2)).await.unwrap();
    assert_eq!(w.told(0).await.as_ref(), Some(&older));
    w.report(&older, 0, Status::Failure).await.unwrap();
    let newer = w.create_as(&w.ctx, "newer", devices(1), urgent).await.unwrap();
    w.service().reset_history(&w.ctx, &device(0)).await.unwrap();
    assert_eq!(w.told(0).await.as_ref(), Some(&newer));
    w.report(&newer, 0, Status::Success).await.unwrap();
    assert_eq!(w.told(0).await, None);
}
