use std::{sync::Arc, time::Duration};

use mender_core::{StoreError, StoreResult, memo::Memo};

use crate::sql::{MIGRATIONS, Sql};

/// Who opens a database.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Role {
    /// A server. A database file has one at a time.
    #[default]
    Server,
    /// A command-line tool, which works beside the server.
    Tool,
}

/// How to open a database.
#[derive(Clone, Debug)]
#[must_use = "opens nothing until `open` is called"]
pub struct SqlOptions {
    role: Role,
    cache_bytes: u64,
    readers: usize,
    pool: u32,
    acquire_timeout: Duration,
    schema: String,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            role: Role::Server,
            cache_bytes: 64 << 20,
            readers: 4,
            pool: 16,
            acquire_timeout: Duration::from_secs(5),
            schema: "mender".into(),
        }
    }
}

impl SqlOptions {
    /// Sets who opens the database.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Sets the size of each SQLite connection's page cache.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets how many SQLite connections read.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets how many connections to PostgreSQL there may be.
    pub fn pool(mut self, connections: u32) -> Self {
        self.pool = connections;
        self
    }

    /// Sets how long to wait for a free connection to PostgreSQL.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Sets the PostgreSQL schema that holds everything: letters, digits and `_`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Opens `sqlite://path` or `postgres://…`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], saying why: an unknown scheme, one this program was built
    /// without, a database that another server uses, or one of a newer program.
    pub async fn open(&self, url: &str) -> StoreResult<SqlStore> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let sql = match scheme {
            "sqlite" => self.sqlite(url)?,
            "postgres" | "postgresql" => self.postgres(url).await?,
            _ => {
                return Err(StoreError::unavailable(
                    "a database URL begins with sqlite:// or postgres://",
                ));
            }
        };
        let applied = sql.driver().version().await?;
        if applied > 0 {
            crate::sql::refuse_newer(applied)?;
        }
        Ok(SqlStore::new(sql))
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(&self, url: &str) -> StoreResult<Sql> {
        let path = url.trim_start_matches("sqlite://");
        if path.is_empty() {
            return Err(StoreError::unavailable("sqlite:// needs a path"));
        }
        let options = crate::sql::sqlite::Options {
            path: path.into(),
            cache_bytes: self.cache_bytes,
            readers: self.readers,
            exclusive: self.role == Role::Server,
        };
        crate::sql::sqlite::Sqlite::open(&options).map(Sql::new)
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite(&self, _: &str) -> StoreResult<Sql> {
        Err(StoreError::unavailable("built without the `sqlite` feature"))
    }

    #[cfg(feature = "postgres")]
    async fn postgres(&self, url: &str) -> StoreResult<Sql> {
        let options = crate::sql::postgres::Options {
            url: url.into(),
            pool: self.pool,
            acquire_timeout: self.acquire_timeout,
            schema: self.schema.clone(),
        };
        crate::sql::postgres::Postgres::open(&options).await.map(Sql::new)
    }

    #[cfg(not(feature = "postgres"))]
    async fn postgres(&self, _: &str) -> StoreResult<Sql> {
        Err(StoreError::unavailable("built without the `postgres` feature"))
    }
}

/// A store in a SQL database. Clones share it.
#[derive(Clone, Debug)]
pub struct SqlStore {
    pub(crate) sql: Sql,
    /// How many devices of a sorted search have a value for its first key, and how many don't.
    pub(crate) valued: Arc<Memo<(u64, u64)>>,
}

impl SqlStore {
    pub(crate) fn new(sql: Sql) -> Self {
        Self { sql, valued: Arc::default() }
    }

    /// Opens `sqlite://path` or `postgres://…` for a server.
    ///
    /// # Errors
    /// As [`SqlOptions::open`].
    pub async fn open(url: &str) -> StoreResult<Self> {
        SqlOptions::default().open(url).await
    }

    /// Returns the options to open a database with.
    pub fn options() -> SqlOptions {
        SqlOptions::default()
    }

    /// Brings the schema up to date. Repeating it, or several processes at once, do no harm.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also where the database is of a newer program.
    pub async fn migrate(self) -> StoreResult<Self> {
        self.sql.driver().migrate(MIGRATIONS).await?;
        Ok(self)
    }

    /// Returns the version of the schema, 0 before the first migration.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn version(&self) -> StoreResult<i64> {
        self.sql.driver().version().await
    }

    /// Returns the handle to the database.
    #[doc(hidden)]
    #[must_use]
    pub fn sql(&self) -> &Sql {
        &self.sql
    }
}
