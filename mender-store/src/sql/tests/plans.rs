//! Every statement that the ports of the areas run finds its rows by an index.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use mender_core::{
    Stamped, StoreResult, TenantId, Time, Version,
    artifacts::{
        self, ArtifactSettings, DeltaJob, DeltaSizes, DeltaStatus, Release, ReleaseKind, Retired,
        Store as _, Upload, UploadState, Work,
    },
    auth::{AuthSet, AuthTenant, Device, Identity, Seen, Status, Store as _, Tier},
    commit::{Aggregate, Change, Topic},
    inventory::{self, AttributeName, Place, Store as _, Value, entries},
    tenants::{Plan, Store as _, Tenant, TenantStatus},
    testing::{TestEnv, release_queries::random_artifact},
    users::{Account, Membership, Store as _},
};

use super::support::Db;
use crate::{
    SqlStore,
    sql::{
        Batch, Done, Driver, Dump, Fill, Migration, Query, Row, Sql, Stmt, Val,
        artifacts as releases, auth, deployments as orders, inventory as area,
    },
};

mod deployments;

/// A driver that looks at the plan of every statement before it runs it.
struct Watched {
    sql: Sql,
    name: &'static str,
}

impl Watched {
    async fn look(&self, (stmt, vals): &Query) -> StoreResult<()> {
        if matches!(vals.last(), Some(Val::Rows(_))) {
            return Ok(());
        }
        let (sqlite, postgres) = stmt.texts();
        if self.name == "sqlite" {
            let explain = Stmt::dynamic(format!("EXPLAIN QUERY PLAN {sqlite}"));
            let rows = self.sql.read(explain, vals.clone()).await?;
            check_sqlite(sqlite, &texts(&rows, 3));
        } else {
            let explain = Stmt::dynamic(format!("EXPLAIN {postgres}"));
            let rows = self.sql.read(explain, vals.clone()).await?;
            let plan = texts(&rows, 0);
            let scans = plan.iter().any(|line| line.contains("Seq Scan on"));
            assert!(!scans, "{postgres}\n{plan:#?}");
            // New rows are in no statistics: each of them would be compared with all of a list.
            let joined = !postgres.starts_with("SELECT")
                && plan.iter().any(|line| line.contains("Nested Loop Semi Join"));
            assert!(!joined, "{postgres}\n{plan:#?}");
        }
        Ok(())
    }
}

fn texts(rows: &[Row], col: usize) -> Vec<String> {
    rows.iter().map(|row| row.text(col).unwrap().to_owned()).collect()
}

fn check_sqlite(text: &str, plan: &[String]) {
    let made = |line: &String| {
        let name = line.strip_prefix("MATERIALIZE ");
        name.or_else(|| line.strip_prefix("CO-ROUTINE ")).map(str::to_owned)
    };
    let mut small: BTreeSet<String> = plan.iter().filter_map(made).collect();
    small.extend(["json_each", "CONSTANT"].map(str::to_owned));
    for line in plan {
        let scanned = line.strip_prefix("SCAN ").map(|rest| rest.split(' ').next());
        let fine = scanned.flatten().is_none_or(|name| small.contains(name));
        assert!(fine, "{text}\n{plan:#?}");
        // All devices of all deployments are too many.
        let alone = line.ends_with("(tenant_id=?)");
        let many = line.contains(" deployments_devices_") || line.contains("PRIMARY KEY");
        assert!(!(alone && many && text.contains("deployments_")), "{text}\n{plan:#?}");
    }
    // What is sorted is a page, not all that fits; long lists of values are the exception, and
    // what says why it is few.
    let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE"));
    let lists = text.matches("@in").count();
    let is_few = text.contains("-- few: ");
    assert!(is_few || sorts.count() <= 1 + usize::from(lists > 0), "{text}\n{plan:#?}");
}

#[async_trait]
impl Driver for Watched {
    async fn read(&self, queries: Vec<Query>) -> StoreResult<Vec<Vec<Row>>> {
        for query in &queries {
            self.look(query).await?;
        }
        self.sql.read_all(queries).await
    }

    async fn write(&self, batch: Batch) -> StoreResult<Vec<Done>> {
        let steps = batch.steps().iter().map(|step| &step.query);
        for query in steps.chain(batch.checked_by()) {
            self.look(query).await?;
        }
        self.sql.driver().write(batch).await
    }

    async fn migrate(&self, migrations: &'static [Migration]) -> StoreResult<()> {
        self.sql.driver().migrate(migrations).await
    }

    async fn version(&self) -> StoreResult<i64> {
        self.sql.driver().version().await
    }

    async fn prepare(&self, stmt: Stmt) -> StoreResult<()> {
        self.sql.driver().prepare(stmt).await
    }

    async fn dump(&self) -> StoreResult<Dump> {
        self.sql.driver().dump().await
    }

    async fn fill(&self) -> StoreResult<Box<dyn Fill>> {
        self.sql.driver().fill().await
    }

    async fn occupied(&self) -> StoreResult<Option<String>> {
        self.sql.driver().occupied().await
    }
}

fn tenant() -> TenantId {
    "t1".parse().unwrap()
}

fn stamped<A: Aggregate>(n: u8, change: Change<A>) -> Stamped<A> {
    let id = format!("{} {n}", A::KIND);
    Stamped {
        id: id.clone(),
        change,
        charges: vec![],
        events: vec![],
        lease_until: Time(2000),
        invalidates: vec![Topic { kind: "any", key: id }],
        at: Time(1000),
    }
}

/// Inserts, updates and deletes.
fn life<A: Aggregate>(first: &A, second: A) -> [Stamped<A>; 3] {
    let update = Change::Update { was: first.clone(), to: second.clone() };
    [
        stamped(1, Change::Insert(first.clone())),
        stamped(2, update),
        stamped(3, Change::Delete(second)),
    ]
}

fn device() -> Device {
    let set = |id: &str| AuthSet {
        id: id.parse().unwrap(),
        key: "key".into(),
        tier: Tier::Standard,
        status: Status::Pending,
        live: false,
        from: 0,
        created: Time(1),
    };
    Device {
        id: "d1".parse().unwrap(),
        identity: Identity::parse(r#"{"mac":"1"}"#).unwrap(),
        sets: vec![set("s1"), set("s2")],
        status: Status::Pending,
        tier: Tier::Standard,
        group: None,
        leaving: false,
        provisioned: false,
        test: false,
        external: None,
        from: 0,
        created: Time(1),
        updated: Time(1),
        version: Version(1),
    }
}

async fn auth_area(store: &SqlStore) -> StoreResult<()> {
    let (tenant, first) = (tenant(), device());
    let mut second = first.clone();
    second.status = Status::Accepted;
    second.group = Some("g1".into());
    second.sets.remove(0);
    second.version = Version(2);
    for commit in life(&first, second) {
        store.device(&tenant, &first.id).await?;
        store.device_by_identity(&tenant, &first.identity.hash()).await?;
        store.device_of_set(&tenant, &first.sets[0].id).await?;
        store.walk_devices(&tenant, Some(&first.id), 10).await?;
        for (_, filter) in auth::filters() {
            store.devices(&tenant, &filter, 1, 10).await?;
            store.count_devices(&tenant, &filter).await?;
        }
        store.commit_device(&tenant, commit).await?;
    }
    let first = AuthTenant::new(tenant.clone());
    let mut second = first.clone();
    second.version = Version(2);
    for commit in life(&first, second) {
        store.auth_tenant(&tenant).await?;
        store.commit_auth_tenant(&tenant, commit).await?;
    }
    let id = device().id;
    let seen = Seen { tenant: tenant.clone(), device: id.clone(), at: Time(5) };
    store.record_seen(&[seen], &[], Time(0)).await?;
    store.seen(&tenant, std::slice::from_ref(&id)).await?;
    store.forget_seen(&tenant, &id).await
}

async fn inventory_area(store: &SqlStore) -> StoreResult<()> {
    let tenant = tenant();
    let first = inventory::Device::new("d1".parse().unwrap(), Place(1), Time(1));
    let mut second = first.clone();
    let name = AttributeName::inventory("words");
    second.attributes.set(&name, Value::Texts(vec!["a lab".into(), "b".into()]).into());
    second.version = Version(second.version.0 + 1);
    let mut third = second.clone();
    third.attributes.remove(&name);
    third.version = Version(third.version.0 + 1);
    let changes = [
        Change::Insert(first.clone()),
        Change::Update { was: first.clone(), to: second.clone() },
        Change::Update { was: second, to: third.clone() },
        Change::Delete(third),
    ];
    let span = entries::any_value(&entries::prefix(&name));
    for (n, change) in (1..).zip(changes) {
        store.inventory_device(&tenant, &first.id).await?;
        store.inventory_texts(&tenant, &span, Some("a"), 10).await?;
        for (_, search) in area::searches() {
            store.search_inventory(&tenant, &search, 0, 10).await?;
            store.search_inventory(&tenant, &search, 1, 10).await?;
            store.walk_inventory(&tenant, &search, Some(Place(0)), 10).await?;
            store.count_inventory(&tenant, &search).await?;
            store.tally_inventory(&tenant, &search, &span, 10).await?;
            for (stmt, vals) in area::forms(&search) {
                store.sql.read(stmt, vals).await?;
            }
        }
        store.commit_inventory(&tenant, stamped(n, change)).await?;
    }
    let first = inventory::Filter {
        id: "f1".parse().unwrap(),
        name: "one".into(),
        terms: vec![],
        version: Version(1),
    };
    let mut second = first.clone();
    second.version = Version(2);
    for commit in life(&first, second) {
        store.filter(&tenant, &first.id).await?;
        store.filters(&tenant, 1, 10).await?;
        store.count_filters(&tenant).await?;
        store.commit_filter(&tenant, commit).await?;
    }
    Ok(())
}

async fn users_area(store: &SqlStore) -> StoreResult<()> {
    let member = |tenant: &str| Membership { tenant: tenant.parse().unwrap(), roles: vec![] };
    let first = Account {
        id: "u1".parse().unwrap(),
        email: "a@b.c".parse().unwrap(),
        password: String::new(),
        memberships: vec![member("t1"), member("t2")],
        sessions: vec![],
        created: Time(1),
        updated: Time(1),
        login: None,
        version: Version(1),
    };
    let mut second = first.clone();
    second.memberships = vec![member("t1"), member("t3")];
    second.email = "d@e.f".parse().unwrap();
    second.version = Version(2);
    for commit in life(&first, second) {
        store.account(&first.id).await?;
        store.account_by_email(&first.email).await?;
        store.accounts(&tenant(), Some(&first.id), 10).await?;
        store.commit_account(commit).await?;
    }
    Ok(())
}

async fn tenants_area(store: &SqlStore) -> StoreResult<()> {
    let first = Tenant {
        id: tenant(),
        name: "one".into(),
        token: "secret".into(),
        plan: Plan::Os,
        trial: false,
        addons: vec![],
        status: TenantStatus::Active,
        created: Time(1),
        updated: Time(1),
        version: Version(1),
    };
    let mut second = first.clone();
    second.version = Version(2);
    for commit in life(&first, second) {
        store.tenant(&first.id).await?;
        store.tenant_by_token("hash").await?;
        store.tenants(None, 10).await?;
        store.tenants(Some(&first.id), 10).await?;
        store.commit_tenant(commit).await?;
    }
    Ok(())
}

fn artifact(id: &str) -> artifacts::Artifact {
    random_artifact(&TestEnv::seeded(1).env(), id, "r")
}

fn a_release() -> Release {
    Release {
        name: "r".into(),
        artifacts: vec![artifact("a1"), artifact("a2")],
        tags: vec![artifacts::Tag::new("a").unwrap()],
        notes: String::new(),
        modified: Time(1),
        leaving: None,
        version: Version(1),
    }
}

async fn artifacts_area(store: &SqlStore) -> StoreResult<()> {
    let tenant = tenant();
    let changed = |was: &Release, change: fn(&mut Release)| {
        let mut to = was.clone();
        change(&mut to);
        to.version = was.version.next();
        to
    };
    let first = a_release();
    let noted = changed(&first, |release| release.notes = "noted".into());
    let tagged = changed(&noted, |release| release.tags.clear());
    let less = changed(&tagged, |release| {
        release.artifacts[1].description = Some("other".into());
        release.artifacts.remove(0);
        release.artifacts.push(artifact("a3"));
        release.modified = Time(2);
    });
    let turned = changed(&less, |release| release.artifacts.reverse());
    let changes = [
        Change::Insert(first.clone()),
        Change::Update { was: first, to: noted.clone() },
        Change::Update { was: noted, to: tagged.clone() },
        Change::Update { was: tagged, to: less.clone() },
        Change::Update { was: less, to: turned.clone() },
        Change::Delete(turned),
    ];
    for (n, change) in (1..).zip(changes) {
        store.release(&tenant, "r").await?;
        store.release_of(&tenant, &"a1".parse().unwrap()).await?;
        for of in [None, Some(ReleaseKind::Release), Some(ReleaseKind::Manifest)] {
            store.release_tags(&tenant, of).await?;
        }
        for query in releases::release_queries() {
            store.releases(&tenant, &query, 1, 10).await?;
            store.count_releases(&tenant, &query).await?;
        }
        for query in releases::artifact_queries() {
            store.artifacts(&tenant, &query, 1, 10).await?;
            store.count_artifacts(&tenant, &query).await?;
        }
        store.commit_release(&tenant, stamped(n, change)).await?;
    }
    Box::pin(kept_artifacts(store)).await
}

fn delta_job() -> DeltaJob {
    let (source, target) = ("a1".parse().unwrap(), "a2".parse().unwrap());
    DeltaJob {
        pair: DeltaJob::pair(&source, &target),
        id: "j1".parse().unwrap(),
        worker_id: String::new(),
        source,
        target,
        from: "r".into(),
        to: "r".into(),
        device_types: Vec::new(),
        deployment: None,
        sizes: DeltaSizes::default(),
        patience: Duration::from_secs(1),
        status: DeltaStatus::Queued,
        started: Time(1),
        finished: None,
        until: Time(1),
        notes: Vec::new(),
        target_size: None,
        delta_size: None,
        delta: None,
        version: Version(1),
    }
}

async fn kept_artifacts(store: &SqlStore) -> StoreResult<()> {
    let (tenant, id) = (tenant(), "a1".parse().unwrap());
    let (artifact, at, version) = (artifact("a1"), Time(1), Version(1));
    let first = Retired { artifact, at, version };
    let second = Retired { version: Version(2), ..first.clone() };
    for commit in life(&first, second) {
        store.retired(&tenant, &id).await?;
        store.walk_retired(&tenant, None, 10).await?;
        store.walk_retired(&tenant, Some(&id), 10).await?;
        store.commit_retired(&tenant, commit).await?;
    }
    let (work, state, until) = (Work::Stream, UploadState::Open, Time(1));
    let first = Upload { id: id.clone(), work, state, until, version };
    let second = Upload { version: Version(2), ..first.clone() };
    for commit in life(&first, second) {
        store.upload(&tenant, &id).await?;
        store.commit_upload(&tenant, commit).await?;
    }
    let first = delta_job();
    let second = DeltaJob { version: Version(2), ..first.clone() };
    for commit in life(&first, second) {
        store.delta_job(&tenant, &first.pair).await?;
        for query in releases::delta_queries() {
            store.delta_jobs(&tenant, &query, 1, 10).await?;
            store.count_delta_jobs(&tenant, &query).await?;
        }
        store.commit_delta_job(&tenant, commit).await?;
    }
    let first = ArtifactSettings { version, ..ArtifactSettings::default() };
    let second = ArtifactSettings { version: Version(2), ..first.clone() };
    for commit in life(&first, second) {
        store.artifact_settings(&tenant).await?;
        store.commit_artifact_settings(&tenant, commit).await?;
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn pages_come_in_order_from_an_index() {
    let db = super::support::sqlite().await;
    let pages = [releases::pages(), orders::pages()].concat();
    assert_eq!(pages.len(), 44);
    for (stmt, vals) in pages {
        let explain = Stmt::dynamic(format!("EXPLAIN QUERY PLAN {}", stmt.texts().0));
        let plan = texts(&db.store.sql.read(explain, vals).await.unwrap(), 3);
        let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE"));
        // Texts are compared where the index has them alike.
        let all = sorts.filter(|line| !line.contains("LAST"));
        assert_eq!(all.count(), 0, "{}\n{plan:#?}", stmt.texts().0);
    }
}

#[tokio::test]
async fn no_statement_of_an_area_scans_a_table() {
    let mut all = Vec::new();
    #[cfg(feature = "sqlite")]
    all.push(super::support::sqlite().await);
    #[cfg(feature = "postgres")]
    all.extend(super::server::without_scans().await);
    for Db { store, name, .. } in &all {
        let sql = store.sql.clone();
        let store = SqlStore::new(Sql::new(Watched { sql, name }));
        artifacts_area(&store).await.unwrap();
        auth_area(&store).await.unwrap();
        Box::pin(deployments::area(&store)).await.unwrap();
        inventory_area(&store).await.unwrap();
        users_area(&store).await.unwrap();
        tenants_area(&store).await.unwrap();
    }
}
