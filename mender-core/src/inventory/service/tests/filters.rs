use serde_json::json;

use super::{Kind, Op, PageRequest, Predicate, World, id, kind, page, term, text};
use crate::inventory::{Filter, FilterId};

fn is(value: &str) -> Vec<Predicate> {
    vec![term("inventory/a", Op::Eq, json!(value))]
}

#[tokio::test]
async fn a_filter_is_saved_changed_and_deleted() {
    let w = World::new();
    let inventory = w.inventory();
    let saved = inventory.create_filter(&w.ctx, "one", is("x")).await.unwrap();
    let filter = inventory.filter(&w.ctx, &saved).await.unwrap();
    assert_eq!((filter.name.as_str(), &filter.terms), ("one", &is("x")));
    let other = inventory.create_filter(&w.ctx, "two", is("x")).await.unwrap();
    assert_eq!(kind(inventory.create_filter(&w.ctx, "one", is("y")).await), Kind::Conflict);
    let taken = inventory.change_filter(&w.ctx, &other, "one", &is("x")).await.unwrap_err();
    assert_eq!((taken.kind, &*taken.what), (Kind::Conflict, "filter name already exists"));
    inventory.change_filter(&w.ctx, &saved, "one", &is("x")).await.unwrap();
    assert_eq!(inventory.filter(&w.ctx, &saved).await.unwrap(), filter, "nothing to write");
    inventory.change_filter(&w.ctx, &saved, "three", &is("y")).await.unwrap();
    let (all, total) = inventory.filters(&w.ctx, page()).await.unwrap();
    let names: Vec<&str> = all.iter().map(|filter| filter.name.as_str()).collect();
    assert_eq!((names.as_slice(), total), (&["three", "two"][..], 2));
    let (all, total) = inventory.filters(&w.ctx, PageRequest::new(2, 1)).await.unwrap();
    assert_eq!((all[0].name.as_str(), total), ("two", 2));
    inventory.delete_filter(&w.ctx, &saved).await.unwrap();
    for answer in [
        inventory.filter(&w.ctx, &saved).await.map(|_| ()),
        inventory.delete_filter(&w.ctx, &saved).await,
        inventory.change_filter(&w.ctx, &saved, "x", &is("y")).await,
        inventory.search_filter(&w.ctx, &saved, page()).await.map(|_| ()),
    ] {
        assert_eq!(kind(answer), Kind::NotFound);
    }
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused() {
    let w = World::new();
    let long = "x".repeat(Filter::MAX_NAME + 1);
    let many: Vec<Predicate> = (0..=Filter::MAX_TERMS).flat_map(|_| is("x")).collect();
    let terms = [
        ("", is("x"), "name"),
        (long.as_str(), is("x"), "name"),
        ("a\0", is("x"), "name"),
        ("a", vec![], "terms"),
        ("a", many, "terms"),
        ("a", vec![term("inventory/a", Op::In, json!("x"))], "terms"),
        ("a", vec![term("inventory/a", Op::Regex, json!(1))], "terms"),
    ];
    let saved = w.inventory().create_filter(&w.ctx, "ok", is("x")).await.unwrap();
    for (name, terms, field) in terms {
        let answer = w.inventory().change_filter(&w.ctx, &saved, name, &terms).await;
        assert_eq!(kind(answer), Kind::Invalid { field });
        let answer = w.inventory().create_filter(&w.ctx, name, terms).await;
        assert_eq!(kind(answer), Kind::Invalid { field });
    }
    assert_eq!(w.inventory().filters(&w.ctx, page()).await.unwrap().1, 1);
}

#[tokio::test]
async fn the_devices_of_a_filter_are_those_that_fit_now() {
    let w = World::new();
    w.report("d", &[("a", "x")]).await;
    let saved = w.inventory().create_filter(&w.ctx, "one", is("x")).await.unwrap();
    let found = async || w.inventory().search_filter(&w.ctx, &saved, page()).await.unwrap().total;
    assert_eq!(found().await, 1);
    w.report("d", &[("a", "y")]).await;
    assert_eq!(found().await, 0);
    w.report("e", &[("a", "x")]).await;
    w.report("f", &[("a", "x")]).await;
    assert_eq!(found().await, 2);
    w.inventory().remove(&w.ctx, &id("e")).await.unwrap();
    assert_eq!(found().await, 1);
}

#[tokio::test]
async fn filters_are_for_users_who_may_see_every_device() {
    let w = World::new();
    w.write("d", "system/group", text("one")).await;
    let saved: FilterId = w.inventory().create_filter(&w.ctx, "one", is("x")).await.unwrap();
    let (one, inventory) = (w.limited(&["one"]), w.inventory());
    assert_eq!(inventory.filters(&one, page()).await.unwrap(), (vec![], 0));
    for answer in [
        inventory.filter(&one, &saved).await.map(|_| ()),
        inventory.create_filter(&one, "two", is("x")).await.map(|_| ()),
        inventory.change_filter(&one, &saved, "two", &is("x")).await,
        inventory.delete_filter(&one, &saved).await,
        inventory.search_filter(&one, &saved, page()).await.map(|_| ()),
    ] {
        assert_eq!(kind(answer), Kind::Forbidden);
    }
}
