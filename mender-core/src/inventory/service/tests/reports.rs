use super::{Config, How, Kind, NewAttribute, Value, World, id, kind, new, text};
use crate::{env::Time, inventory::AttributeName};

fn number(name: &str, number: f64) -> NewAttribute {
    NewAttribute::new(AttributeName::inventory(name), Value::Number(number))
}

#[tokio::test]
async fn a_report_is_merged_or_replaces_what_was_reported() {
    let w = World::new();
    w.report("d", &[("a", "1"), ("b", "2")]).await;
    w.write("d", "tags/b", text("tag")).await;
    w.report("d", &[("b", "3")]).await;
    assert_eq!(w.value("d", "inventory/a").await, Some(text("1")));
    assert_eq!(w.value("d", "inventory/b").await, Some(text("3")));
    w.inventory().report(&w.ctx, &id("d"), new(&[("c", "4")]), How::Replace).await.unwrap();
    assert_eq!(w.device("d").await.attributes.count("inventory"), 1);
    assert_eq!(w.value("d", "inventory/c").await, Some(text("4")));
    assert_eq!(w.value("d", "tags/b").await, Some(text("tag")));
    w.inventory().report(&w.ctx, &id("d"), vec![], How::Replace).await.unwrap();
    assert_eq!(w.device("d").await.attributes.count("inventory"), 0);
}

#[tokio::test]
async fn of_one_name_twice_the_last_counts_and_scopes_are_not_looked_at() {
    let w = World::new();
    let mut all = new(&[("a", "1"), ("a", "2"), ("status", "accepted")]);
    all[2].name.scope = AttributeName::IDENTITY.into();
    w.inventory().report(&w.ctx, &id("d"), all, How::Merge).await.unwrap();
    assert_eq!(w.value("d", "inventory/a").await, Some(text("2")));
    assert_eq!(w.value("d", "inventory/status").await, Some(text("accepted")));
    assert_eq!(w.device("d").await.status(), None);
}

#[tokio::test]
async fn an_unchanged_report_is_written_once_a_day() {
    let w = World::new();
    let all = || vec![number("n", 0.1 + 0.2), number("m", 1e300)];
    let report = async |how| w.inventory().report(&w.ctx, &id("d"), all(), how).await.unwrap();
    report(How::Replace).await;
    let first = w.device("d").await;
    assert_eq!(first.updated(), Some(w.now()));
    w.pass(1);
    for how in [How::Merge, How::Replace] {
        report(how).await;
        assert_eq!(w.device("d").await, first);
    }
    let mut described = all();
    described[0].description = Some("new".into());
    w.inventory().report(&w.ctx, &id("d"), described, How::Merge).await.unwrap();
    assert_eq!(w.device("d").await, first, "a description alone is no change");
    w.pass(11);
    report(How::Merge).await;
    let next = w.device("d").await;
    assert_eq!((next.updated(), next.version), (Some(w.now()), first.version.next()));
    report(How::Merge).await;
    assert_eq!(w.device("d").await, next);
    w.report("d", &[("other", "x")]).await;
    assert_eq!(w.device("d").await.version, next.version.next());
}

#[tokio::test]
async fn a_description_stays_until_another_is_given() {
    let w = World::new();
    for (value, given, kept) in
        [("1", Some("one"), "one"), ("2", None, "one"), ("3", Some("three"), "three")]
    {
        let mut all = new(&[("a", value)]);
        all[0].description = given.map(Into::into);
        w.inventory().report(&w.ctx, &id("d"), all, How::Replace).await.unwrap();
        let device = w.device("d").await;
        let stored = device.attributes.get(&AttributeName::inventory("a")).cloned().unwrap();
        assert_eq!((stored.value, stored.description.as_deref()), (text(value), Some(kept)));
    }
}

#[tokio::test]
async fn a_device_has_no_more_attributes_than_the_limit() {
    let w = World::with(Config { max_attributes: 2, max_tags: 1 });
    let report = async |all: &[_], how| w.inventory().report(&w.ctx, &id("d"), new(all), how).await;
    let too_many = Kind::Invalid { field: "attributes" };
    assert_eq!(kind(report(&[("a", ""), ("b", ""), ("a", "")], How::Replace).await), too_many);
    assert_eq!(kind(report(&[("a", ""), ("b", ""), ("c", "")], How::Merge).await), too_many);
    report(&[("a", ""), ("b", "")], How::Merge).await.unwrap();
    report(&[("b", "1")], How::Merge).await.unwrap();
    assert_eq!(kind(report(&[("c", "")], How::Merge).await), too_many);
    report(&[("c", ""), ("d", "")], How::Replace).await.unwrap();
    let tag = async |all: &[_], how| w.inventory().tag(&w.ctx, &id("d"), new(all), how, None).await;
    tag(&[("c", "")], How::Merge).await.unwrap();
    assert_eq!(kind(tag(&[("x", "")], How::Merge).await), too_many);
    assert_eq!(kind(tag(&[("x", ""), ("y", "")], How::Replace).await), too_many);
    let free = World::with(Config { max_attributes: 0, max_tags: 0 });
    let many = (0..300).map(|n| number(&n.to_string(), 1.0)).collect();
    free.inventory().report(&free.ctx, &id("d"), many, How::Merge).await.unwrap();
}

#[tokio::test]
async fn attributes_that_break_a_rule_are_refused() {
    let w = World::new();
    let long = "x".repeat(1025);
    for (name, scope, field) in [
        ("", "tags", "name"),
        (long.as_str(), "tags", "name"),
        ("a\0", "tags", "name"),
        ("a", "", "scope"),
        ("a", long.as_str(), "scope"),
    ] {
        let all = vec![NewAttribute::new(AttributeName::new(scope, name), text("x"))];
        let answer = w.inventory().write(&w.ctx, &id("d"), all.clone(), None).await;
        assert_eq!(kind(answer), Kind::Invalid { field });
        assert_eq!(
            kind(w.inventory().create(&w.ctx, &id("d"), all).await),
            Kind::Invalid { field }
        );
    }
    let large = vec![NewAttribute::new(AttributeName::inventory("a"), text(&"x".repeat(5 << 20)))];
    let answer = w.inventory().report(&w.ctx, &id("d"), large, How::Merge).await;
    assert_eq!(kind(answer), Kind::TooLarge);
    assert_eq!(kind(w.inventory().device(&w.ctx, &id("d")).await), Kind::NotFound);
}

#[tokio::test]
async fn clearing_takes_what_was_reported_and_makes_no_device() {
    let w = World::new();
    w.inventory().clear(&w.ctx, &id("ghost")).await.unwrap();
    assert_eq!(kind(w.inventory().device(&w.ctx, &id("ghost")).await), Kind::NotFound);
    w.report("d", &[("a", "1")]).await;
    w.write("d", "tags/b", text("tag")).await;
    w.inventory().clear(&w.ctx, &id("d")).await.unwrap();
    let device = w.device("d").await;
    assert_eq!((device.attributes.count("inventory"), device.attributes.count("tags")), (0, 1));
    w.inventory().clear(&w.ctx, &id("d")).await.unwrap();
    assert_eq!(w.device("d").await, device);
}

#[tokio::test]
async fn tags_change_only_where_they_are_those_that_were_seen() {
    let w = World::new();
    let tag = async |all: &[_], seen: Option<&str>| {
        w.inventory().tag(&w.ctx, &id("d"), new(all), How::Merge, seen).await
    };
    // Accepted and lost, as clients are used to.
    tag(&[("a", "1")], None).await.unwrap();
    assert_eq!(kind(tag(&[("a", "1")], Some("x")).await), Kind::Conflict);
    assert_eq!(kind(w.inventory().device(&w.ctx, &id("d")).await), Kind::NotFound);

    w.report("d", &[("a", "1")]).await;
    assert_eq!(w.device("d").await.etag, None);
    assert_eq!(kind(tag(&[("a", "1")], Some("x")).await), Kind::Conflict);
    tag(&[("a", "1")], None).await.unwrap();
    let first = w.device("d").await;
    let etag = first.etag.clone().unwrap();
    let stored = first.attributes.get(&AttributeName::tag("a")).cloned().unwrap();
    assert_eq!((stored.value, stored.timestamp), (text("1"), Some(w.now())));
    assert_ne!(first.updated(), None);

    tag(&[], Some("other")).await.unwrap();
    w.report("d", &[("a", "2")]).await;
    assert_eq!(w.device("d").await.etag, Some(etag.clone()), "the tags are the same");
    assert_eq!(kind(tag(&[("a", "1")], Some("other")).await), Kind::Conflict);
    tag(&[("a", "1")], Some(&etag)).await.unwrap();
    assert_ne!(w.device("d").await.etag, Some(etag.clone()), "every write gives another");
    assert_eq!(kind(tag(&[("a", "2")], Some(&etag)).await), Kind::Conflict);
    assert_eq!(w.value("d", "tags/a").await, Some(text("1")));
    assert_eq!(w.value("d", "inventory/a").await, Some(text("2")));
}

#[tokio::test]
async fn parts_of_the_system_write_where_the_device_did_not_report_since() {
    let w = World::new();
    let write = async |unmodified| {
        let all = vec![NewAttribute::new(AttributeName::new("monitor", "x"), text("y"))];
        w.inventory().write(&w.ctx, &id("d"), all, unmodified).await
    };
    write(Some(Time(0))).await.unwrap();
    assert_eq!(w.device("d").await.updated(), None);
    w.report("d", &[("a", "1")]).await;
    assert_eq!(kind(write(Some(Time(0))).await), Kind::Conflict);
    write(Some(w.now())).await.unwrap();
}

#[tokio::test]
async fn alerts_are_noted_by_number() {
    let w = World::new();
    for (count, any) in [(3, true), (0, false)] {
        w.inventory().set_alerts(&w.ctx, &id("d"), count).await.unwrap();
        let counted = w.value("d", "monitor/alert_count").await;
        assert_eq!(counted, Some(Value::Number(f64::from(u32::try_from(count).unwrap()))));
        assert_eq!(w.value("d", "monitor/alerts").await, Some(Value::Flag(any)));
    }
}

#[tokio::test]
async fn identities_are_the_values_of_the_identity_and_the_name() {
    let w = World::new();
    w.write("d", "identity/mac", text("00:01")).await;
    assert_eq!(w.device("d").await.identities, [""; 0], "as of the next change of attributes");
    w.report("d", &[("a", "1")]).await;
    assert_eq!(w.device("d").await.identities, ["00:01"]);
    w.inventory().tag(&w.ctx, &id("d"), new(&[("name", "n")]), How::Merge, None).await.unwrap();
    assert_eq!(w.device("d").await.identities, ["00:01", "n"]);
}
