use super::{Kind, TestDevice, World, id, kind, page, text};
use crate::{
    auth::DeviceFilter,
    inventory::{GroupName, Moved},
};

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

/// Devices `a` to `d`, of which `a` and `b` are in the group `one`.
async fn world() -> World {
    let w = World::new();
    for name in ["a", "b", "c", "d"] {
        w.report(name, &[("x", "1")]).await;
    }
    for name in ["a", "b"] {
        w.inventory().set_group(&w.ctx, &id(name), &group("one")).await.unwrap();
    }
    w
}

impl World {
    async fn members(&self, name: &str) -> Vec<String> {
        match self.inventory().group_devices(&self.ctx, name, page()).await {
            Ok((ids, total)) => {
                assert_eq!(total, ids.len() as u64);
                ids.iter().map(ToString::to_string).collect()
            }
            Err(error) => {
                assert_eq!(error.kind, Kind::NotFound);
                Vec::new()
            }
        }
    }

    async fn groups(&self) -> Vec<String> {
        self.inventory().groups(&self.ctx, None).await.unwrap()
    }
}

#[tokio::test]
async fn a_group_is_there_as_long_as_a_device_is_in_it() {
    let w = world().await;
    let inventory = w.inventory();
    assert_eq!(w.groups().await, ["one"]);
    assert_eq!(w.members("one").await, ["a", "b"]);
    inventory.set_group(&w.ctx, &id("a"), &group("two")).await.unwrap();
    assert_eq!(w.groups().await, ["one", "two"]);
    assert_eq!(w.members("one").await, ["b"]);
    let other = inventory.unset_group(&w.ctx, &id("b"), "two").await;
    assert_eq!(kind(other), Kind::NotFound);
    inventory.unset_group(&w.ctx, &id("b"), "one").await.unwrap();
    assert_eq!(w.groups().await, ["two"]);
    assert_eq!(w.members("one").await, [""; 0]);
    for answer in [
        inventory.set_group(&w.ctx, &id("ghost"), &group("two")).await,
        inventory.unset_group(&w.ctx, &id("ghost"), "two").await,
        inventory.unset_group(&w.ctx, &id("b"), "two").await,
    ] {
        assert_eq!(kind(answer), Kind::NotFound);
    }
}

#[tokio::test]
async fn a_move_leaves_everything_else_as_it_was() {
    let w = world().await;
    let was = w.device("c").await;
    w.pass(1);
    w.inventory().set_group(&w.ctx, &id("c"), &group("one")).await.unwrap();
    let moved = w.device("c").await;
    assert_eq!((moved.updated(), &moved.etag), (was.updated(), &was.etag));
    w.inventory().set_group(&w.ctx, &id("c"), &group("one")).await.unwrap();
    assert_eq!(w.device("c").await, moved, "nothing to write");
}

#[tokio::test]
async fn moves_of_many_count_what_is_known_and_what_changed() {
    let w = world().await;
    let ids = ["a", "c", "ghost", "c"].map(id);
    let moved = w.inventory().move_to_group(&w.ctx, &group("one"), &ids).await.unwrap();
    assert_eq!(moved, Moved { matched: 2, updated: 1 });
    assert_eq!(w.members("one").await, ["a", "b", "c"]);
    let ids = ["a", "d", "ghost", "a"].map(id);
    let left = w.inventory().remove_from_group(&w.ctx, &group("one"), &ids).await.unwrap();
    assert_eq!(left, Moved { matched: 1, updated: 1 });
    assert_eq!(w.members("one").await, ["b", "c"]);
}

#[tokio::test]
async fn a_cleared_group_is_no_more() {
    let w = world().await;
    w.inventory().set_group(&w.ctx, &id("c"), &group("two")).await.unwrap();
    let cleared = w.inventory().clear_group(&w.ctx, &group("one")).await.unwrap();
    assert_eq!(cleared, Moved { matched: 2, updated: 2 });
    assert_eq!(w.groups().await, ["two"]);
    let again = w.inventory().clear_group(&w.ctx, &group("one")).await.unwrap();
    assert_eq!(again, Moved::default());
    // More than one walk reads at a time.
    for n in 0..501 {
        w.write(&format!("many{n}"), "system/group", text("one")).await;
    }
    let cleared = w.inventory().clear_group(&w.ctx, &group("one")).await.unwrap();
    assert_eq!(cleared, Moved { matched: 501, updated: 501 });
}

#[tokio::test]
async fn groups_of_a_status_are_those_of_its_devices() {
    let w = world().await;
    w.write("a", "identity/status", text("accepted")).await;
    w.write("c", "identity/status", text("pending")).await;
    w.inventory().set_group(&w.ctx, &id("c"), &group("two")).await.unwrap();
    for (status, groups) in [("accepted", vec!["one"]), ("pending", vec!["two"]), ("x", vec![])] {
        assert_eq!(w.inventory().groups(&w.ctx, Some(status)).await.unwrap(), groups);
    }
}

#[tokio::test]
async fn devices_are_in_groups_where_each_of_them_is() {
    let w = world().await;
    let are = async |ids: &[&str], groups: &[&str]| {
        let ids: Vec<_> = ids.iter().map(|name| id(name)).collect();
        let groups: Vec<_> = groups.iter().map(|name| (*name).to_owned()).collect();
        w.inventory().are_in_groups(&w.ctx, &ids, &groups).await.unwrap()
    };
    assert!(are(&["a", "b", "a"], &["two", "one"]).await);
    assert!(!are(&["a", "c"], &["one"]).await);
    assert!(!are(&["a", "ghost"], &["one"]).await);
    assert!(!are(&["a"], &["two"]).await);
    assert!(!are(&["a"], &[]).await);
}

#[tokio::test]
async fn device_authentication_knows_the_group_and_its_scopes_follow() {
    let w = World::new();
    let known = w.accepted(&TestDevice::new(r#"{"mac":"1"}"#, 1)).await;
    let auth = w.mender.auth();
    for name in [Some("one"), Some("two"), None] {
        match name {
            Some(name) => {
                w.inventory().set_group(&w.ctx, &known.id, &group(name)).await.unwrap();
            }
            None => w.inventory().unset_group(&w.ctx, &known.id, "two").await.unwrap(),
        }
        w.mender.drain().await.unwrap();
        let device = auth.device(&w.ctx, &known.id).await.unwrap().device;
        assert_eq!(device.group.as_deref(), name);
        let limited = w.limited(&["one"]);
        let seen = auth.devices(&limited, DeviceFilter::default(), page()).await.unwrap();
        assert_eq!(seen.items.len(), usize::from(name == Some("one")));
    }
    assert_eq!(w.mender.undelivered().await.unwrap(), 0);
}

#[tokio::test]
async fn users_of_some_groups_see_and_change_no_other_device() {
    let w = world().await;
    w.inventory().set_group(&w.ctx, &id("c"), &group("two")).await.unwrap();
    let (one, inventory) = (w.limited(&["one"]), w.inventory());
    assert_eq!(inventory.groups(&one, None).await.unwrap(), ["one"]);
    assert_eq!(inventory.groups(&one, Some("accepted")).await.unwrap(), [""; 0]);
    assert_eq!(inventory.group_devices(&one, "one", page()).await.unwrap().1, 2);
    assert_eq!(kind(inventory.group_devices(&one, "two", page()).await), Kind::NotFound);
    inventory.device(&one, &id("a")).await.unwrap();
    for name in ["c", "d"] {
        let device = &id(name);
        for answer in [
            inventory.device(&one, device).await.map(|_| ()),
            inventory.set_group(&one, device, &group("one")).await,
            inventory.unset_group(&one, device, "two").await,
            inventory.tag(&one, device, vec![], super::How::Replace, None).await,
            inventory.clear(&one, device).await,
            inventory.remove(&one, device).await.map(|_| ()),
            inventory.move_to_group(&one, &group("one"), &[id("a"), id(name)]).await.map(|_| ()),
        ] {
            assert_eq!(kind(answer), Kind::Forbidden);
        }
    }
    assert_eq!(kind(inventory.clear_group(&one, &group("two")).await), Kind::Forbidden);
    let cleared = inventory.clear_group(&w.limited(&[]), &group("one")).await;
    assert_eq!(kind(cleared), Kind::Forbidden);
    inventory.set_group(&one, &id("a"), &group("two")).await.unwrap();
    assert_eq!(w.members("two").await, ["a", "c"]);
}
