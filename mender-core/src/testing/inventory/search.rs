#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::collections::BTreeSet;

use crate::{
    commit::Commit,
    env::Time,
    id::TenantId,
    index::{Clause, Span},
    inventory::{
        AttributeName, Device, Search, Value,
        entries::{any_element, any_value, entries, entry, prefix, word, words_of},
    },
    testing::{
        contract::{Harness, claims},
        fixtures::{id, other_tenant, tenant},
        inventory::{commit, grouped, put, text, thing, with},
    },
};

claims!["inventory":
    every_form_of_condition_finds_what_fits,
    conditions_combine,
    all_types_are_told_apart,
    a_device_is_found_by_what_it_has_now,
    ids_restrict_a_search,
    devices_with_the_most_words_come_first,
    searches_and_counts_show_one_tenant,
];

/// The attribute of most conditions.
pub(super) fn attribute() -> AttributeName {
    AttributeName::inventory("a")
}

pub(super) fn texts(all: &[&str]) -> Value {
    Value::Texts(all.iter().map(|text| (*text).to_owned()).collect())
}

/// Values of every type, next to each other in order, and beside lists.
pub(super) fn values() -> Vec<Option<Value>> {
    let long = |end: &str| text(&("long".repeat(300) + end));
    let numbers = [-1e300, -1.0, -0.0, 0.5, 5.0, 1e300].map(Value::Number);
    let all =
        [text(""), text("v1"), text("v1\u{1}"), text("v2"), text("10"), text("é😀"), text("~")]
            .into_iter()
            .chain(numbers)
            .chain([long("a"), long("b"), Value::Flag(false), Value::Flag(true)])
            .chain([Time(-1), Time(0), Time(1_767_268_800_000)].map(Value::Time))
            .chain([
                texts(&["v1", "v2"]),
                texts(&["v2", "v1"]),
                texts(&[]),
                texts(&["", "z", "10"]),
            ])
            .chain([Value::Numbers(vec![5.0, -1.0, 7.0]), Value::Numbers(vec![5.0])]);
    all.map(Some).chain([None]).collect()
}

/// A device for each of the values, in groups; places go against the order of ids.
pub(super) async fn fleet(h: &Harness, t: &TenantId) -> Vec<Device> {
    let mut all = Vec::new();
    for (n, value) in (0_i32..).zip(values()) {
        let mut device =
            grouped(&format!("d{n:02}"), 100 - i64::from(n), ["g", "h"][n as usize % 2]);
        if let Some(value) = value {
            device.attributes.set(&attribute(), value.into());
        }
        device = with(device, "tags", "third", Value::Number(f64::from(n % 3)));
        put(h, t, &device).await;
        all.push(device);
    }
    all.sort_by_key(|device| device.place);
    all
}

/// Tells whether a device fits, as the contract says it.
pub(super) fn fits(search: &Search, device: &Device) -> bool {
    let entries = entries(device);
    let words = words_of(device);
    let texts: Vec<&str> =
        entries.iter().map(|e| e.text.as_str()).chain(words.iter().map(String::as_str)).collect();
    search.all.iter().all(|clause| clause.holds(&texts))
        && search.ids.as_ref().is_none_or(|ids| ids.contains(&device.id))
        && (search.words.is_empty() || search.words.iter().any(|word| words.contains(word)))
}

pub(super) fn ids(devices: &[Device]) -> Vec<String> {
    devices.iter().map(|device| device.id.to_string()).collect()
}

/// Searches; counts and walks must find the same.
pub(super) async fn list(h: &Harness, t: &TenantId, search: &Search) -> Vec<String> {
    let found = h.stores.search_inventory(t, search, 0, 1000).await.unwrap();
    let count = h.stores.count_inventory(t, search).await.unwrap();
    assert_eq!(count, found.len() as u64, "{search:?}");
    let walked = h.stores.walk_inventory(t, search, None, 1000).await.unwrap();
    assert!(walked.is_sorted_by_key(|device| device.place));
    let set = |devices: &[Device]| ids(devices).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(&walked), set(&found), "{search:?}");
    ids(&found)
}

/// What fits of the devices, by place.
fn expected(search: &Search, all: &[Device]) -> Vec<String> {
    let fitting: Vec<Device> = all.iter().filter(|d| fits(search, d)).cloned().collect();
    ids(&fitting)
}

fn point(value: &Value) -> Span {
    Span::At(entry(&prefix(&attribute()), value))
}

fn within(from: &Value, to: &Value) -> Span {
    let prefix = prefix(&attribute());
    Span::Within { from: entry(&prefix, from), to: entry(&prefix, to) }
}

/// Conditions of every form.
fn clauses() -> Vec<Clause> {
    let prefix = prefix(&attribute());
    let points = vec![point(&text("v1")), point(&text("nobody's")), point(&Value::Number(5.0))];
    let middle = vec![within(&text("v"), &text("v2")), within(&Value::Number(-0.0), &text("1"))];
    let empty = vec![within(&text("z"), &text("a"))];
    let mixed: Vec<Span> = points.iter().chain(&middle).cloned().collect();
    let any = vec![any_value(&prefix)];
    let some_or_none =
        |some: &[Span], none: &[Span]| Clause { some: some.to_vec(), none: Some(none.to_vec()) };
    let mut all = vec![
        Clause::some(vec![]),
        Clause::none(vec![]),
        some_or_none(&[], &any),
        some_or_none(&middle, &any),
        some_or_none(&points, &any),
        some_or_none(&points, &middle),
        some_or_none(&empty, &points),
        some_or_none(&points, &[]),
        Clause::some((0..1000).map(|n| point(&Value::Number(f64::from(n)))).collect()),
        Clause::some(vec![any_element(&prefix)]),
        Clause::some(vec![Span::beginning(&format!("{prefix}sv"))]),
    ];
    for spans in [&points, &middle, &empty, &mixed, &any] {
        all.push(Clause::some(spans.clone()));
        all.push(Clause::none(spans.clone()));
    }
    all
}

async fn every_form_of_condition_finds_what_fits(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    for clause in clauses() {
        let search = Search::all().and(clause);
        assert_eq!(list(h, &t, &search).await, expected(&search, &all), "{search:?}");
    }
}

async fn conditions_combine(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    let group =
        Clause::some(vec![Span::At(entry(&prefix(&AttributeName::system("group")), &text("g")))]);
    for first in clauses() {
        let both = Search::all().and(first.clone()).and(group.clone());
        assert_eq!(list(h, &t, &both).await, expected(&both, &all), "{both:?}");
    }
    // Of lists, each condition may be met by another element.
    let list_of = |from: &str, to: &str| Clause::some(vec![within(&text(from), &text(to))]);
    let apart = Search::all().and(list_of("v1", "v1\u{1}")).and(list_of("v2", "v3"));
    assert_eq!(list(h, &t, &apart).await, expected(&apart, &all));
    assert_eq!(list(h, &t, &apart).await.len(), 2);
    let between = Search::all().and(list_of("v1\u{2}", "v2"));
    assert_eq!(list(h, &t, &between).await, [""; 0]);
}

async fn all_types_are_told_apart(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    for value in values().into_iter().flatten() {
        let search = Search::all().and(Clause::some(vec![point(&value)]));
        let found = list(h, &t, &search).await;
        assert_eq!(found, expected(&search, &all), "{value:?}");
        assert!(!found.is_empty());
    }
}

async fn a_device_is_found_by_what_it_has_now(h: &Harness) {
    let t = tenant();
    let first = with(thing("d", 1), "inventory", "a", texts(&["old", "both"]));
    put(h, &t, &first).await;
    put(h, &t, &with(thing("e", 2), "inventory", "a", text("both"))).await;
    let of = async |value: &str| {
        let by_value = Search::all().and(Clause::some(vec![point(&text(value))]));
        let found = list(h, &t, &by_value).await;
        let by_word = Search { words: vec![word(value)], ..Search::default() };
        assert_eq!(list(h, &t, &by_word).await, found);
        found
    };
    // Lists have no words.
    let of_list = Search::all().and(Clause::some(vec![point(&text("old"))]));
    assert_eq!(list(h, &t, &of_list).await, ["d"]);
    let to = with(first.clone(), "inventory", "a", text("new"));
    let change = Commit::update(first, to);
    commit(h, &t, change.clone()).await.unwrap();
    assert_eq!(of("new").await, ["d"]);
    assert_eq!(list(h, &t, &of_list).await, [""; 0]);
    let was = change.aggregate().cloned().unwrap();
    let mut to = was.clone();
    to.attributes.remove(&attribute());
    let change = Commit::update(was, to);
    commit(h, &t, change.clone()).await.unwrap();
    assert_eq!(of("new").await, [""; 0]);
    let missing = Search::all().and(Clause::none(vec![any_value(&prefix(&attribute()))]));
    assert_eq!(list(h, &t, &missing).await, ["d"]);
    commit(h, &t, Commit::delete(change.aggregate().cloned().unwrap())).await.unwrap();
    assert_eq!(list(h, &t, &missing).await, [""; 0]);
    assert_eq!(list(h, &t, &Search::all()).await, ["e"]);
    let mut again = with(thing("d", 3), "inventory", "a", text("fresh"));
    again.version.0 += 1_000_000;
    put(h, &t, &again).await;
    assert_eq!(of("fresh").await, ["d"]);
    assert_eq!(list(h, &t, &missing).await, [""; 0]);
}

async fn ids_restrict_a_search(h: &Harness) {
    let t = tenant();
    let all = fleet(h, &t).await;
    let choices: [&[&str]; 4] = [&[], &["d03"], &["d05", "ghost", "d01", "d05"], &["ghost"]];
    for names in choices {
        let named: Vec<_> = names.iter().map(|name| id(name)).collect();
        for clause in
            [None, Some(Clause::none(vec![point(&text("v1"))])), Some(Clause::some(vec![]))]
        {
            let mut search = Search::all().with_ids(named.clone());
            search.all.extend(clause);
            assert_eq!(list(h, &t, &search).await, expected(&search, &all), "{search:?}");
        }
    }
    let every = Search::all().with_ids(all.iter().map(|device| device.id.clone()).collect());
    assert_eq!(list(h, &t, &every).await, ids(&all));
}

async fn devices_with_the_most_words_come_first(h: &Harness) {
    let t = tenant();
    let all = [("w1", "alpha"), ("w2", "gamma alpha"), ("w3", "beta alpha gamma"), ("w4", "delta")];
    for (n, (name, words)) in (0..).zip(all) {
        put(h, &t, &with(thing(name, 9 - n), "tags", "words", text(words))).await;
    }
    let words = ["alpha", "beta", "gamma", "nobody's"].map(word).to_vec();
    let search = Search { words, ..Search::default() };
    assert_eq!(list(h, &t, &search).await, ["w3", "w2", "w1"]);
    for skip in 0..4 {
        let page = h.stores.search_inventory(&t, &search, skip, 1).await.unwrap();
        let expected = ["w3", "w2", "w1"].get(usize::try_from(skip).unwrap());
        assert_eq!(ids(&page).first().map(String::as_str), expected.copied());
    }
    let one = Search { words: vec![word("alpha")], ..Search::default() };
    assert_eq!(list(h, &t, &one).await, ["w3", "w2", "w1"], "by place where alike");
    let some = one.clone().with_ids(vec![id("w1"), id("w4")]);
    assert_eq!(list(h, &t, &some).await, ["w1"]);
    let tag = prefix(&AttributeName::tag("words"));
    let other = Clause::none(vec![Span::At(entry(&tag, &text("alpha")))]);
    assert_eq!(list(h, &t, &one.and(other)).await, ["w3", "w2"]);
    let nothing = Search { words: vec![word("nobody's")], ..Search::default() };
    assert_eq!(list(h, &t, &nothing).await, [""; 0]);
}

async fn searches_and_counts_show_one_tenant(h: &Harness) {
    fleet(h, &tenant()).await;
    let theirs = with(grouped("d01", 1, "g"), "inventory", "a", text("v1 alpha"));
    put(h, &other_tenant(), &theirs).await;
    let any = any_value(&prefix(&attribute()));
    let searches = [
        Search::all(),
        Search::all().and(Clause::some(vec![any.clone()])),
        Search::all().and(Clause::none(vec![point(&text("v1"))])),
        Search::all().with_ids(vec![id("d01"), id("d02")]),
        Search { words: vec![word("alpha"), word("v1")], ..Search::default() },
    ];
    for search in searches {
        assert_eq!(list(h, &other_tenant(), &search).await, ["d01"], "{search:?}");
        assert_eq!(list(h, &TenantId::default(), &search).await, [""; 0]);
    }
    let found = h.stores.search_inventory(&other_tenant(), &Search::all(), 0, 9).await.unwrap();
    assert_eq!(found, [theirs]);
    let tally = h.stores.tally_inventory(&other_tenant(), &Search::all(), &any, 9).await.unwrap();
    assert_eq!((tally.top.len(), tally.others), (1, 0));
    let texts = h.stores.inventory_texts(&other_tenant(), &any, None, 9).await.unwrap();
    assert_eq!(texts.len(), 1);
    let texts = h.stores.inventory_texts(&TenantId::default(), &any, None, 9).await.unwrap();
    assert_eq!(texts, [""; 0]);
}
