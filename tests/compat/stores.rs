//! The stores that transcripts are played on, each empty and of its own.

use std::{env, fmt};

use mender::{
    Builder, Env, Mender,
    blob::MemoryBlobs,
    kit::MemoryStores,
    store::{MongoDocs, MongoStores, Role, SqlStore},
};
use tempfile::TempDir;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Memory,
    Sqlite,
    Postgres,
    Mongodb,
}

pub(crate) const ALL: [Store; 4] = [Store::Memory, Store::Sqlite, Store::Postgres, Store::Mongodb];

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mongodb => "mongodb",
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "tests find their databases there")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Store {
    /// The base URL of the database; an error where it is missing and `MENDER_TEST_REQUIRE`
    /// names it.
    fn url(self) -> Result<Option<String>, String> {
        let name = format!("MENDER_TEST_{}", self.to_string().to_uppercase());
        let required = variable("MENDER_TEST_REQUIRE").unwrap_or_default();
        match variable(&name) {
            None if required.split(',').any(|one| one == self.to_string()) => {
                Err(format!("{name} is not set"))
            }
            None => {
                println!("skipped: {name} is not set");
                Ok(None)
            }
            url => Ok(url),
        }
    }

    /// Returns a server on an empty store, with what must outlive it; `None` where the database
    /// is not here.
    pub(crate) async fn builder(self) -> Result<Option<(Builder, Option<TempDir>)>, String> {
        let failed = |error: mender::StoreError| error.to_string();
        let builder = Mender::builder().blobs(MemoryBlobs::default()).ephemeral_keys();
        let name = format!("t{}", Env::system().uuid().replace('-', ""));
        Ok(match self {
            Self::Memory => Some((builder.stores(MemoryStores::default()), None)),
            Self::Sqlite => {
                let dir = TempDir::new().map_err(|error| error.to_string())?;
                let url = format!("sqlite://{}", dir.path().join("mender.db").display());
                let store = SqlStore::options().role(Role::Tool).readers(1);
                let store = store.open(&url).await.map_err(failed)?;
                let store = store.migrate().await.map_err(failed)?;
                Some((builder.stores(store), Some(dir)))
            }
            Self::Postgres => match self.url()? {
                None => None,
                Some(url) => {
                    let store = SqlStore::options().schema(name).pool(2);
                    let store = store.open(&url).await.map_err(failed)?;
                    let store = store.migrate().await.map_err(failed)?;
                    Some((builder.stores(store), None))
                }
            },
            Self::Mongodb => match self.url()? {
                None => None,
                Some(url) => {
                    let docs = MongoDocs::open(&format!("{url}/{name}")).await.map_err(failed)?;
                    Some((builder.stores(MongoStores::new(docs)), None))
                }
            },
        })
    }
}
