//! What is long comes in parts.

use super::*;
use crate::deployments::{DeviceDeployment, Named, ShownDevice};

#[tokio::test]
async fn named_devices_come_deployment_by_deployment() {
    let w = World::new().await;
    let sizes = [1, MANY, CHUNK, CHUNK + 1];
    for (n, size) in sizes.into_iter().enumerate() {
        w.create(&w.ctx, &format!("d{n}"), devices(size)).await.unwrap();
    }
    let new = NewDeployment {
        name: "all".into(),
        artifact_name: "r".into(),
        force_installation: false,
        whom: Whom::All,
        course: Course::default(),
    };
    let id = w.mender.inventory();
    let status = crate::inventory::NewAttribute::new(
        crate::inventory::AttributeName::identity("status"),
        crate::inventory::Value::Text("accepted".into()),
    );
    id.create(&w.ctx, &device(0), vec![status]).await.unwrap();
    w.service().create(&w.ctx, new).await.unwrap();
    let page = PageRequest::new(1, 500);
    let (all, _) = w.service().deployments(&w.ctx, DeploymentQuery::default(), page).await.unwrap();
    let named = w.service().named(&w.ctx, all.iter().map(|shown| &shown.deployment));
    let named: Vec<Named> = named.try_collect().await.unwrap();
    let mut expected = Vec::new();
    for (nth, size) in sizes.into_iter().rev().enumerate() {
        for chunk in devices(size).chunks(CHUNK) {
            // The newest, which is for all devices, names none.
            expected.push(Named { nth: nth + 1, devices: DeviceIds::of(chunk) });
        }
    }
    assert_eq!(named, expected);
    let oldest = all.last().map(|shown| &shown.deployment).unwrap();
    let twice: Vec<Named> =
        w.service().named(&w.ctx, [oldest, oldest]).try_collect().await.unwrap();
    let devices = DeviceIds::of(&devices(1));
    assert_eq!(twice, [0, 1].map(|nth| Named { nth, devices: devices.clone() }));
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn all_records_come_some_at_a_time() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "large", devices(MANY)).await.unwrap();
    w.mender.drain().await.unwrap();
    let asked = [0, 3, CHUNK, MANY - 1];
    for n in asked {
        assert_eq!(w.told(n).await, Some(id.clone()));
    }
    w.report(&id, 3, Status::Success).await.unwrap();
    w.service().reset_history(&w.ctx, &device(3)).await.unwrap();
    let all = w.service().all_devices(&w.ctx, &id).await.unwrap();
    let parts: Vec<Vec<ShownDevice>> = all.try_collect().await.unwrap();
    assert!(parts.len() > MANY / CHUNK);
    let rows: Vec<DeviceDeployment> = parts.into_iter().flatten().map(|shown| shown.row).collect();
    let listed: Vec<usize> =
        (0..MANY).filter(|n| rows.iter().any(|row| row.device == device(*n))).collect();
    assert_eq!((listed, rows.len()), (vec![0, CHUNK, MANY - 1], 3));
    w.mender.drain().await.unwrap();
}
