//! Random inventories and searches, and two servers that must find the same.

#![expect(clippy::expect_used, reason = "two servers that cannot even be set up are a failed test")]

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ctx::Ctx,
    env::{Env, Time},
    event::{Event, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId},
    inventory::{AttributeName, How, NewAttribute, Op, Operand, Predicate, Query, Value, name},
    mender::{Builder, Mender},
    page::PageRequest,
    search::{DeviceSearch, Term},
    testing::TestEnv,
};

/// The most devices of an inventory.
const DEVICES: u64 = 16;

/// How many searches a case makes.
const SEARCHES: usize = 60;

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "b",
    "ab",
    "abc",
    "a b",
    "é",
    "e\u{301}",
    "\u{ffff}",
    "\u{1f600}",
    "\u{7f}",
    "~",
    "\u{1}",
    "true",
    "1",
    "%",
    "_",
    "'",
    "$1",
    "The Gateways 00:1B",
    "gateway of a lab",
    "lab",
];

const NUMBERS: &[f64] =
    &[0.0, -0.0, 1.0, 1.5, -1.0, 2.0, 1e300, -1e300, 5e-324, 9_007_199_254_740_993.0];

const PATTERNS: &[&str] = &[
    "",
    "a",
    "^a",
    "a$",
    "a.*",
    "^ab?",
    "/A/i",
    "(",
    "[a-b]+",
    ".",
    "b",
    "\u{1f600}",
    "(?i)THE",
    "a\\x20b",
    "$",
];

const NAMES: &[(&str, &str)] = &[
    (AttributeName::INVENTORY, "one"),
    (AttributeName::INVENTORY, "two"),
    (AttributeName::INVENTORY, "dots.and.$dollars"),
    (AttributeName::INVENTORY, "é \u{1f600}"),
    (AttributeName::IDENTITY, "mac"),
    (AttributeName::TAGS, name::NAME),
    (AttributeName::SYSTEM, name::GROUP),
    (AttributeName::SYSTEM, "one"),
    (AttributeName::MONITOR, "one"),
];

fn pick<T: Clone>(env: &Env, from: &[T]) -> T {
    from[usize::try_from(env.below(from.len() as u64)).unwrap_or_default()].clone()
}

fn some<T>(env: &Env, bound: u64, make: impl Fn(&Env) -> T) -> Vec<T> {
    (0..env.below(bound)).map(|_| make(env)).collect()
}

fn text(env: &Env) -> String {
    match env.below(20) {
        // Longer than what indexes keep as it is.
        0 => pick(env, &["x", "é", "xy"]).repeat(500) + pick(env, &["", "a", "b"]),
        _ => pick(env, TEXTS).to_owned(),
    }
}

fn number(env: &Env) -> f64 {
    pick(env, NUMBERS)
}

/// A value of any type that attributes can have.
#[must_use]
pub fn value(env: &Env) -> Value {
    match env.below(12) {
        0..5 => Value::Text(text(env)),
        5..8 => Value::Number(number(env)),
        8 => Value::Flag(env.below(2) == 0),
        9 => Value::Time(Time(pick(env, &[0, 1_767_268_800_000, -1]))),
        10 => Value::Texts(some(env, 4, text)),
        _ => match some(env, 4, number) {
            numbers if numbers.is_empty() => Value::Texts(vec![]),
            numbers => Value::Numbers(numbers),
        },
    }
}

/// The name of an attribute that devices may have, or of none.
#[must_use]
pub fn attribute_name(env: &Env) -> AttributeName {
    match env.below(12) {
        0 => AttributeName::device_id(),
        1 => AttributeName::identity("id"),
        2 => AttributeName::system(pick(env, &[name::CREATED, name::UPDATED])),
        3 => AttributeName::inventory("nobody has it"),
        _ => {
            let (scope, name) = pick(env, NAMES);
            AttributeName::new(scope, name)
        }
    }
}

/// Some attributes of a device.
#[must_use]
pub fn attributes(env: &Env) -> Vec<NewAttribute> {
    let attribute = |env: &Env| {
        let (scope, name) = pick(env, NAMES);
        NewAttribute::new(AttributeName::new(scope, name), value(env))
    };
    some(env, 8, attribute)
}

fn operand(env: &Env, depth: u32) -> Operand {
    match env.below(10) {
        0 => Operand::Null,
        1 | 2 if depth > 0 => Operand::List(some(env, 4, |env| operand(env, depth - 1))),
        3 => Operand::Value(Value::Text(pick(env, &["d1", "d2", "2026-01-01T12:00:00Z"]).into())),
        // Lists are written as such: a value is never one.
        _ => match value(env) {
            Value::Texts(_) | Value::Numbers(_) if depth == 0 => Operand::Null,
            Value::Texts(all) => {
                Operand::List(all.into_iter().map(Value::Text).map(Operand::Value).collect())
            }
            Value::Numbers(all) => {
                Operand::List(all.into_iter().map(Value::Number).map(Operand::Value).collect())
            }
            scalar => Operand::Value(scalar),
        },
    }
}

/// A condition, now and then one that makes no sense.
#[must_use]
pub fn predicate(env: &Env) -> Predicate {
    let op = pick(env, &Op::ALL);
    let operand = match op {
        Op::In | Op::Nin if env.below(10) > 0 => Operand::List(some(env, 5, |env| operand(env, 1))),
        Op::Regex if env.below(10) > 0 => Operand::Value(Value::Text(pick(env, PATTERNS).into())),
        _ => operand(env, 2),
    };
    Predicate { name: attribute_name(env), op, value: operand }
}

/// What is searched for, among devices with these ids and others.
#[must_use]
pub fn query(env: &Env, ids: &[DeviceId]) -> Query {
    let is_one_of = |n: u64| env.below(n) == 0;
    let filters = some(env, 4, predicate);
    let mut sort = some(env, 4, |env| (attribute_name(env), env.below(2) == 0));
    if let (Some(first), false) = (filters.first(), is_one_of(3)) {
        // By what is asked: what can fit lies together.
        sort.insert(0, (first.name.clone(), is_one_of(2)));
    }
    Query {
        filters,
        sort,
        ids: if is_one_of(6) && !ids.is_empty() {
            some(env, 6, |env| pick(env, ids))
        } else {
            vec![]
        },
        text: is_one_of(4).then(|| some(env, 4, text).join(" ")),
        plain_names: is_one_of(8),
    }
}

/// Has every event be written on both sides: each draws from the randomness for its id.
struct Everyone;

#[async_trait]
impl Subscriber for Everyone {
    fn name(&self) -> &'static str {
        "everyone"
    }

    fn kinds(&self) -> Kinds {
        Kinds::All
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        events.iter().map(|_| Outcome::Done).collect()
    }
}

fn ids() -> Vec<DeviceId> {
    (0..DEVICES).map(|n| format!("d{n}").parse().expect("an id")).collect()
}

/// Something that happens to an inventory.
async fn happen(env: &Env, mender: &Mender, time: &TestEnv) -> String {
    let (ctx, inventory) = (Ctx::system(TenantId::default()), mender.inventory());
    let id = pick(env, &ids());
    // Several devices may come in one millisecond.
    time.advance(Duration::from_millis(env.below(3)));
    match env.below(8) {
        0 => format!("{id} leaves: {:?}", inventory.remove(&ctx, &id).await),
        1..6 => {
            let new = attributes(env);
            format!("{id} is {new:?}: {:?}", inventory.create(&ctx, &id, new.clone()).await)
        }
        _ => {
            let new = attributes(env).into_iter();
            let new = new
                .map(|new| NewAttribute::new(AttributeName::inventory(new.name.name), new.value));
            let (new, how) = (new.collect::<Vec<_>>(), pick(env, &[How::Merge, How::Replace]));
            let answer = inventory.report(&ctx, &id, new.clone(), how).await;
            format!("{id} reports {new:?}: {answer:?}")
        }
    }
}

/// Searches; tells what was found.
async fn found(mender: &Mender, query: &Query, page: PageRequest) -> String {
    let ctx = Ctx::system(TenantId::default());
    match mender.inventory().search(&ctx, query, page).await {
        Ok(found) => format!("{} of them: {:?}", found.total, found.devices),
        Err(error) => format!("{:?}: {}", error.kind, error.what),
    }
}

/// What else an inventory shows as a whole.
async fn overview(mender: &Mender) -> String {
    let (ctx, inventory) = (Ctx::system(TenantId::default()), mender.inventory());
    let groups = inventory.groups(&ctx, None).await;
    let names = inventory.attribute_names(&ctx).await;
    let statistics = inventory.statistics(&ctx).await;
    format!("{groups:?}\n{names:?}\n{statistics:?}")
}

/// Reports; tells what was found and counted.
async fn reported(mender: &Mender, query: &Query, page: PageRequest) -> String {
    let ctx = Ctx::system(TenantId::default());
    let wanted = DeviceSearch { query: query.clone(), area: None };
    let found = match mender.search().search(&ctx, &wanted, page).await {
        Ok(found) => format!("{} of them: {:?}", found.total, found.devices),
        Err(error) => format!("{:?}: {}", error.kind, error.what),
    };
    let term = |(scope, name): &(&str, &str), terms| Term {
        name: (*name).to_owned(),
        attribute: AttributeName::new(*scope, *name),
        limit: 2,
        terms,
    };
    let terms = [term(&NAMES[0], vec![term(&NAMES[1], vec![])]), term(&NAMES[5], vec![])];
    let counted = match mender.search().aggregate(&ctx, &terms, &wanted).await {
        Ok(counted) => format!("{counted:?}"),
        Err(error) => format!("{:?}: {}", error.kind, error.what),
    };
    format!("{found}\n{counted}")
}

/// Makes the same random inventory on two servers, and compares what random searches find. Each
/// side gets a builder that lacks nothing but stores, for which it gives empty ones.
///
/// # Panics
/// Where the sides differ: with the seed, what was searched for, and both answers.
pub async fn searches_alike(
    seed: u64,
    left: impl AsyncFn(Builder) -> Mender,
    right: impl AsyncFn(Builder) -> Mender,
) {
    alike(seed, left, right, async |_| (), found).await;
}

/// Makes the same inventory on two servers, and compares what is found where devices are sorted by
/// the attribute that is asked for: one that is a list with no device, with few, or with many.
///
/// # Panics
/// As [`searches_alike`].
pub async fn sorted_searches_alike(
    left: impl AsyncFn(Builder) -> Mender,
    right: impl AsyncFn(Builder) -> Mender,
) {
    let times = [TestEnv::seeded(1), TestEnv::seeded(1)];
    let left = left(Mender::builder().env(times[0].env()).ephemeral_keys()).await;
    let right = right(Mender::builder().env(times[1].env()).ephemeral_keys()).await;
    let ctx = Ctx::system(TenantId::default());
    for (n, id) in ids().iter().enumerate() {
        for (mender, time) in [&left, &right].into_iter().zip(&times) {
            time.advance(Duration::from_millis(1));
            mender.inventory().create(&ctx, id, sorted_by(n)).await.expect("a device");
        }
    }
    let by = |name: &AttributeName| {
        [false, true].map(|second| {
            let second = second.then(|| (AttributeName::inventory("second"), true));
            let first = |descending| std::iter::once((name.clone(), descending));
            [first(true).chain(second.clone()).collect(), first(false).chain(second).collect()]
        })
    };
    for name in ["single", "few", "many"].map(AttributeName::inventory) {
        for (op, value) in Op::ALL.iter().flat_map(|op| operands().map(|value| (*op, value))) {
            let filters = vec![Predicate { name: name.clone(), op, value }];
            for sort in by(&name).into_iter().flatten() {
                let query = Query { filters: filters.clone(), sort, ..Query::default() };
                for page in [PageRequest::new(1, 500), PageRequest::new(2, 3)] {
                    let expected = found(&left, &query, page).await;
                    assert_eq!(found(&right, &query, page).await, expected, "{query:?} {page:?}");
                }
            }
        }
    }
}

/// The attributes of one of the devices of [`sorted_searches_alike`].
fn sorted_by(n: usize) -> Vec<NewAttribute> {
    let text = |text: &str| Value::Text(text.into());
    let texts = |all: &[&str]| Value::Texts(all.iter().map(|text| (*text).to_owned()).collect());
    let new = |name: &str, value| NewAttribute::new(AttributeName::inventory(name), value);
    let single = match n % 8 {
        0 | 3 => text("b"),
        1 => text("a"),
        2 => Value::Number(1.0),
        4 => text("c"),
        5 => Value::Number(2.0),
        6 => Value::Flag(true),
        _ => return vec![new("second", text(&n.to_string()))],
    };
    let list = match n / 2 {
        0 | 4 => texts(&["a", "c"]),
        1 => texts(&["b"]),
        2 => Value::Numbers(vec![3.0, 1.0, 2.0]),
        3 => texts(&[]),
        5 => texts(&["c", "b", "a", "b"]),
        _ => texts(&["b", "d"]),
    };
    let few = if matches!(n, 4 | 9) { list.clone() } else { single.clone() };
    let many = if n.is_multiple_of(3) { single.clone() } else { list };
    vec![
        new("single", single),
        new("few", few),
        new("many", many),
        new("second", text(&(n % 3).to_string())),
    ]
}

/// What the devices of [`sorted_searches_alike`] are asked for.
fn operands() -> impl Iterator<Item = Operand> {
    let text = |text: &str| Operand::Value(Value::Text(text.into()));
    // More than are gone through side by side.
    let many = ('c'..='n').rev().map(|c| text(&c.to_string()));
    let lists = [
        vec![text("a"), text("c")],
        vec![text("b"), Operand::Null, Operand::Value(Value::Number(2.0))],
        vec![text("b"), Operand::List(vec![text("a"), text("c")]), Operand::List(vec![])],
        many.chain([text("b"), text("zz")]).collect(),
    ];
    let values = [text("a"), text("b"), Operand::Value(Value::Number(1.0)), Operand::Null];
    values.into_iter().chain(lists.map(Operand::List))
}

/// As [`searches_alike`], but compares reports: what may come from an index beside the store.
/// `settle` has the index of a side know everything.
///
/// # Panics
/// As [`searches_alike`].
pub async fn reports_alike(
    seed: u64,
    left: impl AsyncFn(Builder) -> Mender,
    right: impl AsyncFn(Builder) -> Mender,
    settle: impl AsyncFn(&Mender),
) {
    alike(seed, left, right, settle, reported).await;
}

async fn alike(
    seed: u64,
    left: impl AsyncFn(Builder) -> Mender,
    right: impl AsyncFn(Builder) -> Mender,
    settle: impl AsyncFn(&Mender),
    ask: impl AsyncFn(&Mender, &Query, PageRequest) -> String,
) {
    let times = (TestEnv::seeded(seed), TestEnv::seeded(seed));
    let builder =
        |time: &TestEnv| Mender::builder().env(time.env()).ephemeral_keys().subscriber(Everyone);
    let left = left(builder(&times.0)).await;
    let right = right(builder(&times.1)).await;
    // Both sides must draw the same, and nothing else from the same source.
    let random = (TestEnv::seeded(!seed).env(), TestEnv::seeded(!seed).env());
    let mut history = Vec::new();
    let steps = (random.0.below(3 * DEVICES), random.1.below(3 * DEVICES));
    for _ in 0..steps.0.max(steps.1) {
        let done = happen(&random.0, &left, &times.0).await;
        let same = happen(&random.1, &right, &times.1).await;
        assert_eq!(done, same, "seed {seed}");
        history.push(done);
    }
    settle(&left).await;
    settle(&right).await;
    assert_eq!(overview(&left).await, overview(&right).await, "seed {seed}");
    for _ in 0..SEARCHES {
        let query = query(&random.0, &ids());
        let size = pick(&random.0, &[1, 2, 3, 5, 500]);
        let page = PageRequest::new(pick(&random.0, &[1, 1, 2, 3]), size);
        let expected = ask(&left, &query, page).await;
        let answer = ask(&right, &query, page).await;
        assert_eq!(
            answer,
            expected,
            "seed {seed}: {query:?} {page:?} after\n{}",
            history.join("\n")
        );
    }
}
