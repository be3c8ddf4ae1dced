//! Users of some groups, and of releases with some tags.

use super::*;
use crate::{
    deployments::{DeviceIds, Message, NewConfiguration},
    search::RecordSearch,
};

impl World {
    /// Devices of these groups, by their numbers; one without is in none.
    async fn grouped(&self, groups: &[Option<&str>]) {
        let inventory = self.mender.inventory();
        let accepted = || {
            let name = crate::inventory::AttributeName::identity("status");
            let value = crate::inventory::Value::Text("accepted".into());
            vec![crate::inventory::NewAttribute::new(name, value)]
        };
        for (n, group) in groups.iter().enumerate() {
            inventory.create(&self.ctx, &device(n), accepted()).await.unwrap();
            if let Some(group) = group {
                let group = group.parse().unwrap();
                inventory.set_group(&self.ctx, &device(n), &group).await.unwrap();
            }
        }
    }

    fn limited(&self, groups: Option<&[&str]>, tags: Option<&[&str]>) -> Ctx {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let scope = Scope::Only { groups: groups.map(owned), tags: tags.map(owned) };
        Ctx::new(self.ctx.tenant.clone(), Actor::System, scope)
    }

    async fn orders_for(&self, ctx: &Ctx, whom: Whom) -> Result<DeploymentId> {
        let name = format!("{whom:?}").chars().take(200).collect();
        let new = NewDeployment {
            name,
            artifact_name: "r".into(),
            force_installation: false,
            whom,
            course: Course::default(),
        };
        self.service().create(ctx, new).await
    }

    async fn tag(&self, release: &str, tags: &[&str]) {
        let tags: Vec<_> =
            tags.iter().map(|tag| crate::artifacts::Tag::new(tag).unwrap()).collect();
        self.mender.artifacts().tag(&self.ctx, release, &tags).await.unwrap();
    }
}

#[tokio::test]
async fn users_of_groups_deploy_to_one_of_them_or_to_one_device() {
    let w = World::new().await;
    w.grouped(&[Some("a"), Some("a"), Some("b"), None]).await;
    let term = crate::inventory::Predicate {
        name: crate::inventory::AttributeName::identity("status"),
        op: crate::inventory::Op::Eq,
        value: crate::inventory::Operand::Value(crate::inventory::Value::Text("accepted".into())),
    };
    let filter = w.mender.inventory().create_filter(&w.ctx, "f", vec![term]).await.unwrap();
    let of_a = w.limited(Some(&["a", "empty"]), None);
    let one = |n| Whom::Devices(vec![device(n)]);
    let refused = [
        one(2),
        one(3),
        one(9),
        Whom::Devices(devices(2)),
        Whom::Devices(Vec::new()),
        Whom::All,
        Whom::Group("b".into()),
        // Whether others have devices is not told.
        Whom::Group("ghost".into()),
        Whom::Filter { id: filter.clone(), max_devices: 0 },
        Whom::Filter { id: "ghost".parse().unwrap(), max_devices: 0 },
    ];
    for whom in refused {
        let refused = refusal(w.orders_for(&of_a, whom.clone()).await);
        assert_eq!(refused.0, Kind::Forbidden, "{whom:?}");
    }
    let nobody = refusal(w.orders_for(&of_a, Whom::Group("empty".into())).await);
    assert_eq!(nobody.0, Kind::Invalid { field: "devices" });
    let twice = Whom::Devices(vec![device(0), device(0)]);
    for whom in [one(1), twice, Whom::Group("a".into())] {
        w.orders_for(&of_a, whom).await.unwrap();
    }
    let none = w.limited(Some(&[]), None);
    assert_eq!(refusal(w.orders_for(&none, one(0)).await).0, Kind::Forbidden);
    for whom in [Whom::Devices(devices(2)), Whom::All, Whom::Group("b".into())] {
        w.orders_for(&w.ctx, whom).await.unwrap();
    }
    let configuration = |id: &str, n| NewConfiguration {
        id: id.parse().unwrap(),
        device: device(n),
        name: "c".into(),
        configuration: "{}".into(),
        retries: 0,
        control_map: None,
    };
    w.service().configure(&of_a, configuration("c1", 0)).await.unwrap();
    let refused = w.service().configure(&of_a, configuration("c2", 2)).await;
    assert_eq!(refusal(refused).0, Kind::Forbidden);
}

#[tokio::test]
async fn users_of_groups_see_deployments_of_these_with_all_their_devices() {
    let w = World::new().await;
    w.grouped(&[Some("a"), Some("a"), Some("b"), None]).await;
    let (service, page) = (w.service(), PageRequest::default());
    let group = |name: &str| Whom::Group(name.into());
    let own = w.orders_for(&w.ctx, group("a")).await.unwrap();
    let hidden = [group("b"), Whom::All, Whom::Devices(devices(2))];
    let mut others = Vec::new();
    for whom in hidden {
        others.push(w.orders_for(&w.ctx, whom).await.unwrap());
    }
    assert_eq!(w.told(0).await.as_ref(), Some(&own));
    assert_eq!(w.told(1).await.as_ref(), Some(&own));
    w.report(&own, 0, Status::Failure).await.unwrap();
    let line = Message { timestamp: "t".into(), level: "l".into(), message: "m".into() };
    service.put_log(&w.ctx, &own, &device(0), vec![line]).await.unwrap();
    // One of them has left the group since.
    let b = "b".parse().unwrap();
    w.mender.inventory().set_group(&w.ctx, &device(1), &b).await.unwrap();

    let of_a = w.limited(Some(&["a"]), None);
    let query = DeploymentQuery::default;
    let (listed, total) = service.deployments(&of_a, query(), page).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|shown| shown.deployment.id).collect();
    assert_eq!((listed, total), (vec![own.clone()], 1));
    let mut all = others.clone();
    all.push(own.clone());
    let counted = service.statistics(&of_a, &all).await.unwrap();
    let counted: Vec<_> = counted.into_iter().map(|(id, _)| id).collect();
    assert_eq!(counted, std::slice::from_ref(&own));
    assert_eq!(service.devices(&of_a, &own, &[], page).await.unwrap().1, 2);
    let all: Vec<_> = service.all_devices(&of_a, &own).await.unwrap().try_concat().await.unwrap();
    assert_eq!(all.len(), 2);
    let targets: Vec<_> = service.targets(&of_a, &own).await.unwrap().try_collect().await.unwrap();
    assert_eq!(targets, [DeviceIds::of(&devices(2))]);
    service.log(&of_a, &own, &device(0)).await.unwrap();
    let elsewhere = refusal(service.log(&of_a, &own, &device(1)).await);
    assert_eq!(elsewhere.0, Kind::Forbidden);
    for id in &others {
        let refused = [
            refusal(service.deployment(&of_a, id).await),
            refusal(service.devices(&of_a, id, &[], page).await),
            refusal(service.all_devices(&of_a, id).await),
            refusal(service.targets(&of_a, id).await),
            refusal(service.log(&of_a, id, &device(0)).await),
            refusal(service.check_reach(&of_a, id, &device(0)).await),
            refusal(service.set_control_map(&of_a, id, Default::default()).await),
            refusal(service.pause(&of_a, id, "").await),
            refusal(service.resume(&of_a, id).await),
            refusal(service.abort(&of_a, id).await),
        ];
        assert!(refused.iter().all(|(kind, _)| *kind == Kind::Forbidden), "{id}: {refused:?}");
    }
    for n in [1, 2, 3, 9] {
        let refused = [
            refusal(service.history(&of_a, &device(n), &[], page).await),
            refusal(service.explain(&of_a, &device(n)).await),
            refusal(service.abort_device(&of_a, &device(n)).await),
            refusal(service.reset_history(&of_a, &device(n)).await),
        ];
        assert!(refused.iter().all(|(kind, _)| *kind == Kind::Forbidden), "{n}: {refused:?}");
    }
    assert_eq!(service.history(&of_a, &device(0), &[], page).await.unwrap().1, 1);
    service.explain(&of_a, &device(0)).await.unwrap();
    service.abort(&of_a, &own).await.unwrap();
}

#[tokio::test]
async fn users_of_tags_deploy_releases_that_have_one_of_them() {
    let w = World::new().await;
    let of_beta = w.limited(None, Some(&["beta", "other"]));
    let one = |n| Whom::Devices(vec![device(n)]);
    assert_eq!(refusal(w.orders_for(&of_beta, one(0)).await).0, Kind::Forbidden);
    // Whether there is such a release is not told.
    let ghost = NewDeployment {
        name: "d".into(),
        artifact_name: "ghost".into(),
        force_installation: false,
        whom: one(0),
        course: Course::default(),
    };
    let service = w.service();
    assert_eq!(refusal(service.create(&of_beta, ghost.clone()).await).0, Kind::Forbidden);
    let unlimited = refusal(service.create(&w.ctx, ghost).await);
    assert_eq!(unlimited.0, Kind::Invalid { field: "release" });
    w.tag("r", &["alpha", "beta"]).await;
    let id = w.orders_for(&of_beta, one(0)).await.unwrap();
    // Deployments are seen whatever their release.
    w.tag("r", &["alpha"]).await;
    service.deployment(&of_beta, &id).await.unwrap();
    assert_eq!(refusal(w.orders_for(&of_beta, one(1)).await).0, Kind::Forbidden);
    let none = w.limited(None, Some(&[]));
    assert_eq!(refusal(w.orders_for(&none, one(1)).await).0, Kind::Forbidden);
    // Both limits hold.
    w.grouped(&[Some("a"), Some("b")]).await;
    w.tag("r", &["beta"]).await;
    let both = w.limited(Some(&["b"]), Some(&["beta"]));
    assert_eq!(refusal(w.orders_for(&both, one(0)).await).0, Kind::Forbidden);
    w.orders_for(&both, one(1)).await.unwrap();
}

#[tokio::test]
async fn users_of_groups_get_reports_of_their_deployments() {
    let w = World::new().await;
    w.grouped(&[Some("a"), Some("b")]).await;
    for group in ["a", "b"] {
        w.orders_for(&w.ctx, Whom::Group(group.parse().unwrap())).await.unwrap();
    }
    assert!(w.told(0).await.is_some() && w.told(1).await.is_some());
    let page = PageRequest { number: 1, size: 20 };
    for devices in [None, Some(vec![device(0), device(1)])] {
        let wanted = RecordSearch { devices, ..RecordSearch::default() };
        for (groups, seen) in [(&["a"][..], vec![device(0)]), (&["c"], vec![]), (&[], vec![])] {
            let limited = w.limited(Some(groups), None);
            let found = w.mender.search().records(&limited, &wanted, page).await.unwrap();
            let devices: Vec<_> =
                found.records.into_iter().map(|found| found.device.row.device).collect();
            assert_eq!(devices, seen, "{groups:?}");
        }
    }
}
