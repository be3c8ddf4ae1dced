//! A database for each case, copied from one that is migrated once.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use mender_core::StoreResult;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use mender_store::SqlStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use tokio::sync::OnceCell;

#[path = "server.rs"]
mod server;

pub(crate) use server::done;
#[cfg(any(feature = "postgres", feature = "mongodb"))]
pub(crate) use server::server;

/// A store and what must outlive it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) struct Fresh {
    pub(crate) store: SqlStore,
    pub(crate) dir: Option<tempfile::TempDir>,
}

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    use super::{Fresh, OnceCell, SqlStore, StoreResult};

    /// Opens an empty database of its own.
    pub(crate) async fn fresh() -> StoreResult<Fresh> {
        static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
        let bytes = TEMPLATE.get_or_try_init(template).await?;
        let dir = tempfile::tempdir().map_err(mender_core::StoreError::unavailable)?;
        let path = dir.path().join("test.db");
        std::fs::write(&path, bytes).map_err(mender_core::StoreError::unavailable)?;
        let store = SqlStore::open(&format!("sqlite://{}", path.display())).await?;
        Ok(Fresh { store, dir: Some(dir) })
    }

    async fn template() -> StoreResult<Vec<u8>> {
        let dir = tempfile::tempdir().map_err(mender_core::StoreError::unavailable)?;
        let path = dir.path().join("template.db");
        let url = format!("sqlite://{}", path.display());
        // Closing it writes the log back: the file is all there is.
        drop(SqlStore::open(&url).await?.migrate().await?);
        std::fs::read(path).map_err(mender_core::StoreError::unavailable)
    }
}

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use mender_store::{
        sql::{Batch, Stmt},
        vals,
    };

    use super::{Fresh, OnceCell, SqlStore, StoreResult, done};

    const OURS: Stmt = Stmt::new(
        "SELECT CAST(datname AS TEXT) AS name FROM pg_database
            WHERE starts_with(CAST(datname AS TEXT), $1)",
    );

    /// Returns the base URL of the server, or says that its tests are skipped.
    pub(crate) fn server() -> Option<String> {
        super::server("postgres")
    }

    fn prefix() -> String {
        format!("mender_test_{}_", std::process::id())
    }

    /// The URL of another database of the server.
    fn beside(url: &str, name: &str) -> String {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let at = base.rfind('/').unwrap_or(base.len());
        format!("{}/{name}?{query}", &base[..at])
    }

    async fn command(url: &str, text: String) -> StoreResult<()> {
        let admin = SqlStore::options().pool(1).open(url).await?;
        let batch = Batch::of(Stmt::dynamic(text), vals![]);
        admin.sql().run(batch).await.map(drop)
    }

    /// Opens an empty database of its own.
    pub(crate) async fn fresh(url: &str) -> StoreResult<Fresh> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let template = TEMPLATE.get_or_try_init(|| template(url)).await?;
        let name = format!("{}{}", prefix(), NEXT.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // Those who copied or made it have it open for a moment.
        let mut patience = 50;
        while let Err(error) = command(url, create.clone()).await {
            patience -= 1;
            if patience == 0 {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let store = SqlStore::options().pool(8).open(&beside(url, &name)).await?;
        Ok(Fresh { store, dir: None })
    }

    async fn template(url: &str) -> StoreResult<String> {
        let name = format!("{}template", prefix());
        command(url, format!("CREATE DATABASE {name}")).await?;
        let options = SqlStore::options().pool(1);
        drop(options.open(&beside(url, &name)).await?.migrate().await?);
        Ok(name)
    }

    /// Removes the databases of this process.
    pub(crate) async fn clean(url: &str) {
        done(remove(url).await);
    }

    async fn remove(url: &str) -> StoreResult<()> {
        let admin = SqlStore::options().pool(1).open(url).await?;
        for row in admin.sql().read(OURS, vals![prefix()]).await? {
            let name = row.text("name")?;
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let batch = Batch::of(Stmt::dynamic(drop), vals![]);
            admin.sql().run(batch).await?;
        }
        Ok(())
    }
}
