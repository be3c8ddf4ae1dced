use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use mender_core::blob::MemoryBlobs;
use mender_store::{
    Backup, SqlStore,
    sql::{Batch, Stmt, Val},
    vals,
};

use crate::{
    places::{Fresh, kinds},
    source::{NOW, restore},
    support::done,
};

// The names of the tables are far apart: they are not read together.
const TAG: Stmt = Stmt::new("INSERT INTO artifacts_tags (tenant_id, tag, release_id) @rows($1)");
const MEMBER: Stmt = Stmt::new("INSERT INTO users_members (tenant_id, account_id) @rows($1)");
const TAGS: Stmt = Stmt::new("SELECT tag AS n FROM artifacts_tags");
const MEMBERS: Stmt = Stmt::new("SELECT account_id AS n FROM users_members");

/// Inserts rows with the same names in both tables.
async fn both(store: &SqlStore, names: impl Iterator<Item = u64>) {
    let names: Vec<String> = names.map(|n| format!("{n:09}")).collect();
    let tags = names.iter().map(|n| vals!["t", n, "r"]).collect::<Vec<Vec<Val>>>();
    let members = names.iter().map(|n| vals!["t", n]).collect::<Vec<Vec<Val>>>();
    done(store.sql().run(Batch::of(TAG, vals![tags]).then(MEMBER, vals![members])).await);
}

async fn names(store: &SqlStore, stmt: Stmt) -> BTreeSet<String> {
    let rows = done(store.sql().read(stmt, vals![]).await);
    rows.iter().map(|row| row.text("n").unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_state_while_others_write() {
    const BEFORE: u64 = 20_000;
    for kind in kinds() {
        let fresh = kind.empty().await;
        let store = &fresh.store;
        for from in (0..BEFORE).step_by(1000) {
            both(store, from..from + 1000).await;
        }
        let (stop, next) = (AtomicBool::new(false), AtomicU64::new(BEFORE));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let writer = async {
            while !stop.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                both(store, n..=n).await;
            }
        };
        let backup = async {
            // Begins among writes, and ends among them.
            while next.load(Ordering::Relaxed) < BEFORE + 20 {
                tokio::task::yield_now().await;
            }
            let written = Backup::of(store, Arc::new(MemoryBlobs::default())).write(&path, NOW);
            let written = Box::pin(written).await;
            let seen = next.load(Ordering::Relaxed);
            while next.load(Ordering::Relaxed) < seen + 20 {
                tokio::task::yield_now().await;
            }
            stop.store(true, Ordering::Relaxed);
            written.unwrap()
        };
        let (written, ()) = tokio::join!(backup, writer);

        let Fresh { store: restored, dir: _dir } = kind.bare().await;
        restore(&path, &restored, &MemoryBlobs::default()).await.unwrap();
        let tags = names(&restored, TAGS).await;
        assert_eq!(tags, names(&restored, MEMBERS).await, "{kind:?}");
        assert_eq!(written.rows, 2 * tags.len() as u64);
        assert!(tags.len() as u64 >= BEFORE + 19);
        // One state of the source: every row that was there, and none that came after one that
        // was not.
        let all: Vec<_> = names(store, TAGS).await.into_iter().take(tags.len()).collect();
        assert!(tags.iter().eq(&all));
    }
}
