use serde_json::json;

use super::{Kind, Known, Op, Status, TestDevice, Time, Value, World, id, kind, term, text};
use crate::{auth::Tier, inventory::Statuses};

fn device() -> TestDevice {
    TestDevice::new(r#"{"mac":"00:01","n":7,"list":["a","b"],"status":"liar","deep":{"x":1}}"#, 1)
}

impl World {
    async fn set(&self, status: Status, all: &[(&str, i64)]) -> crate::error::Result<Statuses> {
        let all: Vec<_> = all.iter().map(|(name, revision)| (id(name), *revision)).collect();
        self.inventory().set_statuses(&self.ctx, status, &all).await
    }

    async fn contact(&self, known: &Known) {
        let token = self.mender.auth().request("", &device().request()).await.unwrap();
        self.mender.auth().verify(&token, "").await.unwrap();
        self.mender.auth().record_contacts().await.unwrap();
        self.mender.drain().await.unwrap();
        assert_eq!(self.value(known.id.as_str(), "identity/status").await, Some(text("accepted")));
    }
}

#[tokio::test]
async fn a_status_applies_where_its_revision_is_newer() {
    let w = World::new();
    let one = |matched, created| Statuses { matched, created };
    assert_eq!(w.set(Status::Pending, &[]).await.unwrap(), one(0, 0));
    assert_eq!(w.set(Status::Pending, &[("a", 3)]).await.unwrap(), one(1, 0));
    assert_eq!(w.device("a").await.revision, 3);
    for old in [3, 2, 0, -1] {
        assert_eq!(kind(w.set(Status::Accepted, &[("a", old)]).await), Kind::Conflict);
    }
    assert_eq!(w.device("a").await.status(), Some(Status::Pending));
    assert_eq!(w.set(Status::Accepted, &[("a", 4)]).await.unwrap(), one(1, 0));
    assert_eq!(w.device("a").await.status(), Some(Status::Accepted));
    let all = [("a", 4), ("b", 1), ("c", 9)];
    assert_eq!(w.set(Status::Rejected, &all).await.unwrap(), one(0, 2));
    let all = [("a", 5), ("b", 1), ("c", 10)];
    assert_eq!(w.set(Status::Noauth, &all).await.unwrap(), one(2, 0));
    let statuses =
        [("a", Status::Noauth, 5), ("b", Status::Rejected, 1), ("c", Status::Noauth, 10)];
    for (name, status, revision) in statuses {
        let device = w.device(name).await;
        assert_eq!((device.status(), device.revision), (Some(status), revision));
    }
}

#[tokio::test]
async fn a_device_that_reported_first_takes_any_status() {
    let w = World::new();
    w.report("a", &[("x", "1")]).await;
    w.set(Status::Accepted, &[("a", 1)]).await.unwrap();
    assert_eq!(w.device("a").await.status(), Some(Status::Accepted));
    assert_eq!(w.value("a", "inventory/x").await, Some(text("1")));
}

#[tokio::test]
async fn devices_are_forgotten_once() {
    let w = World::new();
    w.report("a", &[("x", "1")]).await;
    w.report("b", &[("x", "1")]).await;
    let all = ["a", "ghost", "b"].map(id);
    assert_eq!(w.inventory().remove_all(&w.ctx, &all).await.unwrap(), 2);
    assert_eq!(w.inventory().remove_all(&w.ctx, &all).await.unwrap(), 0);
    assert!(!w.inventory().remove(&w.ctx, &id("a")).await.unwrap());
    w.report("a", &[("y", "1")]).await;
    assert_eq!(w.value("a", "inventory/x").await, None);
}

#[tokio::test]
async fn what_device_authentication_knows_is_copied() {
    let w = World::new();
    let known = w.ask(&device()).await;
    w.mender.drain().await.unwrap();
    let name = known.id.as_str();
    let identity = [
        ("status", text("pending")),
        ("mac", text("00:01")),
        ("n", Value::Number(7.0)),
        ("list", Value::Texts(vec!["a".into(), "b".into()])),
        ("deep", text(r#"{"x":1}"#)),
    ];
    let copied = w.device(name).await;
    assert_eq!(copied.attributes.count("identity"), identity.len());
    for (attribute, value) in identity {
        assert_eq!(w.value(name, &format!("identity/{attribute}")).await, Some(value));
    }
    assert_eq!((copied.updated(), copied.group()), (None, None));
    assert_eq!(w.value(name, "system/tier").await, None);
    assert_eq!(w.value(name, "system/test_device").await, None);

    for status in [Status::Accepted, Status::Rejected] {
        w.decide(&known, status).await;
        w.mender.drain().await.unwrap();
        assert_eq!(w.device(name).await.status(), Some(status));
    }
    w.decide(&known, Status::Accepted).await;
    for (test, value) in [(true, Some(Value::Flag(true))), (false, None)] {
        w.mender.auth().flag(&w.ctx, &known.id, test).await.unwrap();
        w.mender.drain().await.unwrap();
        assert_eq!(w.value(name, "system/test_device").await, value);
        let found = w.filter(vec![term("system/test_device", Op::Eq, json!("true"))]).await;
        assert_eq!(found.len(), usize::from(test));
        let found = w.filter(vec![term("system/test_device", Op::Eq, json!(true))]).await;
        assert_eq!(found.len(), usize::from(test));
    }
    let revision = w.device(name).await.revision;
    assert_eq!(revision, w.mender.auth().device(&w.ctx, &known.id).await.unwrap().device.version.0);
}

#[tokio::test]
async fn a_special_tier_is_an_attribute() {
    let time = crate::testing::TestEnv::seeded(1);
    let config = crate::auth::Config { tiers: true, ..crate::auth::Config::default() };
    let mender = crate::Mender::in_memory().env(time.env()).auth_config(config).build().unwrap();
    let w = World { mender, time, ctx: crate::Ctx::system(Default::default()) };
    let known = w.accepted(&TestDevice::new(r#"{"mac":"1"}"#, 1).of_tier(Tier::Micro)).await;
    assert_eq!(w.value(known.id.as_str(), "system/tier").await, Some(text("micro")));
}

#[tokio::test]
async fn the_first_contact_of_a_day_is_an_attribute() {
    let w = World::new();
    let known = w.accepted(&device()).await;
    let name = known.id.as_str();
    w.contact(&known).await;
    let first = w.now();
    assert_eq!(w.value(name, "system/check_in_time").await, Some(Value::Time(first)));
    w.pass(1);
    w.contact(&known).await;
    assert_eq!(w.value(name, "system/check_in_time").await, Some(Value::Time(first)));
    w.pass(20);
    w.contact(&known).await;
    assert_eq!(w.value(name, "system/check_in_time").await, Some(Value::Time(w.now())));
    let since = |time: Time| vec![term("system/check_in_time", Op::Gte, json!(time.to_string()))];
    assert_eq!(w.filter(since(w.now())).await, [name]);
    assert_eq!(w.filter(since(Time(w.now().0 + 1))).await, [""; 0]);
}

#[tokio::test]
async fn a_decommissioned_device_is_forgotten_and_late_events_do_not_bring_it_back() {
    let w = World::new();
    let known = w.ask(&device()).await;
    w.decide(&known, Status::Accepted).await;
    // Nobody has heard of it yet.
    w.mender.auth().decommission(&w.ctx, &known.id).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(kind(w.inventory().device(&w.ctx, &known.id).await), Kind::NotFound);

    let known = w.accepted(&device()).await;
    w.report(known.id.as_str(), &[("a", "1")]).await;
    w.decide(&known, Status::Rejected).await;
    w.mender.auth().decommission(&w.ctx, &known.id).await.unwrap();
    for _ in 0..3 {
        w.pass(1);
        w.mender.drain().await.unwrap();
        assert_eq!(kind(w.inventory().device(&w.ctx, &known.id).await), Kind::NotFound);
    }
    assert_eq!(w.mender.undelivered().await.unwrap(), 0);
}

#[tokio::test]
async fn a_record_that_is_made_anew_is_completed_by_the_next_contact_and_in_no_group() {
    let w = World::new();
    let known = w.accepted(&device()).await;
    let name = known.id.as_str();
    w.inventory().set_group(&w.ctx, &known.id, &"g".parse().unwrap()).await.unwrap();
    w.mender.drain().await.unwrap();
    let group = async || w.mender.auth().device(&w.ctx, &known.id).await.unwrap().device.group;
    assert_eq!(group().await.as_deref(), Some("g"));
    w.inventory().remove(&w.ctx, &known.id).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(group().await, None);
    w.tick();
    w.report(name, &[("x", "1")]).await;
    w.mender.drain().await.unwrap();
    assert_eq!(w.value(name, "identity/status").await, None);
    w.contact(&known).await;
    assert_eq!(w.value(name, "identity/mac").await, Some(text("00:01")));
}
