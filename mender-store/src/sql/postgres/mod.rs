//! PostgreSQL: a pool of connections; a batch is one transaction, READ COMMITTED.

mod conn;
mod dump;
mod fill;
mod pool;

use std::time::Duration;

use async_trait::async_trait;
use mender_core::{StoreError, StoreResult};
use tokio::time::timeout;

use super::{
    dump::{Dump, Fill},
    facade::{Batch, Done, Driver, Query, Stmt},
    migrate::{self, Migration},
    value::Row,
};
use conn::{Fail, apply, fail, prepare, query, run_text};
pub(crate) use pool::Options;
use pool::Pool;

/// How often a batch is tried that ran into others, or into a lost connection.
const ATTEMPTS: u32 = 8;

/// The advisory lock that migrations hold: "mender".
const MIGRATIONS_LOCK: &str = "SET LOCAL statement_timeout TO 0; SET LOCAL lock_timeout TO 0; \
     SELECT pg_advisory_xact_lock(120380467766642)";

/// How long an attempt may take, connection included: a server that went silent must not hold
/// its callers for as long as the network does.
const PATIENCE: Duration = Duration::from_secs(35);

fn silent() -> StoreError {
    StoreError::unavailable("the database does not answer")
}

/// A database server.
pub(crate) struct Postgres {
    pool: Pool,
    schema: String,
}

impl Postgres {
    /// Connects.
    pub(crate) async fn open(options: &Options) -> StoreResult<Self> {
        Ok(Self { pool: Pool::open(options).await?, schema: options.schema.clone() })
    }

    async fn try_read(&self, queries: &[Query]) -> Result<Vec<Vec<Row>>, Fail> {
        if let [one] = queries {
            let mut conn = self.pool.acquire().await?;
            return Ok(vec![query(&mut conn, one).await?]);
        }
        let mut tx = self.pool.snapshot().await?;
        let mut found = Vec::with_capacity(queries.len());
        for one in queries {
            found.push(query(&mut tx, one).await?);
        }
        tx.commit().await.map_err(fail)?;
        Ok(found)
    }

    async fn try_write(&self, batch: &Batch) -> Result<Vec<Done>, Fail> {
        if let [step] = batch.steps() {
            let mut conn = self.pool.acquire().await?;
            // It commits itself: after a lost answer nobody knows.
            let done = apply(&mut conn, step).await.map_err(Fail::unknown)?;
            return Ok(vec![done]);
        }
        let mut tx = self.pool.begin().await?;
        let mut answers = Vec::with_capacity(batch.steps().len());
        for step in batch.steps() {
            answers.push(apply(&mut tx, step).await?);
        }
        tx.commit().await.map_err(|e| fail(e).unknown())?;
        Ok(answers)
    }

    /// Finds out what became of a batch whose answer was lost.
    async fn after_lost_answer(&self, batch: &Batch, lost: StoreError) -> StoreResult<Vec<Done>> {
        let Some(check) = batch.checked_by() else {
            return Err(lost);
        };
        let found = self.read(vec![check.clone()]).await?;
        if found.iter().all(Vec::is_empty) {
            return Err(lost);
        }
        let applied = |_| Done { affected: 1, rows: Vec::new() };
        Ok(batch.steps().iter().map(applied).collect())
    }

    fn watched<T>(&self, answer: Result<T, Fail>) -> Result<T, Fail> {
        answer.inspect_err(|error| self.pool.suspect(error))
    }

    async fn pause(&self, attempt: u32) {
        tokio::time::sleep(Duration::from_millis(5 << attempt.min(5))).await;
    }

    async fn apply_migrations(&self, migrations: &'static [Migration]) -> Result<(), Fail> {
        let mut tx = self.pool.begin().await?;
        run_text(&mut tx, MIGRATIONS_LOCK).await?;
        let schema = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema);
        run_text(&mut tx, &schema).await?;
        run_text(&mut tx, migrate::CREATE).await?;
        let last = (Stmt::new(migrate::LAST), Vec::new());
        let applied = match query(&mut tx, &last).await?.first() {
            Some(row) => row.int(0).map_err(Fail::Final)?,
            None => 0,
        };
        for migration in migrate::missing(applied, migrations).map_err(Fail::Final)? {
            run_text(&mut tx, migration.postgres).await.map_err(|e| e.within(migration.name))?;
            let vals = crate::vals![migration.version, migration.name];
            query(&mut tx, &(Stmt::new(migrate::RECORD), vals)).await?;
        }
        tx.commit().await.map_err(fail)
    }
}

#[async_trait]
impl Driver for Postgres {
    async fn read(&self, queries: Vec<Query>) -> StoreResult<Vec<Vec<Row>>> {
        let mut attempt = 0;
        loop {
            let answer = timeout(PATIENCE, self.try_read(&queries)).await;
            let answer = answer.unwrap_or_else(|_| Err(Fail::Final(silent())));
            match self.watched(answer) {
                Err(Fail::Busy(error) | Fail::Lost(error)) => {
                    attempt += 1;
                    if attempt == ATTEMPTS {
                        return Err(error);
                    }
                    self.pause(attempt).await;
                }
                done => return done.map_err(Fail::into_error),
            }
        }
    }

    async fn write(&self, batch: Batch) -> StoreResult<Vec<Done>> {
        let mut attempt = 0;
        loop {
            let answer = timeout(PATIENCE, self.try_write(&batch)).await;
            let answer = answer.unwrap_or_else(|_| Err(Fail::Unknown(silent())));
            match self.watched(answer) {
                Err(Fail::Busy(error) | Fail::Lost(error)) => {
                    attempt += 1;
                    if attempt == ATTEMPTS {
                        return Err(error);
                    }
                    self.pause(attempt).await;
                }
                Err(Fail::Unknown(lost)) => return self.after_lost_answer(&batch, lost).await,
                done => return done.map_err(Fail::into_error),
            }
        }
    }

    async fn migrate(&self, migrations: &'static [Migration]) -> StoreResult<()> {
        self.apply_migrations(migrations).await.map_err(Fail::into_error)
    }

    async fn version(&self) -> StoreResult<i64> {
        const TABLE: Stmt =
            Stmt::new("SELECT to_regclass('schema_migrations') IS NOT NULL AS found");
        let one = |mut rows: Vec<Vec<Row>>| rows.pop().and_then(|mut rows| rows.pop());
        let found = one(self.read(vec![(TABLE, Vec::new())]).await?);
        if !found.map_or(Ok(false), |row| row.flag(0))? {
            return Ok(0);
        }
        let last = one(self.read(vec![(Stmt::new(migrate::LAST), Vec::new())]).await?);
        last.map_or(Ok(0), |row| row.int(0))
    }

    async fn prepare(&self, stmt: Stmt) -> StoreResult<()> {
        let mut conn = self.pool.acquire().await.map_err(Fail::into_error)?;
        prepare(&mut conn, &stmt).await.map_err(Fail::into_error)
    }

    async fn dump(&self) -> StoreResult<Dump> {
        let tx = self.pool.snapshot().await.map_err(Fail::into_error)?;
        dump::begin(tx).await.map_err(Fail::into_error)
    }

    async fn fill(&self) -> StoreResult<Box<dyn Fill>> {
        let tx = self.pool.begin().await.map_err(Fail::into_error)?;
        Ok(Box::new(fill::begin(tx).await.map_err(Fail::into_error)?))
    }

    async fn occupied(&self) -> StoreResult<Option<String>> {
        let mut conn = self.pool.acquire().await.map_err(Fail::into_error)?;
        dump::occupied(&mut conn).await.map_err(Fail::into_error)
    }
}
