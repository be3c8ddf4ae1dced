use mender_core::{
    DeviceId, Result,
    auth::Status,
    error::Kind,
    inventory::{
        AttributeName, Device, GroupName, How, NewAttribute, Op, Operand, Predicate, Store as _,
        Value,
    },
    testing::TestDevice,
};

use crate::crash::harness::{World, answer_or, use_cases};

fn id(name: &str) -> DeviceId {
    name.parse().unwrap()
}

/// A device that nobody authenticated.
fn free() -> DeviceId {
    id("free")
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn text(name: &str, text: &str) -> Vec<NewAttribute> {
    vec![NewAttribute::new(AttributeName::inventory(name), Value::Text(text.into()))]
}

async fn nothing(_: &World) {}

async fn report(w: &World, value: &str, how: How) -> Result<()> {
    w.mender.inventory().report(&w.ctx, &free(), text("a", value), how).await
}

async fn reported(w: &World) {
    report(w, "1", How::Merge).await.unwrap();
    w.mender.inventory().create(&w.ctx, &free(), text("b", "2")).await.unwrap();
}

async fn tag(w: &World, seen: Option<&str>) -> Result<()> {
    w.mender.inventory().tag(&w.ctx, &free(), text("a", "t"), How::Replace, seen).await
}

async fn stored(w: &World, id: &DeviceId) -> Option<Device> {
    w.stores.inventory_device(&w.ctx.tenant, id).await.unwrap()
}

/// Expects a value of the device, or none.
async fn expect(w: &World, scope: &str, name: &str, value: Option<&str>) {
    let device = stored(w, &free()).await.unwrap();
    let found = device.attributes.value(&AttributeName::new(scope, name)).cloned();
    assert_eq!(found, value.map(|value| Value::Text(value.into())));
}

async fn grouped(w: &World) {
    for n in 0..3 {
        let device = id(&format!("free{n}"));
        w.mender.inventory().create(&w.ctx, &device, text("a", "1")).await.unwrap();
        w.mender.inventory().set_group(&w.ctx, &device, &group("one")).await.unwrap();
    }
}

async fn members(w: &World, name: &str) -> usize {
    w.inventory().await.iter().filter(|device| device.group() == Some(name)).count()
}

fn device() -> TestDevice {
    TestDevice::new(r#"{"mac":"1"}"#, 1)
}

fn terms(value: &str) -> Vec<Predicate> {
    let value = Operand::Value(Value::Text(value.into()));
    vec![Predicate { name: AttributeName::inventory("a"), op: Op::Eq, value }]
}

async fn save_filter(w: &World) -> Result<()> {
    let answer = w.mender.inventory().create_filter(&w.ctx, "one", terms("1")).await;
    answer_or(answer.map(|_| ()), Kind::Conflict)
}

async fn saved(w: &World) {
    save_filter(w).await.unwrap();
}

async fn filters(w: &World) -> Vec<mender_core::inventory::Filter> {
    w.stores.filters(&w.ctx.tenant, 0, 10).await.unwrap()
}

use_cases! {
    the_first_report_of_a_device:
        given nothing,
        when async |w| report(w, "1", How::Merge).await,
        then async |w| expect(w, "inventory", "a", Some("1")).await;
    a_report_that_replaces_another:
        given reported,
        when async |w| report(w, "2", How::Replace).await,
        then async |w| {
            expect(w, "inventory", "a", Some("2")).await;
            expect(w, "inventory", "b", None).await;
        };
    clearing_what_was_reported:
        given reported,
        when async |w| w.mender.inventory().clear(&w.ctx, &free()).await,
        then async |w| expect(w, "inventory", "a", None).await;
    setting_tags:
        given reported,
        when async |w| tag(w, None).await,
        then async |w| expect(w, "tags", "a", Some("t")).await;
    setting_tags_that_were_seen:
        given async |w| {
            reported(w).await;
            w.mender.inventory().tag(&w.ctx, &free(), text("b", "t"), How::Merge, None).await.unwrap();
        },
        when async |w| {
            let seen = stored(w, &free()).await.and_then(|device| device.etag);
            tag(w, seen.as_deref()).await
        },
        then async |w| {
            expect(w, "tags", "a", Some("t")).await;
            expect(w, "tags", "b", None).await;
        };
    noting_alerts:
        given nothing,
        when async |w| w.mender.inventory().set_alerts(&w.ctx, &free(), 3).await,
        then async |w| assert!(stored(w, &free()).await.is_some());
    a_status_that_is_told:
        given reported,
        when async |w| {
            let told = [(free(), 7)];
            let answer = w.mender.inventory().set_statuses(&w.ctx, Status::Pending, &told).await;
            answer_or(answer.map(|_| ()), Kind::Conflict)
        },
        then async |w| expect(w, "identity", "status", Some("pending")).await;
    statuses_of_many:
        given reported,
        when async |w| {
            let told = [(free(), 7), (id("free1"), 1), (id("free2"), 2)];
            w.mender.inventory().set_statuses(&w.ctx, Status::Noauth, &told).await.map(|_| ())
        },
        then async |w| {
            let all = w.inventory().await;
            assert_eq!(all.iter().filter(|d| d.status() == Some(Status::Noauth)).count(), 3);
        };
    forgetting_devices:
        given grouped,
        when async |w| {
            let all = ["free0", "free2", "free9"].map(id);
            w.mender.inventory().remove_all(&w.ctx, &all).await.map(|_| ())
        },
        then async |w| assert_eq!(w.inventory().await.len(), 1);
    moving_devices_to_a_group:
        given grouped,
        when async |w| {
            let all = ["free0", "free1"].map(id);
            w.mender.inventory().move_to_group(&w.ctx, &group("two"), &all).await.map(|_| ())
        },
        then async |w| assert_eq!((members(w, "one").await, members(w, "two").await), (1, 2));
    clearing_a_group:
        given grouped,
        when async |w| {
            w.mender.inventory().clear_group(&w.ctx, &group("one")).await.map(|_| ())
        },
        then async |w| assert_eq!(members(w, "one").await, 0);
    grouping_a_device_that_is_let_in:
        given async |w| w.accepted(&device()).await,
        when async |w| {
            let known = w.find(&device()).await.unwrap();
            w.mender.inventory().set_group(&w.ctx, &known.id, &group("one")).await
        },
        then async |w| {
            assert_eq!(w.find(&device()).await.unwrap().group.as_deref(), Some("one"));
        };
    decommissioning_a_device_that_reported:
        given async |w| {
            w.accepted(&device()).await;
            w.mender.drain().await.unwrap();
            let known = w.find(&device()).await.unwrap();
            let inventory = w.mender.inventory();
            inventory.report(&w.ctx, &known.id, text("a", "1"), How::Merge).await.unwrap();
            inventory.set_group(&w.ctx, &known.id, &group("one")).await.unwrap();
        },
        when async |w| {
            let Some(known) = w.find(&device()).await else {
                return Ok(());
            };
            w.mender.auth().decommission(&w.ctx, &known.id).await
        },
        then async |w| assert_eq!(w.inventory().await, []);
    saving_a_filter:
        given nothing,
        when save_filter,
        then async |w| assert_eq!(filters(w).await[0].terms, terms("1"));
    changing_a_filter:
        given saved,
        when async |w| {
            let saved = filters(w).await.remove(0).id;
            w.mender.inventory().change_filter(&w.ctx, &saved, "two", &terms("2")).await
        },
        then async |w| assert_eq!(filters(w).await[0].terms, terms("2"));
    deleting_a_filter:
        given saved,
        when async |w| {
            let Some(saved) = filters(w).await.pop() else {
                return Ok(());
            };
            w.mender.inventory().delete_filter(&w.ctx, &saved.id).await
        },
        then async |w| assert_eq!(filters(w).await, []);
}
