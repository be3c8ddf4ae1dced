#![expect(clippy::expect_used, reason = "a case that cannot be set up fails, as every test does")]
#![expect(clippy::needless_pass_by_value, reason = "answers are judged where they are given")]

use std::{collections::BTreeMap, fmt::Debug, str::FromStr, time::Duration};

use serde_json::json;

use crate::{
    auth::{AuthSet, AuthTenant, Device, Identity, Seen, Status, Tier},
    commit::{Aggregate, Commit, Draw, Stamped},
    ctx::Actor,
    env::Time,
    error::{StoreError, StoreResult},
    event::{Event, NewEvent},
    id::{TenantId, UserId, Version},
    outbox::LEASE,
    testing::contract::Harness,
    users::{Account, Membership},
};

/// How many tasks contend in the cases about races.
pub(super) const TASKS: usize = 8;

/// Ids that are unusual and allowed, in the order of their characters.
pub(super) const ODD_IDS: [&str; 12] =
    [" ", "%_'\"\\", "../x", "0", "A", "Z", "a", "a b", "a/b", "é", "\u{fffd}", "😀"];

pub(super) fn id<I: FromStr<Err: Debug>>(text: &str) -> I {
    text.parse().expect("an id")
}

pub(super) fn tenant() -> TenantId {
    id("one")
}

pub(super) fn other_tenant() -> TenantId {
    id("two")
}

/// A moment of the tests, `millis` after their start.
pub(super) fn at(millis: i64) -> Time {
    Time(1_767_268_800_000 + millis)
}

pub(super) fn identity(n: impl Debug) -> Identity {
    Identity::from_value(&json!({ "sn": format!("{n:?}") })).expect("an identity")
}

pub(super) fn set(id_: &str, status: Status) -> AuthSet {
    AuthSet {
        id: id(id_),
        key: format!("-----BEGIN PUBLIC KEY-----\n{id_}\n-----END PUBLIC KEY-----\n"),
        tier: Tier::Standard,
        status,
        live: false,
        from: 0,
        created: at(0),
    }
}

/// A pending device with one set, `set-<id>`.
pub(super) fn device(name: &str) -> Device {
    Device {
        id: id(name),
        identity: identity(name),
        sets: vec![set(&format!("set-{name}"), Status::Pending)],
        status: Status::Pending,
        tier: Tier::Standard,
        group: None,
        leaving: false,
        provisioned: false,
        test: false,
        external: None,
        from: 0,
        created: at(0),
        updated: at(0),
        version: Version::FIRST,
    }
}

pub(super) fn device_with(name: &str, status: Status, group: Option<&str>) -> Device {
    let mut device = device(name);
    device.status = status;
    device.sets[0].status = status;
    device.group = group.map(Into::into);
    device
}

pub(super) fn auth_tenant(tenant: &TenantId) -> AuthTenant {
    AuthTenant {
        limits: BTreeMap::new(),
        version: Version(at(0).0),
        ..AuthTenant::new(tenant.clone())
    }
}

pub(super) fn account(name: &str, tenants: &[TenantId]) -> Account {
    let member =
        |tenant: &TenantId| Membership { tenant: tenant.clone(), roles: vec!["röle".into()] };
    Account {
        id: id::<UserId>(name),
        email: id(&format!("{name}@acme.com")),
        password: "$argon2id$…".into(),
        memberships: tenants.iter().map(member).collect(),
        sessions: Vec::new(),
        created: at(1),
        updated: at(2),
        login: None,
        version: Version(at(0).0),
    }
}

pub(super) fn fact(kind: &str) -> NewEvent {
    NewEvent {
        kind: kind.into(),
        v: 3,
        payload: json!({ "text": "é😀", "n": [1, -2.5, null], "deep": { "a": { "b": true } } }),
    }
}

pub(super) fn seen(tenant: &TenantId, device: &str, millis: i64) -> Seen {
    Seen { tenant: tenant.clone(), device: id(device), at: at(millis) }
}

/// Draws on the quota `q`.
pub(super) fn drawn<A: Aggregate>(commit: Commit<A>, draw: Draw) -> Commit<A> {
    commit.charge("q", draw)
}

/// The next state of a device, one version on.
pub(super) fn touched(was: &Device, millis: i64) -> Commit<Device> {
    let mut to = was.clone();
    to.updated = at(millis);
    Commit::update(was.clone(), to)
}

impl Harness {
    /// Completes a commit as the kernel does.
    pub(super) fn stamp<A: Aggregate>(&self, tenant: &TenantId, commit: Commit<A>) -> Stamped<A> {
        let env = self.time.env();
        let now = env.now();
        let about =
            commit.aggregate().map(|a| (a.id().to_owned(), a.version())).unwrap_or_default();
        let event = |event: NewEvent| Event {
            id: id(&env.uuid()),
            tenant: tenant.clone(),
            aggregate: A::KIND.into(),
            key: about.0.clone(),
            version: about.1,
            kind: event.kind,
            v: event.v,
            at: now,
            actor: Actor::User(id("usér")),
            trace: "tráce".into(),
            payload: event.payload,
        };
        Stamped {
            id: env.uuid(),
            charges: commit.charges,
            events: commit.events.into_iter().map(event).collect(),
            lease_until: now + LEASE,
            invalidates: commit.invalidates,
            at: now,
            change: commit.change,
        }
    }

    pub(super) async fn commit_device(
        &self,
        tenant: &TenantId,
        commit: Commit<Device>,
    ) -> StoreResult<()> {
        let stamped = self.stamp(tenant, commit);
        self.stores.commit_device(tenant, stamped).await
    }

    pub(super) async fn insert_device(&self, tenant: &TenantId, device: &Device) {
        self.commit_device(tenant, Commit::insert(device.clone()))
            .await
            .expect("a new device is stored");
    }

    pub(super) async fn device(&self, tenant: &TenantId, name: &str) -> Option<Device> {
        let device = self.stores.device(tenant, &id(name)).await;
        device.expect("the store answers")
    }

    pub(super) async fn commit_account(&self, commit: Commit<Account>) -> StoreResult<()> {
        let stamped = self.stamp(&TenantId::default(), commit);
        self.stores.commit_account(stamped).await
    }

    /// Takes over every event that is not settled, whoever holds it.
    pub(super) async fn events(&self) -> Vec<Event> {
        self.time.advance(LEASE * 10);
        let now = self.time.env().now();
        let events = self.stores.claim_events(now, now + Duration::from_secs(1), 100_000).await;
        events.expect("the journal answers")
    }

    /// Returns what is free and what is used of a quota, once nothing is under way.
    pub(super) async fn settled_quota(&self, tenant: &TenantId, name: &str) -> (i64, i64) {
        let now = self.time.env().now();
        let swept = self.stores.sweep_quotas(now, 10_000).await;
        swept.expect("quotas are swept");
        let quota = self.stores.quota(tenant, name).await.expect("a quota");
        (quota.free, quota.used)
    }

    /// Gives way to other tasks, a random number of times.
    pub(super) async fn waver(&self) {
        for _ in 0..self.time.env().below(4) {
            tokio::task::yield_now().await;
        }
    }
}

#[track_caller]
pub(super) fn is_conflict<T: Debug>(answer: StoreResult<T>) {
    assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
}

#[track_caller]
pub(super) fn is_duplicate<T: Debug>(answer: StoreResult<T>, name: &str) {
    let duplicate = matches!(&answer, Err(StoreError::Duplicate { field }) if *field == name);
    assert!(duplicate, "{answer:?} is no Duplicate {{ {name} }}");
}

/// What exists already: by its id, its unique field, or both.
#[track_caller]
pub(super) fn is_taken<T: Debug>(answer: &StoreResult<T>) {
    let taken = matches!(answer, Err(StoreError::Conflict | StoreError::Duplicate { .. }));
    assert!(taken, "{answer:?}");
}

#[track_caller]
pub(super) fn is_over_limit<T: Debug>(answer: StoreResult<T>, name: &str) {
    let over = matches!(&answer, Err(StoreError::LimitReached { quota }) if quota == name);
    assert!(over, "{answer:?} is no LimitReached {{ {name} }}");
}
