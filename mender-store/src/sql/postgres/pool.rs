use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mender_core::{StoreError, StoreResult};
use sqlx::{
    Connection as _, PgPool, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::conn::{Fail, fail, run_text};

/// How to reach a database server.
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) pool: u32,
    pub(crate) acquire_timeout: Duration,
    pub(crate) schema: String,
}

/// Statements that a connection keeps compiled.
const STATEMENTS: usize = 512;

/// A connection that rested for as long is tried before it is used.
const RESTED: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    pool: PgPool,
    max: u32,
    /// How many of the next connections to try before use, since one was found dead.
    suspects: Arc<AtomicU32>,
}

impl Pool {
    pub(super) async fn open(options: &Options) -> StoreResult<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if options.schema.is_empty() || !options.schema.chars().all(plain) {
            let why = "the name of the schema has letters, digits and _ only";
            return Err(StoreError::unavailable(why));
        }
        let url: PgConnectOptions =
            options.url.parse().map_err(|e: sqlx::Error| StoreError::unavailable(e))?;
        // A statement that hangs must not hold a connection, nor its locks, for ever.
        let path = format!(
            "SET search_path TO \"{}\"; SET statement_timeout TO '30s'; SET lock_timeout TO '5s'",
            options.schema
        );
        let suspects = Arc::new(AtomicU32::new(0));
        let watched = suspects.clone();
        let pool = PgPoolOptions::new()
            .max_connections(options.pool)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .after_connect(move |conn, _| {
                let path = path.clone();
                Box::pin(async move {
                    let run = sqlx::raw_sql(sqlx::AssertSqlSafe(path)).execute(conn);
                    run.await.map(drop)
                })
            })
            .before_acquire(move |conn, meta| {
                let less = |n: u32| n.checked_sub(1);
                let order = Ordering::Relaxed;
                let suspect = watched.fetch_update(order, order, less).is_ok();
                Box::pin(async move {
                    if suspect || meta.idle_for >= RESTED {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            });
        let opened = Self {
            pool: pool.connect_lazy_with(url.statement_cache_capacity(STATEMENTS)),
            max: options.pool,
            suspects,
        };
        let mut conn = opened.acquire().await.map_err(Fail::into_error)?;
        let tried = run_text(&mut conn, "SELECT 1").await;
        tried.map_err(Fail::into_error)?;
        Ok(opened)
    }

    fn explain(&self, error: sqlx::Error) -> Fail {
        if !matches!(error, sqlx::Error::PoolTimedOut) {
            return fail(error);
        }
        let full = self.pool.size() >= self.max;
        Fail::Final(StoreError::unavailable(if full {
            "the connection pool is full"
        } else {
            "no connection to the database in time"
        }))
    }

    /// Has connections tried before use for a while, where one was lost.
    pub(super) fn suspect(&self, fail: &Fail) {
        if matches!(fail, Fail::Lost(_) | Fail::Unknown(_)) {
            self.suspects.store(self.max * 2, Ordering::Relaxed);
        }
    }

    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, Fail> {
        self.pool.acquire().await.map_err(|e| self.explain(e))
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Fail> {
        self.pool.begin().await.map_err(|e| self.explain(e))
    }

    /// Begins to read one state of the database.
    pub(super) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, Fail> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = self.pool.begin_with(begin).await;
        begun.map_err(|e| self.explain(e))
    }
}
