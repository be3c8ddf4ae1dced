//! Random calls of the areas' ports give the same answers as the reference in memory.

use std::fmt::Debug;

use mender_core::{
    Actor, DeviceId, Env, Event, Stamped, StoreError, StoreResult, TenantId, Time, Version,
    auth::{
        AcceptRule, AuthSet, AuthSetId, AuthTenant, Device, DeviceFilter, ExternalId, Identity,
        Limit, Seen, Status, Store as _, Tier,
    },
    commit::{Aggregate, Change, Charge, Draw, Topic},
    kit::MemoryStores,
    outbox::Journal as _,
    quota::Quotas as _,
    tenants::{Addon, Plan, Store as _, Tenant, TenantStatus},
    testing::TestEnv,
    users::{Account, Membership, Session, Store as _},
};
use serde_json::json;

use super::support::{Db, databases, setting};
use crate::SqlStore;

const CALLS: usize = 150;

/// Both stores, and where the random choices come from.
struct Pair {
    memory: MemoryStores,
    sql: SqlStore,
    env: Env,
    name: String,
}

fn text<T: Debug>(answer: &StoreResult<T>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Unavailable(error)) => panic!("{error}"),
        Err(error) => error.to_string(),
    }
}

/// Calls both stores alike, and compares.
macro_rules! both {
    ($pair:expr, |$store:ident| $call:expr) => {{
        let $store = &$pair.memory;
        let expected = $call;
        let $store = &$pair.sql;
        let answer = $call;
        let what = stringify!($call);
        assert_eq!(text(&answer), text(&expected), "{}: {what}", $pair.name);
        answer
    }};
}

mod artifacts;
mod deployments;
mod inventory;

impl Pair {
    fn below(&self, bound: u64) -> u64 {
        self.env.below(bound)
    }

    fn maybe(&self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }

    fn some<T>(&self, most: u64, make: impl Fn(&Self) -> T) -> Vec<T> {
        (0..=self.below(most)).map(|_| make(self)).collect()
    }

    fn tenant(&self) -> TenantId {
        self.pick(&["", "t1"]).parse().unwrap()
    }

    fn id(&self) -> String {
        let name = self.pick(&["a", "B", "é", "\u{1F600}", "z z", "_%"]);
        format!("{name}{}", self.below(2))
    }

    fn group(&self) -> String {
        self.pick(&["g1", "G1", "ö"]).to_owned()
    }

    fn time(&self) -> Time {
        Time(i64::try_from(self.below(5000)).unwrap())
    }

    fn stamp<A: Aggregate>(&self, tenant: &TenantId, change: Change<A>) -> Stamped<A> {
        let aggregate = change.aggregate().unwrap();
        // Which refusal comes first, where several apply, is not said: limits on updates only.
        let draw = match change {
            Change::Update { .. } => {
                self.pick(&[Draw::Take(1), Draw::Give(1), Draw::Move(1), Draw::Raise(7)])
            }
            _ => Draw::Give(1),
        };
        let quota = self.pick(&["q1", "q2"]).to_owned();
        let event = Event {
            id: self.env.uuid().parse().unwrap(),
            tenant: tenant.clone(),
            aggregate: A::KIND.into(),
            key: aggregate.id().into(),
            version: aggregate.version(),
            kind: "thing.changed".into(),
            v: 1,
            at: self.time(),
            actor: Actor::System,
            trace: String::new(),
            payload: json!({"n": 1}),
        };
        let topic = Topic { kind: A::KIND, key: aggregate.id().into() };
        Stamped {
            id: self.env.uuid(),
            charges: self.maybe(3).then_some(Charge { quota, draw }).into_iter().collect(),
            events: self.maybe(2).then_some(event).into_iter().collect(),
            invalidates: self.maybe(2).then_some(topic).into_iter().collect(),
            lease_until: Time(0),
            at: self.time(),
            change,
        }
    }

    /// A change of what is stored, now and then one that comes too late.
    fn change<A: Aggregate>(&self, stored: Option<A>, new: A) -> Change<A> {
        let Some(mut was) = stored.filter(|_| !self.maybe(8)) else {
            return Change::Insert(new);
        };
        if self.maybe(8) {
            was.set_version(Version(was.version().0 - 1));
        }
        if self.maybe(5) {
            return Change::Delete(was);
        }
        let mut to = new;
        to.set_version(was.version().next());
        Change::Update { was, to }
    }

    fn set(&self, n: u64) -> AuthSet {
        AuthSet {
            id: format!("s{n}").parse().unwrap(),
            key: format!("key {}\n", self.below(3)),
            tier: self.pick(&Tier::ALL),
            status: self.pick(&Status::ALL),
            live: self.maybe(2),
            from: self.time().0,
            created: self.time(),
        }
    }

    /// Sets in any order, each id once; of another device's ids never.
    fn sets(&self, device: &str) -> Vec<AuthSet> {
        let base: u64 = device.bytes().map(u64::from).sum::<u64>() * 10;
        let mut sets = self.some(5, |pair| pair.set(base + pair.below(6)));
        sets.truncate(usize::try_from(self.below(6)).unwrap());
        let mut known = std::collections::HashSet::new();
        sets.retain(|set| known.insert(set.id.clone()));
        sets
    }

    fn device(&self, id: &str, identity: &Identity) -> Device {
        let external = || ExternalId { id: self.id(), name: self.id(), provider: "p".into() };
        Device {
            id: id.parse().unwrap(),
            identity: identity.clone(),
            sets: self.sets(id),
            status: self.pick(&Status::ALL),
            tier: self.pick(&Tier::ALL),
            group: (!self.maybe(3)).then(|| self.group()),
            leaving: self.maybe(2),
            provisioned: self.maybe(2),
            test: self.maybe(2),
            external: self.maybe(2).then(external),
            from: self.time().0,
            created: self.time(),
            updated: self.time(),
            version: Version(self.time().0),
        }
    }

    async fn commit_device(&self) {
        let (tenant, id) = (self.tenant(), self.id());
        let stored = both!(self, |s| s.device(&tenant, &id.parse().unwrap()).await).unwrap();
        let fresh = Identity::parse(&json!({"mac": self.below(8)}).to_string()).unwrap();
        let identity = stored.as_ref().map_or(fresh, |device| device.identity.clone());
        let mut new = self.device(&id, &identity);
        if let Some(was) = stored.as_ref().filter(|_| self.maybe(2)) {
            // Most commits change little.
            (new.sets, new.status) = (was.sets.clone(), was.status);
            if let Some(set) = new.sets.last_mut() {
                set.live = !set.live;
            }
        }
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_device(&tenant, commit.clone()).await);
    }

    async fn read_devices(&self) {
        let tenant = self.tenant();
        let filter = DeviceFilter {
            statuses: if self.maybe(2) { vec![] } else { self.some(3, |p| p.pick(&Status::ALL)) },
            ids: self.maybe(4).then(|| self.some(6, |p| p.id().parse().unwrap())),
            groups: self.maybe(3).then(|| self.some(20, Self::group)),
        };
        let none = DeviceFilter { groups: Some(vec![]), ..filter.clone() };
        let (skip, limit) = (self.below(3), usize::try_from(self.below(9)).unwrap());
        for filter in [filter, none] {
            let _ = both!(self, |s| s.devices(&tenant, &filter, skip, limit).await);
            let _ = both!(self, |s| s.count_devices(&tenant, &filter).await);
        }
        let after: Option<DeviceId> = self.maybe(2).then(|| self.id().parse().unwrap());
        let _ = both!(self, |s| s.walk_devices(&tenant, after.as_ref(), limit).await);
        let all = both!(self, |s| s.walk_devices(&tenant, None, 50).await).unwrap();
        for device in all {
            let hash = device.identity.hash();
            let _ = both!(self, |s| s.device_by_identity(&tenant, &hash).await);
            for set in device.sets {
                let _ = both!(self, |s| s.device_of_set(&tenant, &set.id).await);
            }
        }
        let none: AuthSetId = "none".parse().unwrap();
        let _ = both!(self, |s| s.device_of_set(&tenant, &none).await);
        let _ = both!(self, |s| s.quota(&tenant, "q1").await);
        let _ = both!(self, |s| s.unsettled_events().await);
    }

    async fn commit_auth_tenant(&self) {
        let tenant = self.tenant();
        let stored = both!(self, |s| s.auth_tenant(&tenant).await).unwrap();
        let rule = |pair: &Self| AcceptRule {
            name: pair.id(),
            identity: [(pair.id(), "*".to_owned())].into(),
        };
        let new = AuthTenant {
            limits: [(Limit::Devices, self.time().0), (Limit::TestDevices, -1)].into(),
            accept: self.some(3, rule),
            flag_changes: (self.time().0, 7),
            from: self.time().0,
            ..AuthTenant::new(tenant.clone())
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_auth_tenant(&tenant, commit.clone()).await);
    }

    async fn contacts(&self) {
        let seen = |pair: &Self| Seen {
            tenant: pair.tenant(),
            device: pair.id().parse().unwrap(),
            at: pair.time(),
        };
        let contacts = self.some(6, seen);
        let _ = both!(self, |s| s.record_seen(&contacts, &[], Time(0)).await);
        let (tenant, ids) = (self.tenant(), self.some(8, |p| p.id().parse().unwrap()));
        let _ = both!(self, |s| s.seen(&tenant, &ids).await);
        let _ = both!(self, |s| s.forget_seen(&tenant, &ids[0]).await);
        let _ = both!(self, |s| s.seen(&tenant, &ids).await);
    }

    async fn users(&self) {
        let id = self.id();
        let stored = both!(self, |s| s.account(&id.parse().unwrap()).await).unwrap();
        let session = |pair: &Self| Session {
            id: pair.id().parse().unwrap(),
            tenant: pair.tenant(),
            issued: pair.time(),
            expires: pair.maybe(2).then(|| pair.time()),
        };
        let member =
            |pair: &Self| Membership { tenant: pair.tenant(), roles: pair.some(2, Self::id) };
        let new = Account {
            id: id.parse().unwrap(),
            email: format!("{}@x.y", self.below(8)).parse().unwrap(),
            password: self.id(),
            memberships: self.some(3, member),
            sessions: self.some(3, session),
            created: self.time(),
            updated: self.time(),
            login: self.maybe(2).then(|| self.time()),
            version: Version(self.time().0),
        };
        let email = new.email.clone();
        let tenant = TenantId::default();
        let mut commit = self.stamp(&tenant, self.change(stored, new));
        commit.charges.clear();
        let _ = both!(self, |s| s.commit_account(commit.clone()).await);
        let _ = both!(self, |s| s.account_by_email(&email).await);
        let (tenant, after) = (self.tenant(), self.id().parse().unwrap());
        let _ = both!(self, |s| s.accounts(&tenant, None, 5).await);
        let _ = both!(self, |s| s.accounts(&tenant, Some(&after), 3).await);
    }

    async fn tenants(&self) {
        let id: TenantId = self.id().parse().unwrap();
        let stored = both!(self, |s| s.tenant(&id).await).unwrap();
        let addon = |pair: &Self| Addon { name: pair.id(), enabled: pair.maybe(2) };
        let new = Tenant {
            id: id.clone(),
            name: self.id(),
            token: format!("token {}", self.below(8)),
            plan: self.pick(&Plan::ALL),
            trial: self.maybe(2),
            addons: self.some(3, addon),
            status: self.pick(&[TenantStatus::Active, TenantStatus::Suspended]),
            created: self.time(),
            updated: self.time(),
            version: Version(self.time().0),
        };
        let hash = new.unique().value;
        let mut commit = self.stamp(&TenantId::default(), self.change(stored, new));
        commit.charges.clear();
        let _ = both!(self, |s| s.commit_tenant(commit.clone()).await);
        let _ = both!(self, |s| s.tenant_by_token(&hash).await);
        let _ = both!(self, |s| s.tenants(None, 5).await);
        let _ = both!(self, |s| s.tenants(Some(&id), 3).await);
    }
}

async fn case(seed: u64) {
    // A server is slower, and differs from SQLite in little.
    let wanted = |db: &Db| db.name == "sqlite" || seed.is_multiple_of(4);
    for Db { store, name, _dir, .. } in databases().await.into_iter().filter(wanted) {
        let pair = Pair {
            memory: MemoryStores::default(),
            sql: store,
            env: TestEnv::seeded(seed).env(),
            name: format!("{name}, seed {seed}"),
        };
        for _ in 0..CALLS {
            match pair.below(34) {
                0..3 => pair.commit_device().await,
                3 => pair.read_devices().await,
                4 => pair.filters().await,
                5 => pair.contacts().await,
                6 => pair.commit_auth_tenant().await,
                7..9 => pair.users().await,
                9 => pair.tenants().await,
                10..14 => pair.commit_inventory().await,
                14..17 => pair.commit_release().await,
                17 => pair.read_releases().await,
                18 => pair.kept_artifacts().await,
                19 => pair.delta_jobs().await,
                20..23 => pair.commit_deployment().await,
                23..25 => pair.read_deployments().await,
                25..28 => pair.commit_row().await,
                28..30 => pair.read_rows().await,
                30 => pair.fill_or_erase().await,
                31 => pair.targets_and_logs().await,
                32 => pair.deployment_settings().await,
                _ => pair.read_inventory().await,
            }
        }
        pair.read_devices().await;
        pair.read_rows().await;
        pair.read_deployments().await;
    }
}

#[tokio::test]
async fn the_ports_answer_like_memory() {
    let cases = setting("MENDER_TEST_CASES").map_or(32, |n| n.parse().unwrap());
    for seed in 0..cases {
        case(seed).await;
    }
}
