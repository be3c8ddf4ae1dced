use futures_util::StreamExt as _;
use mender_core::blob::{BlobKey, Blobs as _, MemoryBlobs, once};
use mender_store::{
    BackupError, BackupFile,
    sql::{Batch, MIGRATIONS, Stmt, Val},
    vals,
};

use crate::{
    places::{Fresh, kinds},
    source::{NOW, Source, blob, restore, tables},
    support::done,
};

const BLOBS: Stmt = Stmt::new("SELECT id FROM artifacts_artifacts WHERE tenant_id = ''");
const LOGS: Stmt =
    Stmt::new("INSERT INTO deployments_logs (tenant_id, id, body, version, commit_id) @rows($1)");
const JOB: Stmt = Stmt::new(
    "INSERT INTO jobs (kind, key, lane, due_at, lease_until, attempt, payload, error)
    VALUES ('k', $1, '', 0, 0, 0, '{}', '')",
);

#[tokio::test]
async fn every_kind_is_restored_into_every_kind() {
    for (seed, from) in (1..).zip(kinds()) {
        let source = Source::random(&from, seed).await;
        let (path, was) = (source.path("backup"), tables(&source.store).await);
        assert!(was.len() > 15, "{:?}", was.keys());
        let written = source.back_up(&path).await.unwrap();
        assert_eq!(written.missing, [""; 0]);
        assert_eq!(written.rows, was.values().map(|rows| rows.len() as u64).sum::<u64>());
        assert_eq!(written.bytes, path.metadata().unwrap().len());
        assert!(written.blobs > 1);
        for into in kinds() {
            let Fresh { store, dir: _dir } = into.bare().await;
            let blobs = MemoryBlobs::default();
            let restored = restore(&path, &store, &blobs).await.unwrap();
            assert_eq!((restored.rows, restored.blobs), (written.rows, written.blobs));
            assert_eq!(tables(&store).await, was, "{from:?} into {into:?}");
            for row in done(store.sql().read(BLOBS, vals![]).await) {
                let id = row.text("id").unwrap();
                let there = blob(&blobs, id).await;
                assert!(there.is_some());
                assert_eq!(there, blob(&source.blobs, id).await);
            }
            // What is restored can be backed up, and is the same again.
            let again = source.path("again");
            let store = mender_store::Backup::of(&store, std::sync::Arc::new(blobs));
            assert_eq!(store.write(&again, NOW).await.unwrap().rows, written.rows);
            std::fs::remove_file(again).unwrap();
        }
    }
}

#[tokio::test]
async fn a_backup_has_the_keys_and_nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;

    for kind in kinds() {
        let source = Source::small(&kind).await;
        let path = source.path("backup");
        source.back_up(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let backup = BackupFile::open(&path, |_| {}).await.unwrap();
        assert_eq!(backup.keys(), Source::keys());
        assert_eq!((backup.created(), backup.schema()), (NOW, MIGRATIONS.len() as i64));
        assert!(!format!("{backup:?}").contains("the key private"));
        assert_eq!(std::fs::read_dir(source.dir.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_file_is_not_overwritten() {
    for kind in kinds() {
        let source = Source::small(&kind).await;
        let path = source.path("backup");
        std::fs::write(&path, "dear").unwrap();
        let refused = source.back_up(&path).await.unwrap_err();
        assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"dear");
    }
}

#[tokio::test]
async fn an_older_backup_gets_todays_schema() {
    for kind in kinds() {
        let Fresh { store, dir: _dir } = kind.bare().await;
        done(store.sql().driver().migrate(&MIGRATIONS[..4]).await);
        done(store.sql().run(Batch::of(JOB, vals!["one"])).await);
        let blobs = MemoryBlobs::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let old = mender_store::Backup::of(&store, std::sync::Arc::new(blobs.clone()));
        old.write(&path, NOW).await.unwrap();

        let current = kind.empty().await;
        let refused = restore(&path, &current.store, &blobs).await.unwrap_err().to_string();
        let why = format!("has schema version {} already, and the backup 4", MIGRATIONS.len());
        assert!(refused.contains(&why), "{refused}");
        let new = kind.bare().await;
        restore(&path, &new.store, &blobs).await.unwrap();
        assert_eq!(new.store.version().await.unwrap(), MIGRATIONS.len() as i64);
        assert_eq!(tables(&new.store).await["jobs"].len(), 1);
    }
}

#[tokio::test]
async fn a_backup_of_a_newer_program_is_refused() {
    const NEWER: Stmt = Stmt::new("INSERT INTO schema_migrations VALUES (9999, 'future')");
    for kind in kinds() {
        let source = Source::small(&kind).await;
        done(source.store.sql().run(Batch::of(NEWER, vals![])).await);
        source.back_up(&source.path("backup")).await.unwrap();
        let refused = BackupFile::open(&source.path("backup"), |_| {}).await.unwrap_err();
        assert!(matches!(refused, BackupError::Newer(_)), "{refused}");
    }
}

#[tokio::test]
async fn blobs_that_are_gone_or_changed_are_told() {
    for kind in kinds() {
        let source = Source::small(&kind).await;
        let key = BlobKey::new("one").unwrap();
        done(source.blobs.put_blob(&key, once(vec![9_u8; 699])).await);
        let written = source.back_up(&source.path("changed")).await.unwrap();
        assert_eq!((written.missing, written.blobs), (vec!["one".to_owned()], 0));
        done(source.blobs.delete_blob(&key).await);
        let written = source.back_up(&source.path("gone")).await.unwrap();
        assert_eq!((written.missing, written.blobs), (vec!["one".to_owned()], 0));
    }
}

/// As where deployments with short logs are followed by some with long ones.
#[tokio::test]
async fn chunks_are_small_whatever_rows_follow_each_other() {
    const MIB: usize = 1 << 20;
    for kind in kinds() {
        let Fresh { store, dir: _dir } = kind.empty().await;
        let logs = |from: i64, count, size| {
            let log = |n: i64| vals!["", n.to_string(), "x".repeat(size), n, ""];
            (from..from + count).map(log).collect::<Vec<Vec<Val>>>()
        };
        let small = logs(0, 6000, 1);
        done(store.sql().run(Batch::of(LOGS, vals![small])).await);
        for n in 0..20 {
            done(store.sql().run(Batch::of(LOGS, vals![logs(6000 + n, 1, MIB)])).await);
        }
        let mut dump = done(store.sql().driver().dump().await);
        let mut rows = 0;
        while let Some(chunk) = dump.chunks.next().await {
            let chunk = done(chunk);
            let weigh = |val: &Val| if let Val::Text(text) = val { text.len() } else { 0 };
            let bytes: usize = chunk.rows.iter().flatten().map(weigh).sum();
            assert!(bytes < 2 * MIB + 100, "{bytes} bytes of {} rows", chunk.rows.len());
            assert!((1..=4096).contains(&chunk.rows.len()));
            rows += chunk.rows.len();
        }
        assert_eq!(rows, 6020);
    }
}

#[tokio::test]
async fn a_database_with_rows_is_left_as_it_is() {
    for kind in kinds() {
        let source = Source::small(&kind).await;
        let path = source.path("backup");
        source.back_up(&path).await.unwrap();
        let target = kind.empty().await;
        done(target.store.sql().run(Batch::of(JOB, vals!["one"])).await);
        let (was, blobs) = (tables(&target.store).await, MemoryBlobs::default());
        let refused = restore(&path, &target.store, &blobs).await.unwrap_err();
        assert!(matches!(refused, BackupError::Occupied(_)), "{refused}");
        assert_eq!(tables(&target.store).await, was);
        assert_eq!(blob(&blobs, "one").await, None);
    }
}

#[tokio::test]
async fn where_a_blob_is_taken_nothing_is_restored() {
    for kind in kinds() {
        let source = Source::random(&kind, 5).await;
        let path = source.path("backup");
        source.back_up(&path).await.unwrap();
        let rows = done(source.store.sql().read(BLOBS, vals![]).await);
        let mut ids: Vec<_> = rows.iter().map(|row| row.text("id").unwrap().to_owned()).collect();
        ids.sort();
        let (last, others) = ids.split_last().unwrap();
        assert!(!others.is_empty());
        let blobs = MemoryBlobs::default();
        done(blobs.put_blob(&BlobKey::new(last.as_str()).unwrap(), once("mine")).await);
        let target = kind.empty().await;
        let refused = restore(&path, &target.store, &blobs).await.unwrap_err();
        assert!(matches!(refused, BackupError::Occupied(_)), "{refused}");
        assert!(tables(&target.store).await.is_empty());
        assert_eq!(blob(&blobs, last).await.unwrap(), "mine");
        for other in others {
            assert_eq!(blob(&blobs, other).await, None, "{other}");
        }
        // Once the place is free the same target will do.
        restore(&path, &target.store, &MemoryBlobs::default()).await.unwrap();
    }
}
