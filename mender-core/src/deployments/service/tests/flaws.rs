//! What does not fit together is found, of all areas.

use super::*;
use crate::{
    auth::{self, DeviceFilter},
    commit::{Commit, Draw},
    deployments::{DeviceDeployment, Stage, Tally},
    page::PageRequest,
    testing::TestDevice,
};

impl World {
    async fn flaws(&self) -> Vec<String> {
        self.mender.flaws(&self.ctx.tenant).await.unwrap()
    }

    async fn row(&self, id: &DeploymentId, n: usize) -> DeviceDeployment {
        let row = self.service().store.device_deployment(&self.ctx.tenant, id, &device(n)).await;
        row.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_server_at_work_has_no_flaws() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "n", devices(4)).await.unwrap();
    assert!(w.told(0).await.is_some() && w.told(1).await.is_some());
    w.report(&id, 0, Status::Success).await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    w.service().abort(&w.ctx, &id).await.unwrap();
    w.report(&id, 1, Status::Failure).await.unwrap_err();
    assert_eq!(w.flaws().await, [""; 0]);
}

#[tokio::test]
async fn a_device_that_counts_twice_is_found() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "n", devices(1)).await.unwrap();
    w.told(0).await.unwrap();
    let again = DeviceDeployment { stage: Stage::Record, ..w.row(&id, 0).await.again() };
    w.service().store.fill(&w.ctx.tenant, &[again]).await.unwrap();
    let twice = format!("deployment {id}: device {} counts twice", device(0));
    assert_eq!(w.flaws().await, [twice]);
}

#[tokio::test]
async fn more_devices_than_there_may_be_are_found() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "n", devices(1)).await.unwrap();
    let strangers = (1..4).map(|n| {
        let row = DeviceDeployment::waiting(&id, device(n), w.service().now());
        DeviceDeployment { stage: Stage::Record, ..row }
    });
    let strangers: Vec<_> = strangers.collect();
    w.service().store.fill(&w.ctx.tenant, &strangers).await.unwrap();
    assert_eq!(w.flaws().await, [format!("deployment {id}: 3 devices of at most 1")]);
}

#[tokio::test]
async fn counters_that_lost_count_are_found() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "n", devices(1)).await.unwrap();
    let size = w.mender.artifacts().storage(&w.ctx).await.unwrap().used;
    for (name, flaw) in [
        ("max_devices", "max_devices counts 1 devices, and there are 0".to_owned()),
        ("artifacts.storage", format!("artifacts have {size} bytes, and {} are counted", size + 1)),
        (logic::TENANT_SLOTS, "deployments: 0 devices fetch, 1 are counted".into()),
    ] {
        let row = w.row(&id, 0).await;
        let to = DeviceDeployment { substate: name.into(), ..row.clone() };
        let commit = Commit::update(row, to).quiet("a test").charge(name, Draw::Take(1));
        w.service().commit_device(&w.ctx, commit).await.unwrap();
        assert_eq!(w.flaws().await, [flaw]);
        let row = w.row(&id, 0).await;
        let to = DeviceDeployment { substate: String::new(), ..row.clone() };
        let commit = Commit::update(row, to).quiet("a test").charge(name, Draw::Give(1));
        w.service().commit_device(&w.ctx, commit).await.unwrap();
        assert_eq!(w.flaws().await, [""; 0]);
    }
}

#[tokio::test]
async fn statistics_that_were_kept_wrong_are_found() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "n", devices(1)).await.unwrap();
    w.told(0).await.unwrap();
    w.report(&id, 0, Status::Success).await.unwrap();
    let wrong = Tally { devices: 1, counts: [(Status::Failure, 1)].into(), ..Tally::default() };
    let keep = |was| Ok(logic::count(was, wrong.clone()));
    w.service().change(&w.ctx, &id, keep).await.unwrap();
    let flaws = w.flaws().await;
    assert!(matches!(&flaws[..], [flaw] if flaw.contains("its statistics are")), "{flaws:?}");
}

#[tokio::test]
async fn a_device_that_inventory_knows_otherwise_is_found() {
    let w = World::new().await;
    let ask = TestDevice::new(r#"{"mac":"1"}"#, 1).request();
    w.mender.auth().request("", &ask).await.unwrap_err();
    let all = w.mender.auth().devices(&w.ctx, DeviceFilter::default(), PageRequest::default());
    let known = all.await.unwrap().items.remove(0).device;
    w.mender.drain().await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    // Somebody told inventory what is yet to come.
    let told = [(known.id.clone(), known.version.0 + 1)];
    w.mender.inventory().set_statuses(&w.ctx, auth::Status::Rejected, &told).await.unwrap();
    let accepted = auth::Status::Accepted;
    w.mender.auth().decide(&w.ctx, &known.id, &known.sets[0].id, accepted).await.unwrap();
    w.mender.drain().await.unwrap();
    let flaw = format!("device {} is accepted, and inventory says otherwise", known.id);
    assert_eq!(w.flaws().await, [flaw]);
}
