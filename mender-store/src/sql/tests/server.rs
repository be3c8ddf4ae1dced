use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mender_core::{
    DeviceId, StoreError, TenantId, Time,
    auth::{Seen, Store as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::support::{Db, setting};
use crate::{
    SqlOptions, SqlStore, sql,
    sql::{Batch, Stmt},
    vals,
};

const PID: Stmt = sql!("SELECT pg_backend_pid() AS pid");
const END: Stmt = sql!("SELECT pg_terminate_backend(CAST($1 AS INT), 5000) AS done");
const TABLE: Stmt = sql!("CREATE TABLE things (id BIGINT PRIMARY KEY)");
const INSERT: Stmt = sql!("INSERT INTO things (id) VALUES ($1)");
const FIND: Stmt = sql!("SELECT id FROM things WHERE id = $1");

fn url() -> Option<String> {
    let url = setting("MENDER_TEST_POSTGRES");
    if url.is_none() {
        let required = setting("MENDER_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name == "postgres"),
            "MENDER_TEST_POSTGRES is required"
        );
        eprintln!("skipped on PostgreSQL: MENDER_TEST_POSTGRES is not set");
    }
    url
}

fn options(pool: u32) -> SqlOptions {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("test_{}_{n}", std::process::id());
    SqlStore::options().schema(schema).pool(pool)
}

pub(super) async fn postgres() -> Option<Db> {
    open(url()?).await
}

/// A database whose planner reads a table whole only where no index helps.
pub(super) async fn without_scans() -> Option<Db> {
    let url = url()?;
    let sign = if url.contains('?') { '&' } else { '?' };
    open(format!("{url}{sign}options[enable_seqscan]=off")).await
}

async fn open(url: String) -> Option<Db> {
    let store = options(8).open(&url).await.unwrap();
    Some(Db {
        store: store.migrate().await.unwrap(),
        name: "postgres",
        #[cfg(feature = "sqlite")]
        url,
        _dir: None,
    })
}

/// A store with one connection, and another that can end it.
async fn pair() -> Option<(SqlStore, SqlStore)> {
    let url = url()?;
    let options = options(1);
    let store = options.open(&url).await.unwrap().migrate().await.unwrap();
    store.sql.run(Batch::of(TABLE, vals![])).await.unwrap();
    Some((store, options.open(&url).await.unwrap()))
}

async fn cut(store: &SqlStore, other: &SqlStore) {
    let row = store.sql.read_one(PID, vals![]).await.unwrap().unwrap();
    let pid = row.int("pid").unwrap();
    let done = other.sql.read_one(END, vals![pid]).await.unwrap();
    assert!(done.unwrap().flag("done").unwrap());
}

#[tokio::test]
async fn lost_connections_recover_by_themselves() {
    let Some((store, other)) = pair().await else {
        return;
    };
    cut(&store, &other).await;
    assert!(store.sql.read(FIND, vals![1_i64]).await.unwrap().is_empty());
    cut(&store, &other).await;
    let two = Batch::of(INSERT, vals![1_i64]).then(INSERT, vals![2_i64]);
    assert_eq!(store.sql.run(two).await.unwrap(), [1, 1]);
}

#[tokio::test]
async fn after_a_lost_answer_the_check_decides() {
    const CUT: Stmt = sql!("SELECT pg_terminate_backend(pg_backend_pid())");
    let Some((store, _)) = pair().await else {
        return;
    };
    let lost = || Batch::of(CUT, vals![]);
    let silent = store.sql.run(lost()).await;
    assert!(matches!(silent, Err(StoreError::Unavailable(_))), "{silent:?}");
    let absent = store.sql.run(lost().check(FIND, vals![1_i64])).await;
    assert!(matches!(absent, Err(StoreError::Unavailable(_))), "{absent:?}");
    store.sql.run(Batch::of(INSERT, vals![1_i64])).await.unwrap();
    let applied = store.sql.run(lost().check(FIND, vals![1_i64])).await;
    assert_eq!(applied.unwrap(), [1]);
}

#[tokio::test]
async fn a_full_pool_says_so() {
    const SLEEP: Stmt = sql!("SELECT 1 AS n FROM pg_sleep(1)");
    let Some(url) = url() else { return };
    let options = options(1).acquire_timeout(Duration::from_millis(200));
    let store = options.open(&url).await.unwrap();
    let (slept, refused) =
        futures_util::future::join(store.sql.read(SLEEP, vals![]), store.sql.read(PID, vals![]))
            .await;
    slept.unwrap();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("the connection pool is full"), "{refused}");
}

#[tokio::test]
async fn two_processes_may_migrate_at_once() {
    let Some(url) = url() else { return };
    let options = options(2);
    let migrate = |_| async { options.open(&url).await?.migrate().await };
    for done in futures_util::future::join_all((0..4).map(migrate)).await {
        done.unwrap();
    }
}

/// A way to the server that can be cut: ends every connection through it, and refuses new ones
/// until it is mended.
struct Line {
    port: u16,
    up: tokio::sync::watch::Sender<bool>,
}

impl Line {
    async fn to(host: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (up, state) = tokio::sync::watch::channel(true);
        TaskTracker::new().spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (host, mut state) = (host.clone(), state.clone());
                TaskTracker::new().spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(host).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        Self { port, up }
    }
}

#[tokio::test]
async fn a_cut_line_is_an_error_while_it_lasts_and_no_longer() {
    let Some(url) = url() else { return };
    let (base, rest) = url.rsplit_once('@').unwrap();
    let (host, rest) = rest.split_once('/').unwrap();
    let line = Line::to(host.to_owned()).await;
    let through = format!("{base}@127.0.0.1:{}/{rest}", line.port);
    let options = options(4).acquire_timeout(Duration::from_millis(500));
    let store = options.open(&through).await.unwrap().migrate().await.unwrap();
    let id: DeviceId = "d1".parse().unwrap();
    let tenant = TenantId::default();
    let reads = || futures_util::future::join_all((0..4).map(|_| store.device(&tenant, &id)));
    assert!(reads().await.iter().all(Result::is_ok));
    for _ in 0..3 {
        line.up.send(false).unwrap();
        let cut = store.device(&tenant, &id).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
        let seen = Seen { tenant: tenant.clone(), device: id.clone(), at: Time(1) };
        let cut = store.record_seen(&[seen], &[], Time(0)).await;
        assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
        line.up.send(true).unwrap();
        assert!(reads().await.iter().all(Result::is_ok));
    }
}
