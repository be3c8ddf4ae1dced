use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use mender_core::{StoreError, StoreResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::conn::{Conn, kind, unavailable};

/// How to open a database file.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    /// The size of each connection's page cache.
    pub(crate) cache_bytes: u64,
    pub(crate) readers: usize,
    /// Whether to keep other servers out.
    pub(crate) exclusive: bool,
}

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Pages of the log that make a commit write them back: 64 MB.
const CHECKPOINT_PAGES: u32 = 16_384;

/// Statements that a connection keeps compiled.
const STATEMENTS: usize = 512;

/// Keeps a second server out for as long as the file is open.
pub(super) fn lock(db: &Path) -> StoreResult<File> {
    let mut path = db.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |e: io::Error| {
        StoreError::unavailable(io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    };
    let mut options = File::options().create(true).truncate(false).write(true).clone();
    let file = options.mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::unavailable(format!(
            "another server uses the database {}: stop it first",
            db.display()
        ))),
        Err(TryLockError::Error(e)) => {
            Err(StoreError::unavailable(format!("{} can't be locked: {e}", path.display())))
        }
    }
}

impl Options {
    fn connect(&self, flags: OpenFlags) -> StoreResult<Connection> {
        let failed = |e: rusqlite::Error| {
            let kind = match e.sqlite_error_code() {
                // The folder is there: whoever opens a database makes it first.
                Some(ErrorCode::CannotOpen) => io::ErrorKind::PermissionDenied,
                _ => kind(&e),
            };
            let text = format!("database {}: {e}", self.path.display());
            StoreError::unavailable(io::Error::new(kind, text))
        };
        let conn = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(failed)?;
        conn.busy_timeout(BUSY).map_err(failed)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        let kib = i64::try_from(self.cache_bytes / 1024).unwrap_or(i64::MAX);
        conn.pragma_update(None, "cache_size", -kib).map_err(failed)?;
        conn.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        Ok(conn)
    }

    /// Opens the connection that writes.
    pub(super) fn writer(&self) -> StoreResult<Conn> {
        // SQLite would let everybody read it; its log has the mode of the database. One that is there
        // is not touched: closing it would end the locks of this process. Where none can be made,
        // SQLite says why.
        let _ = File::options().create_new(true).write(true).mode(0o600).open(&self.path);
        let conn =
            self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let mode: String = conn
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(unavailable)?;
        if mode != "wal" {
            let why = "the file system does not support SQLite's write-ahead log";
            return Err(StoreError::unavailable(why));
        }
        conn.pragma_update(None, "synchronous", "FULL").map_err(unavailable)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(unavailable)?;
        Ok(Conn::new(conn))
    }

    /// Opens a connection that reads.
    pub(super) fn reader(&self) -> StoreResult<Conn> {
        let conn = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        conn.pragma_update(None, "query_only", true).map_err(unavailable)?;
        Ok(Conn::new(conn))
    }
}
