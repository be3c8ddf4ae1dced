//! What does not fit together is found, of all areas.

use std::time::Duration;

use super::*;
use crate::{
    artifacts::{self, blob_of},
    auth::{self, DeviceFilter},
    blob::once,
    commit::{Commit, Draw},
    deployments::{DeviceDeployment, Stage, Tally},
    inventory::Facts,
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

    /// Has a device ask, which all areas hear of.
    async fn asked(&self) -> auth::Device {
        let ask = TestDevice::new(r#"{"mac":"1"}"#, 1).request();
        self.mender.auth().request("", &ask).await.unwrap_err();
        self.mender.drain().await.unwrap();
        let auth = self.mender.auth();
        let all = auth.devices(&self.ctx, DeviceFilter::default(), PageRequest::default());
        all.await.unwrap().items.remove(0).device
    }

    async fn accept(&self, device: &auth::Device) {
        let (auth, accepted) = (self.mender.auth(), auth::Status::Accepted);
        auth.decide(&self.ctx, &device.id, &device.sets[0].id, accepted).await.unwrap();
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
    let known = w.asked().await;
    assert_eq!(w.flaws().await, [""; 0]);
    // Somebody told inventory what is yet to come.
    let told = [(known.id.clone(), known.version.0 + 1)];
    w.mender.inventory().set_statuses(&w.ctx, auth::Status::Rejected, &told).await.unwrap();
    w.accept(&known).await;
    w.mender.drain().await.unwrap();
    let flaw = format!("device {} is accepted, and inventory says otherwise", known.id);
    assert_eq!(w.flaws().await, [flaw]);
}

#[tokio::test]
async fn a_status_that_inventory_missed_is_found_once_all_is_told() {
    let w = World::new().await;
    let device = w.asked().await;
    w.accept(&device).await;
    // It is on its way.
    assert_eq!(w.flaws().await, [""; 0]);
    w.mender.drain().await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    // As where a part of the database was brought back from yesterday.
    w.mender.inventory().remove(&w.ctx, &device.id).await.unwrap();
    let told = [(device.id.clone(), 1)];
    w.mender.inventory().set_statuses(&w.ctx, auth::Status::Pending, &told).await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    w.mender.drain().await.unwrap();
    let flaw = format!("device {} is accepted, and inventory says otherwise", device.id);
    assert_eq!(w.flaws().await, [flaw]);
}

#[tokio::test]
async fn a_device_that_inventory_lost_is_found_once_all_is_told() {
    let w = World::new().await;
    let device = w.asked().await;
    w.accept(&device).await;
    w.mender.drain().await.unwrap();
    w.mender.inventory().remove(&w.ctx, &device.id).await.unwrap();
    // Somebody is yet to hear of that.
    assert_eq!(w.flaws().await, [""; 0]);
    w.mender.drain().await.unwrap();
    let flaw = format!("device {} is accepted, and inventory does not know it", device.id);
    assert_eq!(w.flaws().await, [flaw]);
}

#[tokio::test]
async fn a_device_that_inventory_alone_knows_is_found_once_all_is_told() {
    let w = World::new().await;
    let device = w.asked().await;
    // What nobody told of is nobody else's business.
    w.mender.inventory().create(&w.ctx, &super::device(7), Vec::new()).await.unwrap();
    // One that leaves is looked for again in two minutes.
    w.mender.auth().decommission(&w.ctx, &device.id).await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    w.mender.drain().await.unwrap();
    let facts = Facts {
        revision: 1,
        status: auth::Status::Pending,
        identity: device.identity.attributes(),
        tier: device.tier,
        test: false,
    };
    w.mender.inventory().learn(&w.ctx, &device.id, &facts, None).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    w.time.advance(Duration::from_secs(130));
    w.mender.drain().await.unwrap();
    assert_eq!(w.flaws().await, [""; 0]);
    // Nobody looks for that any more.
    w.mender.inventory().learn(&w.ctx, &device.id, &facts, None).await.unwrap();
    w.mender.drain().await.unwrap();
    let flaw = format!("inventory knows device {}, and nobody authenticates it", device.id);
    assert_eq!(w.flaws().await, [flaw]);
}

#[tokio::test]
async fn bytes_of_artifacts_that_are_gone_or_cut_off_are_found() {
    let w = World::new().await;
    let release = w.mender.artifacts().release(&w.ctx, "r").await.unwrap();
    let artifact = &release.artifacts[0];
    let (id, size, tenant) = (&artifact.id, artifact.size, &w.ctx.tenant);
    let (blobs, key) = (w.mender.blobs(), blob_of(tenant, id).unwrap());
    assert_eq!(w.mender.lost_blobs(tenant).await.unwrap(), [""; 0]);
    blobs.put_blob(&key, once("")).await.unwrap();
    let flaw = format!("artifact {id} of r has {size} bytes, and 0 are there");
    assert_eq!(w.mender.lost_blobs(tenant).await.unwrap(), [flaw]);
    blobs.delete_blob(&key).await.unwrap();
    let flaw = format!("artifact {id} of r: its {size} bytes are gone");
    assert_eq!(w.mender.lost_blobs(tenant).await.unwrap(), [flaw]);
    // What left its release has its bytes for a day at most.
    w.mender.artifacts().delete_artifact(&w.ctx, id).await.unwrap();
    assert_eq!(w.mender.lost_blobs(tenant).await.unwrap(), [""; 0]);
}

/// Then clients say how long an artifact is, and nobody reads it.
#[tokio::test]
async fn what_was_not_verified_need_not_be_as_long_as_was_said() {
    let config = artifacts::Config { skip_verify: true, ..artifacts::Config::default() };
    let w = World::built(1, |builder| builder.artifacts_config(config)).await;
    let release = w.mender.artifacts().release(&w.ctx, "r").await.unwrap();
    let key = blob_of(&w.ctx.tenant, &release.artifacts[0].id).unwrap();
    w.mender.blobs().put_blob(&key, once("x")).await.unwrap();
    assert_eq!(w.mender.lost_blobs(&w.ctx.tenant).await.unwrap(), [""; 0]);
}
