//! The file of a backup while it is not yet whole.

#![cfg(feature = "sqlite")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    sync::Arc,
};

use mender_core::blob::MemoryBlobs;
use mender_store::{Backup, BackupError, BackupFile};

use crate::{
    places::Kind,
    source::{NOW, Source},
};

/// What others may have left beside the file, or put there.
#[tokio::test]
async fn what_lies_beside_the_file_is_neither_used_nor_followed() {
    let source = Source::small(&Kind::Sqlite).await;
    let (path, beside) = (source.path("backup"), source.path("backup.partial"));
    let victim = source.path("victim");
    fs::write(&victim, "dear").unwrap();
    symlink(&victim, &beside).unwrap();
    source.back_up(&path).await.unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"dear");
    assert!(path.symlink_metadata().unwrap().is_file());

    fs::remove_file(&path).unwrap();
    fs::remove_file(&beside).unwrap();
    fs::write(&beside, "another's").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o666)).unwrap();
    source.back_up(&path).await.unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&beside).unwrap(), b"another's");
}

#[tokio::test]
async fn what_was_cut_off_is_removed_by_the_next_one_unless_somebody_writes_it() {
    let source = Source::small(&Kind::Sqlite).await;
    let partial =
        |n: u8| source.path(&format!("backup.{n:08}-0000-4000-8000-000000000000.partial"));
    for n in 1..=2 {
        fs::write(partial(n), "cut off").unwrap();
    }
    let alive = fs::File::open(partial(2)).unwrap();
    alive.lock().unwrap();
    // Names that look alike.
    let others = ["backup.monday.partial", "backups.x.partial", "another.partial"];
    for name in others {
        fs::write(source.path(name), "x").unwrap();
    }
    source.back_up(&source.path("backup")).await.unwrap();
    BackupFile::open(&source.path("backup"), |_| {}).await.unwrap();
    assert!(!partial(1).exists());
    assert!(partial(2).exists());
    assert!(others.iter().all(|name| source.path(name).exists()));
}

/// Each writes a file of its own, whoever is faster.
#[tokio::test]
async fn of_two_backups_of_one_name_one_is_whole_and_the_other_refused() {
    for _ in 0..20 {
        let source = Source::small(&Kind::Sqlite).await;
        let path = source.path("backup");
        let one = async || {
            let backup = Backup::of(&source.store, Arc::new(MemoryBlobs::default()));
            backup.write(&path, NOW).await
        };
        let answers = tokio::join!(one(), one());
        let is_one = matches!(
            &answers,
            (Ok(_), Err(BackupError::Exists(_))) | (Err(BackupError::Exists(_)), Ok(_))
        );
        assert!(is_one, "{answers:?}");
        BackupFile::open(&path, |_| {}).await.unwrap();
        assert_eq!(fs::read_dir(source.dir.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_not_followed() {
    let source = Source::small(&Kind::Sqlite).await;
    let path = source.path("backup");
    symlink(source.path("nowhere"), &path).unwrap();
    let refused = source.back_up(&path).await.unwrap_err();
    assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
    assert!(!source.path("nowhere").exists());
}

/// As where the caller has no more time.
#[tokio::test]
async fn a_backup_that_is_not_waited_for_leaves_nothing() {
    let source = Source::small(&Kind::Sqlite).await;
    let path = source.path("backup");
    let mut backup = Box::pin(source.back_up(&path));
    assert!(futures_util::poll!(&mut backup).is_pending());
    assert_eq!(fs::read_dir(source.dir.path()).unwrap().count(), 1);
    drop(backup);
    assert_eq!(fs::read_dir(source.dir.path()).unwrap().count(), 0);
}
