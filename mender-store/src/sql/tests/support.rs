#[cfg(feature = "postgres")]
use super::server;
use crate::SqlStore;

/// A database of one test.
pub(super) struct Db {
    pub(super) store: SqlStore,
    pub(super) name: &'static str,
    #[cfg(feature = "sqlite")]
    pub(super) url: String,
    pub(super) _dir: Option<tempfile::TempDir>,
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests learn what to run")]
pub(super) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(feature = "sqlite")]
pub(super) async fn sqlite() -> Db {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("test.db").display());
    let store = SqlStore::open(&url).await.unwrap();
    Db { store: store.migrate().await.unwrap(), name: "sqlite", url, _dir: Some(dir) }
}

/// The databases that can be reached, each with a migrated schema of its own.
pub(super) async fn databases() -> Vec<Db> {
    let mut all = Vec::new();
    #[cfg(feature = "sqlite")]
    all.push(sqlite().await);
    #[cfg(feature = "postgres")]
    all.extend(server::postgres().await);
    all
}
