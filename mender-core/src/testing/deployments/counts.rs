#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::collections::BTreeMap;

use crate::{
    deployments::{DeploymentId, DeviceDeployment, Late, Stage, Status},
    id::TenantId,
    testing::{
        contract::{Harness, claims},
        deployments::{
            made::{deployment, full, record, waiting},
            put,
            rows::{get_row, put_row},
        },
        fixtures::{at, id, other_tenant, tenant},
    },
};

claims!["deployments":
    late_reports_are_counted_by_what_was_and_what_is,
    a_deployment_has_begun_once_a_record_says_so,
    closing_ends_so_many_rows_that_hold_no_place,
];

async fn late_reports_are_counted_by_what_was_and_what_is(h: &Harness) {
    let (t, x): (TenantId, DeploymentId) = (tenant(), id("x"));
    let late =
        |device: &str, was, is| DeviceDeployment { late: Some(was), ..record("x", device, is) };
    let replaced =
        DeviceDeployment { replaced: true, ..late("f", Status::Failure, Status::Success) };
    let rows = [
        record("x", "a", Status::Success),
        late("b", Status::Failure, Status::Success),
        late("c", Status::Failure, Status::Success),
        late("d", Status::Success, Status::Downloading),
        late("e", Status::Success, Status::Success),
        replaced,
        DeviceDeployment { deleted: Some(at(1)), ..late("g", Status::NoArtifact, Status::Failure) },
        DeviceDeployment { late: Some(Status::Failure), ..waiting("x", "h") },
        DeviceDeployment {
            late: Some(Status::Failure),
            ..record("y", "a", Status::AlreadyInstalled)
        },
    ];
    for row in &rows {
        put_row(h, row).await;
    }
    let expected: Late = [
        ((Status::Failure, Status::Success), 2),
        ((Status::Success, Status::Downloading), 1),
        ((Status::Success, Status::Success), 1),
        ((Status::NoArtifact, Status::Failure), 1),
    ]
    .into();
    let ids = [x.clone(), id("ghost"), x.clone()];
    let found = h.stores.late(&t, &ids).await.unwrap();
    assert_eq!(found, BTreeMap::from([(x.clone(), expected.clone())]));
    let tally = h.stores.tallies(&t, &ids).await.unwrap().remove(&x).unwrap();
    assert_eq!(tally.late, expected);
    let end = tally.clone().at_end();
    assert_eq!(
        end.counts,
        [(Status::Success, 3), (Status::Failure, 2), (Status::NoArtifact, 1)].into()
    );
    assert_eq!(end.with_late(expected), tally);
    assert_eq!(h.stores.late(&t, &[id("y"), x]).await.unwrap().len(), 2);
    assert_eq!(h.stores.late(&t, &[]).await.unwrap(), BTreeMap::new());
    assert_eq!(h.stores.late(&other_tenant(), &ids).await.unwrap(), BTreeMap::new());
}

async fn a_deployment_has_begun_once_a_record_says_so(h: &Harness) {
    let t = tenant();
    let begun = async |t: &TenantId| {
        let ids = Status::ALL.map(|status| id(status.as_str()));
        let mut begun =
            h.stores.begun(t, &[&ids[..], &ids[..1], &[id("ghost")]].concat()).await.unwrap();
        begun.sort();
        begun
    };
    for status in Status::ALL {
        let deployment = deployment(status.as_str(), 1);
        put(h, &deployment).await;
        put_row(h, &record(status.as_str(), "a", Status::Pending)).await;
        put_row(h, &waiting(status.as_str(), "b")).await;
    }
    // It counts no more, or was never seen.
    let old = record("success", "c", Status::Success);
    put_row(h, &DeviceDeployment { replaced: true, ..old }).await;
    put_row(
        h,
        &DeviceDeployment { stage: Stage::Dropped, ..record("failure", "c", Status::Failure) },
    )
    .await;
    assert_eq!(begun(&t).await, []);
    for status in Status::ALL {
        put_row(h, &record(status.as_str(), "d", status)).await;
    }
    // Without a deployment there is nothing to tell of.
    put_row(h, &record("ghost", "d", Status::Success)).await;
    let expected = Status::ALL.into_iter().filter(|status| status.is_begun());
    let mut expected: Vec<DeploymentId> = expected.map(|status| id(status.as_str())).collect();
    expected.sort();
    assert_eq!(begun(&t).await, expected);
    assert_eq!(begun(&other_tenant()).await, []);
    assert_eq!(h.stores.begun(&t, &[]).await.unwrap(), []);
}

async fn closing_ends_so_many_rows_that_hold_no_place(h: &Harness) {
    let (t, x): (TenantId, DeploymentId) = (tenant(), id("x"));
    let fetching = DeviceDeployment { fetching: true, ..record("x", "c", Status::Downloading) };
    let sharing = DeviceDeployment { shares: true, ..record("x", "h", Status::Downloading) };
    let rows = [
        waiting("x", "a"),
        record("x", "b", Status::Installing),
        fetching.clone(),
        record("x", "d", Status::Success),
        DeviceDeployment { deleted: Some(at(1)), ..record("x", "e", Status::Pending) },
        record("x", "f", Status::PauseBeforeRebooting),
        full("x", "g"),
        sharing.clone(),
        record("y", "a", Status::Installing),
    ];
    for row in &rows {
        put_row(h, row).await;
    }
    h.stores.fill(&other_tenant(), &rows[..1]).await.unwrap();
    let close = async |limit| h.stores.close_rows(&t, &x, limit).await.unwrap();
    let open = rows.iter().filter(|row| row.deployment == x && row.is_open() && !row.has_place());
    let open = open.count();
    assert_eq!(close(0).await, 0);
    assert_eq!(close(2).await, 2);
    assert_eq!(close(usize::MAX).await, open - 2);
    assert_eq!(close(9).await, 0);
    for row in rows {
        let of = row.deployment.as_str();
        let found = get_row(h, &t, of, row.device.as_str()).await.unwrap();
        let is_closed = row.deployment == x && row.is_open() && !row.has_place();
        let version = if is_closed { row.version.next() } else { row.version };
        let expected = if is_closed { row.closed() } else { row };
        assert_eq!(found, DeviceDeployment { version, ..expected });
    }
    assert_eq!(h.stores.open_rows(&t, &x, None, 9).await.unwrap(), [fetching, sharing]);
    // It is nothing that its device has to do with any more.
    assert_eq!(h.stores.current(&t, &id("b")).await.unwrap(), []);
    assert_eq!(h.stores.current(&other_tenant(), &id("a")).await.unwrap().len(), 1);
}
