//! SQLite: one writer thread that groups commits, and reader threads.

mod conn;
mod dump;
mod fill;
mod open;
mod queue;
mod threads;
mod writer;

use async_trait::async_trait;
use mender_core::{StoreError, StoreResult};
use tokio::sync::oneshot;

use super::{
    dump::{Dump, Fill},
    expand,
    facade::{Batch, Done, Driver, Query, Stmt},
    migrate::{self, Migration},
    value::{Row, Val},
};
pub(crate) use conn::Conn;
use conn::{kind, unavailable};
pub(crate) use open::Options;
use threads::Threads;
use writer::Request;

/// A database file.
pub(crate) struct Sqlite {
    options: Options,
    threads: Threads,
}

fn gone<E>(_: E) -> StoreError {
    StoreError::unavailable("the database thread gave up on this call")
}

impl Sqlite {
    /// Opens the file, creating it where there is none, and starts the threads.
    pub(crate) fn open(options: &Options) -> StoreResult<Self> {
        Ok(Self { options: options.clone(), threads: Threads::start(options)? })
    }

    pub(crate) async fn on_writer<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Conn) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        self.threads.write(Request::Call(Box::new(move |conn| {
            let _ = reply.send(call(conn));
        })))?;
        answer.await.map_err(gone)?
    }
}

fn version(conn: &mut Conn) -> StoreResult<i64> {
    let tables = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'schema_migrations'";
    let one = |sql| conn.raw.query_row(sql, [], |row| row.get::<_, i64>(0));
    if one(tables).map_err(unavailable)? == 0 {
        return Ok(0);
    }
    one(migrate::LAST).map_err(unavailable)
}

fn apply(conn: &mut Conn, migrations: &'static [Migration]) -> StoreResult<()> {
    let create = |conn: &mut Conn| conn.raw.execute_batch(migrate::CREATE);
    create(conn).map_err(unavailable)?;
    for migration in migrate::missing(version(conn)?, migrations)? {
        let failed = |e: rusqlite::Error| {
            let text = format!("migration {}: {e}", migration.name);
            StoreError::unavailable(std::io::Error::new(kind(&e), text))
        };
        conn.raw.execute_batch(migration.sqlite).map_err(failed)?;
        conn.raw.execute(migrate::RECORD, (migration.version, migration.name)).map_err(failed)?;
    }
    Ok(())
}

#[async_trait]
impl Driver for Sqlite {
    async fn read(&self, queries: Vec<Query>) -> StoreResult<Vec<Vec<Row>>> {
        let (reply, answer) = oneshot::channel();
        self.threads.read(Box::new(move |conn| {
            let _ = reply.send(conn.read(&queries));
        }));
        answer.await.map_err(gone)?
    }

    async fn write(&self, batch: Batch) -> StoreResult<Vec<Done>> {
        let (reply, answer) = oneshot::channel();
        self.threads.write(Request::Work(batch, reply))?;
        answer.await.map_err(gone)?
    }

    async fn migrate(&self, migrations: &'static [Migration]) -> StoreResult<()> {
        self.on_writer(move |conn| {
            conn.begin()?;
            let applied = apply(conn, migrations).and_then(|()| conn.commit());
            conn.end();
            applied
        })
        .await
    }

    async fn version(&self) -> StoreResult<i64> {
        self.on_writer(version).await
    }

    async fn prepare(&self, stmt: Stmt) -> StoreResult<()> {
        self.on_writer(move |conn| {
            let text = expand::sqlite(stmt.texts().0, expand::width(stmt.texts().0));
            let invalid = |e| StoreError::corrupt(text.clone(), Box::new(e));
            conn.raw.prepare(&text).map(|_| ()).map_err(invalid)
        })
        .await
    }

    async fn dump(&self) -> StoreResult<Dump> {
        dump::begin(&self.options).await
    }

    async fn fill(&self) -> StoreResult<Box<dyn Fill>> {
        Ok(Box::new(fill::begin(&self.options).await?))
    }

    async fn occupied(&self) -> StoreResult<Option<String>> {
        self.on_writer(dump::occupied).await
    }
}
