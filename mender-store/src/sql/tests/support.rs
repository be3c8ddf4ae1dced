use std::sync::atomic::{AtomicU32, Ordering};

use crate::SqlStore;

/// A database of one test.
pub(super) struct Db {
    pub(super) store: SqlStore,
    pub(super) name: &'static str,
    pub(super) url: String,
    _dir: Option<tempfile::TempDir>,
}

#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "the only backend without a server is SQLite")
)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests learn which servers run"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(feature = "sqlite")]
pub(super) async fn sqlite() -> Db {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("test.db").display());
    let store = SqlStore::open(&url).await.unwrap();
    Db {
        store: store.migrate().await.unwrap(),
        name: "sqlite",
        url,
        _dir: Some(dir),
    }
}

/// The databases that can be reached, each with a migrated schema of its own.
pub(super) async fn databases() -> Vec<Db> {
    let mut all = Vec::new();
    #[cfg(feature = "sqlite")]
    all.push(sqlite().await);
    #[cfg(feature = "postgres")]
    all.extend(postgres().await);
    all
}

#[cfg(feature = "postgres")]
pub(super) fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{n}", std::process::id())
}

#[cfg(feature = "postgres")]
pub(super) fn postgres_url() -> Option<String> {
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

#[cfg(feature = "postgres")]
async fn postgres() -> Option<Db> {
    let url = postgres_url()?;
    let options = SqlStore::options().schema(schema()).pool(8);
    let store = options.open(&url).await.unwrap();
    Some(Db {
        store: store.migrate().await.unwrap(),
        name: "postgres",
        url,
        _dir: None,
    })
}
