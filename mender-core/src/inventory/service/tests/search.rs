use serde_json::{Value as Json, json};

use super::{
    AttributeName, Ctx, How, Kind, Op, PageRequest, Query, Status, Value, World, id, kind, page,
    term, text,
};
use crate::{auth::Tier, inventory::NameCount};

/// The devices of the examples in the description of the operators, with `a` of `inventory`.
async fn examples() -> World {
    let w = World::new();
    let values = [
        Some(text("v1")),
        Some(Value::Texts(vec!["v1".into(), "v2".into()])),
        Some(Value::Number(5.0)),
        Some(text("10")),
        None,
    ];
    for (n, value) in values.into_iter().enumerate() {
        let name = format!("d{}", n + 1);
        w.report(&name, &[("text", "Some gateways, in Oslo")]).await;
        if let Some(value) = value {
            w.write(&name, "inventory/a", value).await;
        }
    }
    w
}

#[tokio::test]
async fn operators_find_what_they_say() {
    let w = examples().await;
    let cases = [
        (Op::Eq, json!("v1"), vec!["d1", "d2"]),
        (Op::Eq, json!(["v1", "v2"]), vec!["d2"]),
        (Op::Eq, json!(["v2", "v1"]), vec![]),
        (Op::Eq, json!(null), vec!["d5"]),
        (Op::Ne, json!(null), vec!["d1", "d2", "d3", "d4"]),
        (Op::Ne, json!("v1"), vec!["d3", "d4", "d5"]),
        (Op::In, json!(["v2", "10"]), vec!["d2", "d4"]),
        (Op::In, json!([]), vec![]),
        (Op::In, json!(["v2", null]), vec!["d2", "d5"]),
        (Op::In, json!([["v1", "v2"]]), vec!["d2"]),
        (Op::Nin, json!(["v1"]), vec!["d3", "d4", "d5"]),
        (Op::Nin, json!(["v1", null]), vec!["d3", "d4"]),
        (Op::Nin, json!([]), vec!["d1", "d2", "d3", "d4", "d5"]),
        (Op::Eq, json!(5), vec!["d3"]),
        (Op::Eq, json!("5"), vec![]),
        (Op::Gt, json!(4), vec!["d3"]),
        (Op::Gt, json!(5), vec![]),
        (Op::Gte, json!(5), vec!["d3"]),
        (Op::Lt, json!("9"), vec!["d4"]),
        (Op::Lt, json!("v2"), vec!["d1", "d2", "d4"]),
        (Op::Lte, json!("10"), vec!["d4"]),
        (Op::Gt, json!("v1"), vec!["d2"]),
        (Op::Ltne, json!(6), vec!["d3", "d5"]),
        (Op::Ltne, json!(5), vec!["d5"]),
        (Op::Exists, json!(true), vec!["d1", "d2", "d3", "d4"]),
        (Op::Exists, json!("false"), vec!["d1", "d2", "d3", "d4"]),
        (Op::Exists, json!(false), vec!["d5"]),
        (Op::Exists, json!(0), vec!["d5"]),
        (Op::Regex, json!("v"), vec!["d1", "d2"]),
    ];
    for (op, value, expected) in cases {
        let found = w.filter(vec![term("inventory/a", op, value.clone())]).await;
        assert_eq!(found, expected, "{op:?} {value}");
    }
    let all = vec![
        term("inventory/a", Op::Gte, json!("v1")),
        term("inventory/a", Op::Ne, json!("v2")),
        term("identity/id", Op::In, json!(["d1", "d2", "d3"])),
    ];
    assert_eq!(w.filter(all).await, ["d1"]);
}

#[tokio::test]
async fn operands_that_make_no_sense_are_refused() {
    let w = World::new();
    for (op, value) in [(Op::In, json!("x")), (Op::Nin, json!(1)), (Op::Regex, json!(["x"]))] {
        let query = Query { filters: vec![term("tags/a", op, value)], ..Query::default() };
        let answer = w.inventory().search(&w.ctx, &query, page()).await;
        assert_eq!(kind(answer), Kind::Invalid { field: "filters" });
    }
    let term = term("tags/a", Op::Eq, json!("x"));
    let query = Query { filters: vec![term; 101], ..Query::default() };
    let answer = w.inventory().search(&w.ctx, &query, page()).await;
    assert_eq!(kind(answer), Kind::Invalid { field: "filters" });
    let sort = vec![(AttributeName::tag("a"), true); 31];
    let query = Query { sort, ..Query::default() };
    let answer = w.inventory().search(&w.ctx, &query, page()).await;
    assert_eq!(kind(answer), Kind::Invalid { field: "sort" });
}

#[tokio::test]
async fn patterns_match_from_the_start() {
    let w = World::new();
    let long = "long".repeat(200) + "end";
    let all = ["rpi4", "RPI5", "my rpi", "a.b", "line\nrpi", "", "é~", long.as_str()];
    for (n, value) in all.into_iter().enumerate() {
        w.report(&format!("d{n}"), &[("a", value)]).await;
    }
    w.write("d8", "inventory/a", Value::Texts(vec!["x".into(), "rpi3".into()])).await;
    w.write("d9", "inventory/a", Value::Number(4.0)).await;
    let any: Vec<&str> = vec!["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"];
    let cases = [
        ("rpi", vec!["d0", "d8"]),
        ("^rpi", vec!["d0", "d8"]),
        ("rpi.*", vec!["d0", "d8"]),
        ("rpi[45]", vec!["d0"]),
        ("rpi$", vec![]),
        ("pi", vec![]),
        (".*rpi$", vec!["d2"]),
        ("/RPI/i", vec!["d0", "d1", "d8"]),
        ("(?i)RPI", vec!["d0", "d1", "d8"]),
        ("/[a-z]+4/i", vec!["d0"]),
        ("/rpi", vec![]),
        ("a.b", vec!["d3"]),
        (r"a\.b", vec!["d3"]),
        ("rpi4|a", vec!["d0", "d3"]),
        ("", any.clone()),
        (".*", any.clone()),
        ("é", vec!["d6"]),
        ("é~", vec!["d6"]),
        (&*long, vec!["d7"]),
        ("(long)+end$", vec!["d7"]),
        ("(long)+ende", vec![]),
        // What is no pattern, or would be too large, matches nothing.
        ("(", vec![]),
        ("rpi)|(x", vec![]),
        ("*", vec![]),
        ("(?=x)", vec![]),
        (r"(rpi)\1", vec![]),
        ("((a{1000}){1000}){1000}", vec![]),
        (&*"(".repeat(10_000), vec![]),
    ];
    for (pattern, expected) in cases {
        let found = w.filter(vec![term("inventory/a", Op::Regex, json!(pattern))]).await;
        assert_eq!(found, expected, "{pattern:?}");
    }
    // Much work for engines that go back.
    w.report("deep", &[("a", &"a".repeat(5000))]).await;
    let found = w.filter(vec![term("inventory/a", Op::Regex, json!("(a*)*b"))]).await;
    assert_eq!(found, [""; 0]);
    let ids = w.filter(vec![term("identity/id", Op::Regex, json!("d[0-2]$"))]).await;
    assert_eq!(ids, ["d0", "d1", "d2"]);
}

#[tokio::test]
async fn searches_with_patterns_are_sorted_and_come_in_pages() {
    let w = World::new();
    for (n, value) in ["x3", "x1", "x2", "y", "x1"].into_iter().enumerate() {
        w.report(&format!("d{n}"), &[("a", value)]).await;
    }
    for descending in [false, true] {
        let query = Query {
            filters: vec![term("inventory/a", Op::Regex, json!("x[0-9]"))],
            sort: vec![(AttributeName::inventory("a"), descending)],
            ..Query::default()
        };
        let mut expected = vec!["d1", "d4", "d2", "d0"];
        if descending {
            expected = vec!["d0", "d2", "d1", "d4"];
        }
        assert_eq!(w.search(&w.ctx, &query).await, expected);
        let second = w.inventory().search(&w.ctx, &query, PageRequest::new(2, 3)).await.unwrap();
        assert_eq!((second.devices[0].id.as_str(), second.total), (expected[3], 4));
    }
}

#[tokio::test]
async fn texts_are_compared_with_times_as_times() {
    let w = World::new();
    w.report("old", &[]).await;
    w.pass(48);
    w.report("new", &[]).await;
    w.write("never", "tags/x", text("y")).await;
    let between = "2026-01-02T13:00:00+01:00";
    let cases = [
        ("system/updated_ts", Op::Lt, json!(between), vec!["old"]),
        ("system/updated_ts", Op::Gte, json!(between), vec!["new"]),
        ("system/updated_ts", Op::Ltne, json!(between), vec!["old", "never"]),
        ("system/created_ts", Op::Gt, json!(between), vec!["new", "never"]),
        ("system/created_ts", Op::Gt, json!("no time"), vec![]),
        ("system/created_ts", Op::Gt, json!(0), vec![]),
        ("tags/x", Op::Lt, json!(between), vec![]),
    ];
    for (attribute, op, value, expected) in cases {
        let found = w.filter(vec![term(attribute, op, value.clone())]).await;
        assert_eq!(found, expected, "{attribute} {op:?} {value}");
    }
    let exact = w.device("old").await.updated().unwrap().to_string();
    let name = "system/updated_ts";
    assert_eq!(w.filter(vec![term(name, Op::Eq, json!(exact))]).await, ["old"]);
    assert_eq!(w.filter(vec![term(name, Op::In, json!(["x", exact]))]).await, ["old"]);
    assert_eq!(w.filter(vec![term(name, Op::Nin, json!([exact]))]).await, ["new", "never"]);
}

#[tokio::test]
async fn words_of_a_text_are_found_whatever_their_form() {
    let w = examples().await;
    w.report("d1", &[("text", "one gateway"), ("mac", "00:1B")]).await;
    w.write("d2", "inventory/list", Value::Texts(vec!["hidden".into()])).await;
    let text = async |words: &str| {
        w.search(&w.ctx, &Query { text: Some(words.into()), ..Query::default() }).await
    };
    assert_eq!(text("GATEWAY!").await, ["d1", "d2", "d3", "d4", "d5"]);
    assert_eq!(text("oslo gateway").await, ["d2", "d3", "d4", "d5", "d1"]);
    assert_eq!(text("00:1b:77").await, ["d1"]);
    for nothing in ["", "***", "the", "hidden", "gate"] {
        assert_eq!(text(nothing).await, [""; 0], "{nothing:?}");
    }
    assert_eq!(text("d3").await, ["d3"], "the id is a word");
    let query = Query {
        filters: vec![term("inventory/a", Op::Eq, json!("v1"))],
        text: Some("oslo gateway".into()),
        sort: vec![(AttributeName::inventory("a"), true)],
        ..Query::default()
    };
    assert_eq!(w.search(&w.ctx, &query).await, ["d2", "d1"]);
    let mut with_pattern = query.clone();
    with_pattern.filters.push(term("inventory/text", Op::Regex, json!("[a-zA-Z]")));
    assert_eq!(w.search(&w.ctx, &with_pattern).await, ["d2", "d1"]);
}

#[tokio::test]
async fn a_page_tells_how_many_fit_in_all() {
    let w = examples().await;
    let of = async |number, size, ids: &[&str]| {
        let ids = ids.iter().map(|name| id(name)).collect();
        let query = Query { ids, ..Query::default() };
        let found = w.inventory().search(&w.ctx, &query, PageRequest::new(number, size)).await;
        let found = found.unwrap();
        (found.devices.len(), found.total)
    };
    assert_eq!(of(1, 2, &[]).await, (2, 5));
    assert_eq!(of(3, 2, &[]).await, (1, 5));
    assert_eq!(of(4, 2, &[]).await, (0, 5));
    assert_eq!(of(1, 5, &[]).await, (5, 5));
    assert_eq!(of(1, 20, &["d1", "ghost"]).await, (1, 1));
}

#[tokio::test]
async fn beginnings_of_identities_ids_and_names_are_found() {
    let w = World::new();
    for (name, mac) in [("a1", "00:01"), ("a2", "00:02"), ("b1", "01:00")] {
        w.write(name, "identity/mac", text(mac)).await;
    }
    w.write("b1", "tags/name", text("00 büro")).await;
    w.write("b1", "tags/other", text("00")).await;
    let find = async |scope: &str, name: &str, beginning: &str| -> Vec<String> {
        let name = AttributeName::new(scope, name);
        let found = w.inventory().search_prefix(&w.ctx, &name, beginning, page()).await.unwrap();
        found.devices.iter().map(|device| device.id.to_string()).collect()
    };
    assert_eq!(find("identity", "mac", "00:").await, ["a1", "a2"]);
    assert_eq!(find("identity", "mac", "").await, ["a1", "a2", "b1"]);
    assert_eq!(find("identity", "mac", ":").await, [""; 0]);
    assert_eq!(find("identity", "id", "a").await, ["a1", "a2"]);
    assert_eq!(find("tags", "name", "00 bü").await, ["b1"]);
    assert_eq!(find("tags", "name", "00 BÜ").await, [""; 0]);
    assert_eq!(find("tags", "other", "0").await, [""; 0]);
    let limited = w.limited(&["g"]);
    let name = AttributeName::identity("mac");
    let found = w.inventory().search_prefix(&limited, &name, "", page()).await.unwrap();
    assert_eq!(found.total, 0);
}

async fn statistics(w: &World, ctx: &Ctx) -> [[u64; 3]; 2] {
    let statistics = w.inventory().statistics(ctx).await.unwrap();
    [statistics.accepted, statistics.pending]
        .map(|counts| [Tier::Standard, Tier::Micro, Tier::System].map(|tier| counts[&tier]))
}

#[tokio::test]
async fn statistics_count_by_status_and_tier() {
    let w = World::new();
    assert_eq!(statistics(&w, &w.ctx).await, [[0; 3]; 2]);
    let all = [
        (Status::Accepted, ""),
        (Status::Accepted, "standard"),
        (Status::Accepted, "micro"),
        (Status::Accepted, "no tier"),
        (Status::Pending, "system"),
        (Status::Pending, ""),
        (Status::Rejected, ""),
    ];
    for (n, (status, tier)) in all.into_iter().enumerate() {
        let name = format!("d{n}");
        w.write(&name, "identity/status", text(status.as_str())).await;
        if !tier.is_empty() {
            w.write(&name, "system/tier", text(tier)).await;
        }
    }
    assert_eq!(statistics(&w, &w.ctx).await, [[2, 1, 0], [1, 0, 1]]);
    w.write("d2", "system/group", text("g")).await;
    assert_eq!(statistics(&w, &w.limited(&["g"])).await, [[0, 1, 0], [0; 3]]);
}

#[tokio::test]
async fn names_of_attributes_come_with_the_most_frequent_first() {
    let w = World::new();
    let names = async |ctx: &Ctx| w.inventory().attribute_names(ctx).await.unwrap();
    assert_eq!(*names(&w.ctx).await, []);
    w.write("a", "tags/x.y", text("1")).await;
    w.write("a", "identity/x.y", text("1")).await;
    w.write("b", "tags/x.y", text("2")).await;
    let count =
        |scope: &str, name: &str, count| NameCount { name: AttributeName::new(scope, name), count };
    let expected =
        [count("system", "created_ts", 2), count("tags", "x.y", 2), count("identity", "x.y", 1)];
    assert_eq!(*names(&w.ctx).await, expected);
    assert_eq!(*names(&w.limited(&["g"])).await, []);
}

#[tokio::test]
async fn users_of_some_groups_find_no_other_device() {
    let w = examples().await;
    for name in ["d1", "d5"] {
        w.write(name, "system/group", text("g")).await;
    }
    w.write("d2", "system/group", text("h")).await;
    let mut ctx = w.limited(&["g", "none"]);
    let filters = |op, value: Json| Query {
        filters: vec![term("inventory/a", op, value)],
        ..Query::default()
    };
    let all = Query { ids: ["d1", "d2", "d3", "d5"].map(id).to_vec(), ..Query::default() };
    for (query, expected) in [
        (Query::default(), vec!["d1", "d5"]),
        (all, vec!["d1", "d5"]),
        (filters(Op::Eq, json!("v1")), vec!["d1"]),
        (filters(Op::Ne, json!("v1")), vec!["d5"]),
        (filters(Op::Regex, json!(".1")), vec!["d1"]),
        (Query { text: Some("oslo".into()), ..Query::default() }, vec!["d1", "d5"]),
    ] {
        assert_eq!(w.search(&ctx, &query).await, expected, "{query:?}");
        let first = w.inventory().search(&ctx, &query, PageRequest::new(1, 1)).await.unwrap();
        assert_eq!(first.total, expected.len() as u64);
    }
    ctx = w.limited(&[]);
    assert_eq!(w.search(&ctx, &Query::default()).await, [""; 0]);
    let unknown = w.inventory().report(&ctx, &id("new"), vec![], How::Merge).await;
    assert_eq!(kind(unknown), Kind::Forbidden);
}
