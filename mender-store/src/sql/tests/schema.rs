use std::path::Path;

use super::support::databases;
use crate::{
    SqlStore,
    sql::{Batch, MIGRATIONS, Stmt, statements},
    vals,
};

#[tokio::test]
async fn every_statement_compiles_and_names_its_tenant() {
    let all = databases().await;
    for stmt in statements() {
        for db in &all {
            let prepared = db.store.sql.driver().prepare(stmt.clone()).await;
            prepared.unwrap_or_else(|e| panic!("{}: {e}", db.name));
        }
        let (sqlite, postgres) = stmt.texts();
        for text in [sqlite, postgres] {
            let placed = text.contains("tenant_id") || text.contains("-- global: ");
            assert!(placed, "neither tenant_id nor -- global: {text}");
        }
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let folder = |name: &str| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
        let names = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            names.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let listed: Vec<_> = MIGRATIONS.iter().map(|m| format!("{}.sql", m.name)).collect();
    assert_eq!(folder("sqlite"), listed);
    assert_eq!(folder("postgres"), listed);
    for (at, migration) in (1..).zip(MIGRATIONS) {
        assert_eq!(migration.version, at);
        assert!(migration.name.starts_with(&format!("{at:04}_")));
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    for db in databases().await {
        let again = db.store.clone().migrate().await.unwrap();
        let known = MIGRATIONS.last().unwrap().version;
        assert_eq!(again.version().await.unwrap(), known, "{}", db.name);
    }
}

#[tokio::test]
async fn newer_databases_are_refused() {
    const NEWER: Stmt = Stmt::new("INSERT INTO schema_migrations VALUES (9999, 'future')");
    for db in databases().await {
        db.store.sql.run(Batch::of(NEWER, vals![])).await.unwrap();
        let error = db.store.clone().migrate().await.unwrap_err().to_string();
        assert!(error.contains("use a newer program"), "{}: {error}", db.name);
    }
}

#[tokio::test]
async fn unknown_schemes_are_refused() {
    let error = SqlStore::open("mysql://x").await.unwrap_err().to_string();
    assert!(error.contains("begins with"), "{error}");
}

#[test]
fn columns_are_texts_and_whole_numbers_which_backups_can_hold() {
    for migration in MIGRATIONS {
        for text in [migration.sqlite, migration.postgres] {
            let words = text.lines().filter(|line| !line.starts_with("--"));
            let mut words = words.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
            let other = ["BLOB", "BYTEA", "JSON", "JSONB", "REAL", "DOUBLE", "NUMERIC", "BOOLEAN"];
            let found = words.find(|word| other.contains(word));
            assert_eq!(found, None, "{}: backup/chunks.rs has no such values", migration.name);
        }
    }
}
