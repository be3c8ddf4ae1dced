use mender_core::{StoreError, StoreResult};

use super::support::{Db, databases};
use crate::{
    sql,
    sql::{Batch, Stmt, Val},
    vals,
};

const TABLE: Stmt = sql!("CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT, n BIGINT)");
const INDEX: Stmt = sql!("CREATE UNIQUE INDEX things_name ON things (name)");
const INSERT: Stmt = sql!("INSERT INTO things (id, name, n) VALUES ($1, $2, $3)");
const ROWS: Stmt = sql!("INSERT INTO things (id, name, n) @rows($1)");
const UPDATE: Stmt = sql!("UPDATE things SET n = $2 WHERE id = $1 AND n = $3");
const SOME: Stmt = sql!("SELECT id, name, n FROM things WHERE id @in($1) ORDER BY id");
const COUNT: Stmt = sql!("SELECT COUNT(*) FROM things");

async fn things() -> Vec<Db> {
    let all = databases().await;
    for db in &all {
        db.store.sql.run(Batch::of(TABLE, vals![])).await.unwrap();
        db.store.sql.run(Batch::of(INDEX, vals![])).await.unwrap();
    }
    all
}

fn insert(batch: Batch, id: &str, name: &str) -> Batch {
    let batch = batch.one(INSERT, vals![id, name, 1_i64]);
    batch.unique("things_name", "name").unique("things_pkey", "id")
}

async fn count(db: &Db) -> i64 {
    let row = db.store.sql.read_one(COUNT, vals![]).await.unwrap();
    row.unwrap().int(0).unwrap()
}

fn field<T>(answer: &StoreResult<T>) -> &'static str {
    match answer {
        Err(StoreError::Duplicate { field }) => field,
        _ => "no duplicate",
    }
}

#[tokio::test]
async fn a_refused_statement_undoes_the_batch() {
    for db in things().await {
        let sql = &db.store.sql;
        sql.run(insert(Batch::new(), "1", "a")).await.unwrap();
        let both = insert(Batch::new(), "2", "b").one(UPDATE, vals!["1", 5_i64, 9_i64]);
        assert!(matches!(sql.run(both).await, Err(StoreError::Conflict)), "{}", db.name);
        let full = insert(Batch::new(), "2", "b").within("q", UPDATE, vals!["1", 5_i64, 9_i64]);
        let limit = sql.run(full).await;
        assert!(matches!(limit, Err(StoreError::LimitReached { quota }) if quota == "q"));
        assert_eq!(count(&db).await, 1, "{}", db.name);
    }
}

#[tokio::test]
async fn violations_name_the_field() {
    for db in things().await {
        let sql = &db.store.sql;
        sql.run(insert(Batch::new(), "1", "a")).await.unwrap();
        let name = insert(insert(Batch::new(), "2", "b"), "3", "a");
        assert_eq!(field(&sql.run(name).await), "name", "{}", db.name);
        assert_eq!(field(&sql.run(insert(Batch::new(), "1", "c")).await), "id", "{}", db.name);
        let silent = Batch::new().one(INSERT, vals!["2", "a", 1_i64]);
        assert!(matches!(sql.run(silent).await, Err(StoreError::Conflict)));
        assert_eq!(count(&db).await, 1, "{}", db.name);
    }
}

#[tokio::test]
async fn rows_lists_and_nulls_make_the_round_trip() {
    for db in things().await {
        let sql = &db.store.sql;
        let row = |n: i64| {
            let name = (n != 2).then(|| format!("é'{n}"));
            vec![Val::from(n.to_string()), name.into(), Val::Int(n)]
        };
        let rows: Vec<_> = (1..=4).map(row).collect();
        let done = sql.run(Batch::of(ROWS, vals![rows])).await.unwrap();
        assert_eq!(done, [4], "{}", db.name);
        let none: Vec<Vec<Val>> = Vec::new();
        assert_eq!(sql.run(Batch::of(ROWS, vals![none])).await.unwrap(), [0]);
        let ids = vec!["2".to_owned(), "3".to_owned(), "9".to_owned()];
        let found = sql.read(SOME, vals![ids]).await.unwrap();
        assert_eq!(found.len(), 2, "{}", db.name);
        assert_eq!(found[0].opt_text("name").unwrap(), None);
        assert_eq!(found[1].text("name").unwrap(), "é'3");
        assert_eq!(found[1].int(2).unwrap(), 3);
        assert!(matches!(found[0].int("name"), Err(StoreError::Corrupt { .. })));
        let empty: Vec<String> = Vec::new();
        assert!(sql.read(SOME, vals![empty]).await.unwrap().is_empty());
        let again: Vec<_> = (5..=6).chain(4..=4).map(row).collect();
        assert!(sql.run(Batch::of(ROWS, vals![again])).await.is_err());
        assert_eq!(count(&db).await, 4, "{}", db.name);
    }
}

#[tokio::test]
async fn concurrent_updates_lose_nothing() {
    for db in things().await {
        let sql = db.store.sql.clone();
        sql.run(insert(Batch::new(), "1", "a")).await.unwrap();
        let step = |_| {
            let sql = sql.clone();
            async move {
                let mut done = 0;
                while done < 20 {
                    let ids = vec!["1".to_owned()];
                    let n = sql.read(SOME, vals![ids]).await.unwrap()[0].int("n").unwrap();
                    match sql.run(Batch::new().one(UPDATE, vals!["1", n + 1, n])).await {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        };
        futures_util::future::join_all((0..8).map(step)).await;
        let ids = vec!["1".to_owned()];
        let found = sql.read(SOME, vals![ids]).await.unwrap();
        assert_eq!(found[0].int("n").unwrap(), 161, "{}", db.name);
    }
}

#[tokio::test]
async fn reads_of_several_queries_see_one_state() {
    for db in things().await {
        let sql = &db.store.sql;
        let ids = || vec!["1".to_owned()];
        let queries = vec![(COUNT, vals![]), (SOME, vals![ids()])];
        let found = sql.read_all(queries).await.unwrap();
        assert_eq!(found[0][0].int(0).unwrap(), 0);
        assert!(found[1].is_empty());
    }
}
