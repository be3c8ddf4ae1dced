#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

use crate::{
    index::{Clause, Sort, Span},
    inventory::{
        AttributeName, Device, Place, Search, Tally, Value,
        entries::{any_element, any_value, entries, entry, prefix},
    },
    testing::{
        contract::{Harness, claims},
        fixtures::tenant,
        inventory::{
            grouped, put,
            search::{attribute, fits, fleet, ids, list, texts},
            text, thing, with,
        },
    },
};

claims!["inventory":
    without_a_key_devices_come_by_place,
    devices_come_in_the_order_of_the_keys,
    types_come_in_their_order_and_lists_by_their_edge,
    pages_follow_each_other,
    a_walk_visits_every_device_that_fits_by_place,
    tallies_count_devices_by_their_texts,
    texts_come_in_order_after_a_text,
];

fn sort(name: &AttributeName, descending: bool) -> Sort {
    Sort { prefix: prefix(name), descending }
}

fn third() -> AttributeName {
    AttributeName::tag("third")
}

fn missing() -> AttributeName {
    AttributeName::inventory("nobody's")
}

/// Orders as the contract says.
fn compare(sorts: &[Sort], a: &Device, b: &Device) -> Ordering {
    let place = |device: &Device, sort: &Sort| {
        let wanted = entries(device).into_iter().find(|entry| {
            let edge = if sort.descending { entry.is_last } else { entry.is_first };
            edge && entry.text.starts_with(&sort.prefix)
        });
        wanted.map(|entry| entry.text)
    };
    let keys = sorts.iter().map(|sort| {
        let order = place(a, sort).cmp(&place(b, sort));
        if sort.descending { order.reverse() } else { order }
    });
    let by_keys = keys.fold(Ordering::Equal, Ordering::then);
    by_keys.then(a.place.cmp(&b.place))
}

/// Several orders, and conditions that a search may have beside them.
fn searches() -> Vec<Search> {
    let mut orders = vec![vec![]];
    for descending in [false, true] {
        orders.push(vec![sort(&attribute(), descending)]);
        orders.push(vec![sort(&third(), descending)]);
        orders.push(vec![sort(&missing(), descending)]);
        orders.push(vec![sort(&third(), !descending), sort(&attribute(), descending)]);
        orders.push(vec![
            sort(&missing(), false),
            sort(&third(), descending),
            sort(&AttributeName::device_id(), !descending),
        ]);
    }
    let group = entry(&prefix(&AttributeName::system("group")), &text("g"));
    let conditions = [None, Some(Clause::some(vec![Span::At(group)]))];
    let all = orders.into_iter().flat_map(|sorts| {
        conditions.clone().map(|clause| Search {
            all: clause.into_iter().collect(),
            sorts: sorts.clone(),
            ..Search::default()
        })
    });
    all.collect()
}

fn expected(search: &Search, all: &[Device]) -> Vec<String> {
    let mut fitting: Vec<Device> = all.iter().filter(|d| fits(search, d)).cloned().collect();
    fitting.sort_by(|a, b| compare(&search.sorts, a, b));
    ids(&fitting)
}

async fn without_a_key_devices_come_by_place(h: &Harness) {
    let t = tenant();
    let places = [5, i64::from(u32::MAX) * 3, 0, 1 << 40, i64::MAX - (1 << 60), 7];
    let mut all = Vec::new();
    for (n, place) in places.into_iter().enumerate() {
        let device = thing(&format!("d{n}"), place);
        put(h, &t, &device).await;
        all.push(device);
    }
    all.sort_by_key(|device| device.place);
    assert_eq!(list(h, &t, &Search::all()).await, ids(&all));
}

async fn devices_come_in_the_order_of_the_keys(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    for search in searches() {
        assert_eq!(list(h, &t, &search).await, expected(&search, &all), "{search:?}");
    }
}

async fn types_come_in_their_order_and_lists_by_their_edge(h: &Harness) {
    let t = tenant();
    let values = [
        ("missing", None),
        ("empty", Some(texts(&[]))),
        ("1", Some(Value::Number(1.0))),
        ("1,9", Some(Value::Numbers(vec![9.0, 1.0]))),
        ("5", Some(Value::Number(5.0))),
        ("a", Some(text("a"))),
        ("b,y", Some(texts(&["y", "b", "c"]))),
        ("x", Some(text("x"))),
        ("true", Some(Value::Flag(true))),
        ("time", Some(Value::Time(crate::env::Time(0)))),
    ];
    for (n, (name, value)) in (0..).zip(values) {
        let mut device = thing(&name.replace(',', " "), n);
        if let Some(value) = value {
            device = with(device, "inventory", "a", value);
        }
        put(h, &t, &device).await;
    }
    let by =
        |descending| Search { sorts: vec![sort(&attribute(), descending)], ..Search::default() };
    let rising = ["missing", "empty", "1", "1 9", "5", "a", "b y", "x", "true", "time"];
    assert_eq!(list(h, &t, &by(false)).await, rising);
    let falling = ["time", "true", "b y", "x", "a", "1 9", "5", "1", "missing", "empty"];
    assert_eq!(list(h, &t, &by(true)).await, falling);
}

async fn pages_follow_each_other(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    for search in searches() {
        let expected = expected(&search, &all);
        for limit in [1, 4, 1000] {
            let mut pages: Vec<String> = Vec::new();
            loop {
                let skip = pages.len() as u64;
                let page = h.stores.search_inventory(&t, &search, skip, limit).await.unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                pages.extend(ids(&page));
            }
            assert_eq!(pages, expected, "{limit} a page of {search:?}");
        }
        assert_eq!(h.stores.search_inventory(&t, &search, 1 << 40, 5).await.unwrap(), []);
        assert_eq!(h.stores.search_inventory(&t, &search, 0, 0).await.unwrap(), []);
    }
}

async fn a_walk_visits_every_device_that_fits_by_place(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    for search in searches() {
        let fitting: Vec<Device> = all.iter().filter(|d| fits(&search, d)).cloned().collect();
        for limit in [1, 4, 1000] {
            let mut visited: Vec<Device> = Vec::new();
            loop {
                let after = visited.last().map(|device| device.place);
                let chunk = h.stores.walk_inventory(&t, &search, after, limit).await.unwrap();
                assert!(chunk.len() <= limit);
                if chunk.is_empty() {
                    break;
                }
                visited.extend(chunk);
            }
            assert_eq!(visited, fitting, "{search:?}");
        }
    }
    let after_none = Some(Place(all[3].place.0 + 1));
    let next = all.iter().find(|device| Some(device.place) > after_none);
    let chunk = h.stores.walk_inventory(&t, &Search::all(), after_none, 1).await.unwrap();
    assert_eq!(chunk.first(), next);
}

async fn tallies_count_devices_by_their_texts(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    let group = prefix(&AttributeName::system("group"));
    let in_g = Clause::some(vec![Span::At(entry(&group, &text("g")))]);
    let searches = [
        Search::all(),
        Search::all().and(in_g),
        Search::all().and(Clause::none(vec![any_value(&prefix(&attribute()))])),
        Search::all().with_ids(all.iter().step_by(2).map(|device| device.id.clone()).collect()),
        Search::all().with_ids(vec![]),
        Search { sorts: vec![sort(&third(), true)], ..Search::default() },
    ];
    let spans = [
        any_value(&group),
        any_element(&prefix(&attribute())),
        any_value(&prefix(&third())),
        Span::At(entry(&group, &text("h"))),
        any_value(&prefix(&missing())),
    ];
    for search in &searches {
        for within in &spans {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for device in all.iter().filter(|device| fits(search, device)) {
                let texts = entries(device).into_iter().map(|entry| entry.text);
                for text in texts.filter(|text| within.has(text)) {
                    *counts.entry(text).or_default() += 1;
                }
            }
            let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
            counts.sort_by_key(|(_, count)| Reverse(*count));
            for limit in [0, 1, 2, 1000] {
                let tally = h.stores.tally_inventory(&t, search, within, limit).await.unwrap();
                let others = counts.iter().skip(limit).map(|(_, count)| count).sum();
                let top = counts.iter().take(limit).cloned().collect();
                assert_eq!(tally, Tally { top, others }, "{limit} of {within:?}, {search:?}");
            }
        }
    }
}

async fn texts_come_in_order_after_a_text(h: &Harness) {
    let t = tenant();
    let group = prefix(&AttributeName::system("group"));
    let names = ["b", "a", "é", "A", "-", "aa", "a"];
    for (n, name) in (0..).zip(names) {
        put(h, &t, &grouped(&format!("d{n}"), n, name)).await;
    }
    let expected = ["-", "A", "a", "aa", "b", "é"].map(|name| entry(&group, &text(name)));
    for limit in [1, 4, 1000] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().map(String::as_str);
            let more = h.stores.inventory_texts(&t, &any_value(&group), after, limit).await;
            let more = more.unwrap();
            assert!(more.len() <= limit);
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        assert_eq!(found, expected);
    }
    let after_none = entry(&group, &text("a\u{1}"));
    let rest = h.stores.inventory_texts(&t, &any_value(&group), Some(&after_none), 9).await;
    assert_eq!(rest.unwrap(), expected[3..]);
    let before = h.stores.inventory_texts(&t, &any_value(&group), Some(" "), 9).await.unwrap();
    assert_eq!(before, expected);
}
