#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

pub(super) mod filters;
pub(super) mod lists;
pub(super) mod search;

use tokio::task::JoinSet;

use crate::{
    commit::Commit,
    env::Time,
    error::{StoreError, StoreResult},
    id::{TenantId, Version},
    inventory::{
        Attribute, AttributeName, Attributes, Device, Place, Search, Value,
        entries::{MAX_ELEMENTS, MAX_ENTRIES, MAX_WORDS},
        name,
    },
    testing::{
        contract::{Harness, claims},
        fixtures::{
            ODD_IDS, TASKS, at, fact, id, is_conflict, is_duplicate, is_taken, other_tenant, tenant,
        },
    },
};

claims!["inventory":
    an_unknown_device_is_none,
    a_device_is_returned_as_it_was_stored,
    odd_ids_and_names_are_kept,
    the_largest_device_is_kept_and_found,
    a_change_applies_to_its_version_only,
    another_device_at_the_place_is_a_duplicate,
    a_taken_id_conflicts,
    an_id_and_a_place_are_free_after_the_end,
    a_device_may_be_in_two_tenants,
    events_are_written_with_the_change_only,
    versions_have_no_gaps_under_contention,
    an_id_is_taken_once_under_contention,
    a_place_is_taken_once_under_contention,
];

/// A device without attributes, the n-th by place.
pub(super) fn thing(name: &str, n: i64) -> Device {
    Device {
        id: id(name),
        place: Place((1 << 60) + n),
        attributes: Attributes::default(),
        revision: 0,
        etag: None,
        identities: Vec::new(),
        version: Version(at(0).0),
    }
}

/// The device with this attribute as well.
pub(super) fn with(mut device: Device, scope: &str, name: &str, value: Value) -> Device {
    device.attributes.set(&AttributeName::new(scope, name), value.into());
    device
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The n-th device, in a group.
pub(super) fn grouped(name: &str, n: i64, group: &str) -> Device {
    with(thing(name, n), AttributeName::SYSTEM, name::GROUP, text(group))
}

pub(super) async fn commit(h: &Harness, t: &TenantId, commit: Commit<Device>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_inventory(t, stamped).await
}

pub(super) async fn put(h: &Harness, t: &TenantId, device: &Device) {
    commit(h, t, Commit::insert(device.clone())).await.unwrap();
}

async fn get(h: &Harness, t: &TenantId, name: &str) -> Option<Device> {
    h.stores.inventory_device(t, &id(name)).await.unwrap()
}

async fn count(h: &Harness, t: &TenantId) -> u64 {
    h.stores.count_inventory(t, &Search::all()).await.unwrap()
}

async fn an_unknown_device_is_none(h: &Harness) {
    assert_eq!(get(h, &tenant(), "ghost").await, None);
    assert_eq!(count(h, &tenant()).await, 0);
}

/// A device with a value of every kind.
fn full(name: &str) -> Device {
    let numbers = [0.0, -1.5, 0.1 + 0.2, 1e300, -1e-300, 9_007_199_254_740_993.0, f64::MIN];
    let values = [
        text(""),
        text("plain"),
        text("é😀\u{7f}\u{ffff}\"\\\n'; --"),
        text(&"long ".repeat(2000)),
        Value::Number(5.0),
        Value::Flag(true),
        Value::Flag(false),
        Value::Time(Time(-1)),
        Value::Time(Time(253_402_300_799_999)),
        Value::Texts(vec![]),
        Value::Texts(vec!["b".into(), "a".into(), "b".into(), String::new()]),
        Value::Numbers(numbers.to_vec()),
    ];
    let mut device = thing(name, 7);
    let all = values.into_iter().chain(numbers.into_iter().map(Value::Number));
    for (n, value) in all.enumerate() {
        let scope = AttributeName::SCOPES[n % 5];
        device.attributes.set(&AttributeName::new(scope, format!("n{n}")), value.into());
    }
    device
}

async fn a_device_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    let mut full = full("full");
    let described = Attribute {
        value: Value::Time(at(3)),
        description: Some("wörds".into()),
        timestamp: Some(Time(-5)),
    };
    full.attributes.set(&AttributeName::tag("described"), described.clone());
    let bare = Attribute { description: None, ..described.clone() };
    full.attributes.set(&AttributeName::tag("timed"), bare);
    full.attributes.set(&AttributeName::tag("told"), Attribute { timestamp: None, ..described });
    (full.revision, full.etag) = (i64::MAX, Some("\"étag\"".into()));
    full.identities = vec!["a".into(), String::new(), "a".into()];
    full.version = Version(1 << 50);
    put(h, &t, &full).await;
    assert_eq!(get(h, &t, "full").await, Some(full.clone()));

    let mut bare = thing("full", 7);
    bare.place = Place(1 << 61);
    let change = Commit::update(full.clone(), bare);
    commit(h, &t, change.clone()).await.unwrap();
    assert_eq!(get(h, &t, "full").await.as_ref(), change.aggregate());
    let back = Commit::update(change.aggregate().cloned().unwrap(), full.clone());
    commit(h, &t, back.clone()).await.unwrap();
    assert_eq!(get(h, &t, "full").await.as_ref(), back.aggregate());

    for (revision, etag, identities) in [(1, None, "a"), (1, Some("x"), "a"), (1, Some("x"), "b")] {
        let was = get(h, &t, "full").await.unwrap();
        let mut to = was.clone();
        (to.revision, to.etag) = (revision, etag.map(str::to_owned));
        to.identities = vec![identities.into()];
        let change = Commit::update(was, to);
        commit(h, &t, change.clone()).await.unwrap();
        assert_eq!(get(h, &t, "full").await.as_ref(), change.aggregate());
    }
}

async fn odd_ids_and_names_are_kept(h: &Harness) {
    let t = tenant();
    let long = "😀".repeat(256);
    let names = ["$set", "a.b.c", ".", "__proto__", "at", "v", "t"];
    let mut all = Vec::new();
    for (n, odd) in ODD_IDS.into_iter().chain([long.as_str()]).chain(names).enumerate() {
        let mut device = thing(odd, i64::try_from(n).unwrap());
        for other in names.into_iter().chain(ODD_IDS) {
            device = with(device, AttributeName::INVENTORY, other, text(odd));
            device = with(device, other, odd, text(other));
        }
        put(h, &t, &device).await;
        all.push(device);
    }
    for device in all {
        assert_eq!(get(h, &t, device.id.as_str()).await, Some(device));
    }
}

/// As many index texts as core makes of one device, and almost as many bytes as it allows.
fn largest(version: i64) -> Device {
    let mut device = thing("large", 1);
    device.version = Version(version);
    let words: Vec<String> = (0..MAX_WORDS).map(|n| format!("word{n:05}")).collect();
    device = with(device, AttributeName::TAGS, "words", text(&words.join(" ")));
    for n in 0..MAX_ENTRIES {
        let value = text(&format!("{n:05} {}", "é".repeat(600)));
        device = with(device, AttributeName::INVENTORY, &format!("{n:05}"), value);
    }
    let list = (0..2 * MAX_ELEMENTS).map(|n| format!("{n:05}")).collect();
    with(device, AttributeName::INVENTORY, "00690 list", Value::Texts(list))
}

async fn the_largest_device_is_kept_and_found(h: &Harness) {
    let t = tenant();
    for version in [1000, 2000] {
        let large = largest(version);
        put(h, &t, &large).await;
        assert_eq!(get(h, &t, "large").await.as_ref(), Some(&large));
        let found = h.stores.search_inventory(&t, &Search::all(), 0, 10).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&large));
        let change = Commit::update(large, thing("large", 1));
        commit(h, &t, change.clone()).await.unwrap();
        let last = Commit::delete(change.aggregate().cloned().unwrap());
        commit(h, &t, last).await.unwrap();
    }
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = grouped("d", 1, "g");
    let to = with(first.clone(), AttributeName::TAGS, "a", text("b"));
    let change = Commit::update(first.clone(), to.clone()).event(fact("i"));
    is_conflict(commit(h, &t, change.clone()).await);
    is_conflict(commit(h, &t, Commit::delete(first.clone()).event(fact("i"))).await);
    put(h, &t, &first).await;
    let quiet = Commit::update(first.clone(), to);
    commit(h, &t, quiet.clone()).await.unwrap();
    is_conflict(commit(h, &t, change).await);
    is_conflict(commit(h, &t, Commit::delete(first).event(fact("i"))).await);
    assert_eq!(get(h, &t, "d").await.as_ref(), quiet.aggregate());
    assert_eq!(h.events().await, []);
}

async fn another_device_at_the_place_is_a_duplicate(h: &Harness) {
    let t = tenant();
    put(h, &t, &thing("a", 1)).await;
    let second = Commit::insert(thing("b", 1)).event(fact("i"));
    is_duplicate(commit(h, &t, second).await, "place");
    assert_eq!(get(h, &t, "b").await, None);
    assert_eq!(count(h, &t).await, 1);
    assert_eq!(h.events().await, []);
    put(h, &t, &thing("b", 2)).await;
    put(h, &other_tenant(), &thing("b", 1)).await;
}

async fn a_taken_id_conflicts(h: &Harness) {
    let t = tenant();
    let first = grouped("a", 1, "g");
    put(h, &t, &first).await;
    is_conflict(commit(h, &t, Commit::insert(thing("a", 2)).event(fact("i"))).await);
    is_taken(&commit(h, &t, Commit::insert(first.clone())).await);
    assert_eq!(get(h, &t, "a").await, Some(first));
    assert_eq!(count(h, &t).await, 1);
    assert_eq!(h.events().await, []);
}

async fn an_id_and_a_place_are_free_after_the_end(h: &Harness) {
    let t = tenant();
    for round in 1..4 {
        let mut again = grouped("a", 1, &format!("g{round}"));
        again.version = Version(round * 1000);
        put(h, &t, &again).await;
        assert_eq!(get(h, &t, "a").await.as_ref(), Some(&again));
        let listed = h.stores.walk_inventory(&t, &Search::all(), None, 10).await.unwrap();
        assert_eq!(listed, [again.clone()]);
        commit(h, &t, Commit::delete(again).event(fact("i.gone"))).await.unwrap();
        assert_eq!(get(h, &t, "a").await, None);
        let listed = h.stores.walk_inventory(&t, &Search::all(), None, 10).await.unwrap();
        assert_eq!(listed, []);
        assert_eq!(count(h, &t).await, 0);
    }
    put(h, &t, &thing("b", 1)).await;
    assert_eq!(h.events().await.len(), 3);
}

async fn a_device_may_be_in_two_tenants(h: &Harness) {
    let (mine, theirs) = (grouped("a", 1, "mine"), grouped("a", 1, "theirs"));
    put(h, &tenant(), &mine).await;
    put(h, &other_tenant(), &theirs).await;
    assert_eq!(get(h, &TenantId::default(), "a").await, None);
    commit(h, &tenant(), Commit::delete(mine)).await.unwrap();
    assert_eq!(get(h, &tenant(), "a").await, None);
    assert_eq!(get(h, &other_tenant(), "a").await, Some(theirs));
}

async fn events_are_written_with_the_change_only(h: &Harness) {
    let t = tenant();
    let first = thing("a", 1);
    let to = with(first.clone(), AttributeName::TAGS, "a", text("b"));
    let change = Commit::update(first.clone(), to).event(fact("i.2")).event(fact("i.3"));
    let last = Commit::delete(change.aggregate().cloned().unwrap()).event(fact("i.4"));
    let mut written = Vec::new();
    for commit in [Commit::insert(first).event(fact("i.1")), change, last] {
        let stamped = h.stamp(&t, commit);
        written.extend(stamped.events.clone());
        h.stores.commit_inventory(&t, stamped).await.unwrap();
    }
    written.sort_by(|a, b| a.id.cmp(&b.id));
    let mut events = h.events().await;
    events.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(events, written);
}

async fn versions_have_no_gaps_under_contention(h: &Harness) {
    const ROUNDS: usize = 5;
    let first = thing("d", 1);
    put(h, &tenant(), &first).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while done < ROUNDS {
                let was = get(&h, &tenant(), "d").await.unwrap();
                h.waver().await;
                let name = format!("{task}/{done}");
                let to = with(was.clone(), AttributeName::INVENTORY, &name, text("x"));
                let change = Commit::update(was, to).event(fact("i.changed"));
                match commit(&h, &tenant(), change).await {
                    Ok(()) => done += 1,
                    Err(StoreError::Conflict) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let last = get(h, &tenant(), "d").await.unwrap();
    let changes = i64::try_from(TASKS * ROUNDS).unwrap();
    assert_eq!(last.version, Version(first.version.0 + changes));
    assert_eq!(last.attributes.count(AttributeName::INVENTORY), TASKS * ROUNDS);
    let found = h.stores.search_inventory(&tenant(), &Search::all(), 0, 10).await.unwrap();
    assert_eq!(found, [last]);
    let mut versions: Vec<i64> = h.events().await.iter().map(|e| e.version.0).collect();
    versions.sort_unstable();
    let expected: Vec<i64> = (1..=changes).map(|n| first.version.0 + n).collect();
    assert_eq!(versions, expected);
}

/// Inserts at the same time; tells how many devices were stored.
async fn contend(h: &Harness, device: impl Fn(usize) -> Device) -> usize {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (h, device) = (h.clone(), device(task));
        tasks.spawn(async move {
            h.waver().await;
            commit(&h, &tenant(), Commit::insert(device).event(fact("i"))).await
        });
    }
    let answers = tasks.join_all().await;
    answers.iter().filter(|a| a.is_err()).for_each(is_taken);
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(h.events().await.len(), stored);
    assert_eq!(count(h, &tenant()).await, stored as u64);
    stored
}

async fn an_id_is_taken_once_under_contention(h: &Harness) {
    let stored = contend(h, |task| thing("d", i64::try_from(task).unwrap())).await;
    assert_eq!(stored, 1);
}

async fn a_place_is_taken_once_under_contention(h: &Harness) {
    let stored = contend(h, |task| thing(&format!("d{task}"), 1)).await;
    assert_eq!(stored, 1);
}
