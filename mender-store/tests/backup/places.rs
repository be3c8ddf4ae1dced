//! Databases to back up from and to restore into.

use mender_store::SqlStore;

#[cfg(feature = "postgres")]
use crate::support;
use crate::support::done;

/// A store and what must outlive it.
pub(crate) struct Fresh {
    pub(crate) store: SqlStore,
    pub(crate) dir: Option<tempfile::TempDir>,
}

/// A kind of database that can be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres(String),
}

/// The kinds that there are.
pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    #[cfg(feature = "sqlite")]
    kinds.push(Kind::Sqlite);
    #[cfg(feature = "postgres")]
    kinds.extend(support::server("postgres").map(Kind::Postgres));
    kinds
}

impl Kind {
    /// Opens a database that has no schema.
    pub(crate) async fn bare(&self) -> Fresh {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                let dir = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", dir.path().join("new.db").display());
                Fresh { store: done(SqlStore::open(&url).await), dir: Some(dir) }
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let name = mender_core::Env::system().uuid().replace('-', "");
                let options = SqlStore::options().schema(format!("test_{name}")).pool(4);
                Fresh { store: done(options.open(url).await), dir: None }
            }
        }
    }

    /// Opens a database that has a schema, and no rows.
    pub(crate) async fn empty(&self) -> Fresh {
        let Fresh { store, dir } = self.bare().await;
        Fresh { store: done(store.migrate().await), dir }
    }
}
