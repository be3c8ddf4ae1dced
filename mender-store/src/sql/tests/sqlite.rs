use mender_core::StoreError;

use super::support::{Db, sqlite};
use crate::{
    Role, SqlStore, sql,
    sql::{
        Batch, Driver as _, Stmt,
        sqlite::{Options, Sqlite},
    },
    vals,
};

const TABLE: Stmt = sql!("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)");
const INSERT: Stmt = sql!("INSERT INTO t (id, n) VALUES ($1, $2)");
const UPDATE: Stmt = sql!("UPDATE t SET n = n + 1 WHERE id = $1");
const BROKEN: Stmt = sql!("UPDATE t SET n = NULL WHERE id = $1");
const IDS: Stmt = sql!("SELECT id FROM t ORDER BY id");

async fn table() -> Db {
    let db = sqlite().await;
    db.store.sql.run(Batch::of(TABLE, vals![])).await.unwrap();
    db
}

/// Runs batches at once, so that they share transactions; two statements each.
async fn together(db: &Db, count: i64, bad: Stmt, is_bad: fn(i64) -> bool) -> Vec<i64> {
    let run = |id: i64| {
        let second = if is_bad(id) { bad.clone() } else { UPDATE };
        let at = if is_bad(id) { -id } else { id };
        let batch = Batch::new().one(INSERT, vals![id, 0_i64]);
        // A statement that breaks the group has no row count to be judged by.
        let vals = vals![if second.texts().0.contains("NULL") { id } else { at }];
        let sql = db.store.sql.clone();
        async move { (id, sql.run(batch.one(second, vals)).await) }
    };
    let answers = futures_util::future::join_all((1..=count).map(run)).await;
    for (id, answer) in answers {
        assert_eq!(answer.is_err(), is_bad(id), "{id}: {answer:?}");
    }
    let rows = db.store.sql.read(IDS, vals![]).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

#[tokio::test]
async fn a_conflict_leaves_its_group_alone() {
    let db = table().await;
    let ids = together(&db, 100, UPDATE, |id| id % 7 == 0).await;
    let good: Vec<i64> = (1..=100).filter(|id| id % 7 != 0).collect();
    assert_eq!(ids, good);
}

#[tokio::test]
async fn an_error_that_loses_the_transaction_hits_its_batch_alone() {
    let db = table().await;
    let ids = together(&db, 100, BROKEN, |id| id == 50).await;
    let good: Vec<i64> = (1..=100).filter(|id| *id != 50).collect();
    assert_eq!(ids, good);
}

#[tokio::test]
async fn a_second_server_is_kept_out() {
    let db = table().await;
    let second = SqlStore::open(&db.url).await.unwrap_err();
    assert!(matches!(&second, StoreError::Unavailable(_)));
    assert!(second.to_string().contains("another server uses"), "{second}");
    let tool = SqlStore::options().role(Role::Tool).open(&db.url).await.unwrap();
    tool.sql.run(Batch::of(INSERT, vals![1_i64, 1_i64])).await.unwrap();
    let rows = db.store.sql.read(IDS, vals![]).await.unwrap();
    assert_eq!(rows.len(), 1);
    drop((tool, db.store));
    SqlStore::open(&db.url).await.unwrap();
}

#[tokio::test]
async fn answers_survive_a_new_start() {
    let db = table().await;
    for id in 0..10_i64 {
        let batch = Batch::new().one(INSERT, vals![id, 0_i64]);
        db.store.sql.run(batch).await.unwrap();
    }
    drop(db.store);
    let again = SqlStore::open(&db.url).await.unwrap().migrate().await.unwrap();
    assert_eq!(again.sql.read(IDS, vals![]).await.unwrap().len(), 10);
}

#[tokio::test]
async fn wrong_statements_are_errors_and_leave_the_store_usable() {
    let db = table().await;
    let sql = &db.store.sql;
    let typo = sql.read(Stmt::new("SELECT nothing FROM nowhere"), vals![]).await;
    assert!(matches!(typo, Err(StoreError::Corrupt { .. })), "{typo:?}");
    let short = sql.run(Batch::of(INSERT, vals![1_i64])).await;
    assert!(matches!(short, Err(StoreError::Corrupt { .. })), "{short:?}");
    sql.run(Batch::of(INSERT, vals![1_i64, 1_i64])).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    const LIMIT: Stmt = sql!("PRAGMA max_page_count = 60");
    const BLOB: Stmt = sql!("INSERT INTO t (id, n) VALUES ($1, length($2)), ($3, zeroblob($4))");
    let db = table().await;
    let sql = &db.store.sql;
    sql.write_returning(LIMIT, vals![]).await.unwrap();
    let large = || vals![1_i64, "", 2_i64, 9_000_000_i64];
    let full = sql.run(Batch::of(BLOB, large())).await;
    assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    sql.run(Batch::of(INSERT, vals![3_i64, 1_i64])).await.unwrap();
    let beside = [
        Batch::of(INSERT, vals![4_i64, 1_i64]),
        Batch::of(BLOB, large()),
        Batch::of(INSERT, vals![5_i64, 1_i64]),
    ];
    let answers = futures_util::future::join_all(beside.map(|batch| sql.run(batch))).await;
    let fine: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, true]);
    assert_eq!(sql.read(IDS, vals![]).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_panic_fails_its_caller_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&Options {
        path: dir.path().join("test.db"),
        cache_bytes: 1 << 20,
        readers: 1,
        exclusive: false,
    })
    .unwrap();
    let lost = db.on_writer::<()>(|_| panic!("on purpose")).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    let done = db.write(Batch::of(TABLE, vals![])).await.unwrap();
    assert_eq!(done.len(), 1);
}

#[tokio::test]
async fn what_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.db");
    let url = format!("sqlite://{}", path.display());
    let store = SqlStore::options().role(Role::Server).open(&url).await.unwrap();
    store.sql.run(Batch::of(TABLE, vals![])).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let mut made: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path())))
        .collect();
    made.sort();
    let names = ["new.db", "new.db-shm", "new.db-wal", "new.db.lock"];
    assert_eq!(made, names.map(|name| (name.to_owned(), 0o600)));
    drop(store);
    // What an operator decided stays.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    SqlStore::options().role(Role::Server).open(&url).await.unwrap();
    assert_eq!(mode(&path), 0o640);
}
