#![cfg(feature = "sqlite")]

use std::{fs, os::unix::fs::FileExt as _};

use mender_store::{BackupError, BackupFile};

use crate::{places::Kind, source::Source};

async fn refused(path: &std::path::Path, what: &str) {
    match BackupFile::open(path, |_| {}).await {
        Err(BackupError::Damaged(_) | BackupError::NoBackup) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: taken for whole"),
    }
}

#[tokio::test]
async fn a_backup_that_lacks_its_end_is_refused_wherever_it_was_cut() {
    let source = Source::small(&Kind::Sqlite).await;
    let path = source.path("backup");
    let whole = source.back_up(&path).await.unwrap().bytes;
    let file = fs::File::options().write(true).open(&path).unwrap();
    for size in (0..whole).rev() {
        file.set_len(size).unwrap();
        refused(&path, &format!("{size} of {whole} bytes")).await;
    }
}

#[tokio::test]
async fn a_backup_with_any_byte_changed_is_refused() {
    let source = Source::small(&Kind::Sqlite).await;
    let path = source.path("backup");
    source.back_up(&path).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for (at, byte) in whole.iter().enumerate() {
        file.write_all_at(&[byte ^ (1 << (at % 8))], at as u64).unwrap();
        refused(&path, &format!("byte {at} changed")).await;
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    // It was the change that was refused.
    BackupFile::open(&path, |_| {}).await.unwrap();
}

#[tokio::test]
async fn more_bytes_than_were_written_are_refused() {
    let source = Source::small(&Kind::Sqlite).await;
    let path = source.path("backup");
    let whole = source.back_up(&path).await.unwrap().bytes;
    let file = fs::File::options().write(true).open(&path).unwrap();
    for more in [1, 512, 1024, 10_240] {
        file.set_len(whole + more).unwrap();
        refused(&path, &format!("{more} bytes more")).await;
    }
}

#[tokio::test]
async fn other_files_are_no_backups() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for other in [&b""[..], b"hello", &[0; 4096], b"manifest.json"] {
        fs::write(&path, other).unwrap();
        let error = BackupFile::open(&path, |_| {}).await.unwrap_err();
        assert!(matches!(error, BackupError::NoBackup), "{error}");
    }
    let error = BackupFile::open(&dir.path().join("none"), |_| {}).await.unwrap_err();
    assert!(matches!(error, BackupError::File(..)), "{error}");
}
