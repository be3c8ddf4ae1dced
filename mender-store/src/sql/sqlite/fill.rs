use async_trait::async_trait;
use mender_core::{StoreError, StoreResult};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    conn::{Conn, unavailable},
    dump::tables,
    gone,
    open::Options,
};
use crate::sql::dump::{self, Chunk, Table};

enum Step {
    Add(Chunk),
    Commit,
}

/// A thread with a transaction.
pub(super) struct Filling {
    steps: mpsc::Sender<Step>,
    done: JoinHandle<StoreResult<()>>,
}

/// Begins a transaction on a connection of its own.
pub(super) async fn begin(options: &Options) -> StoreResult<Filling> {
    let (options, (steps, received)) = (options.clone(), mpsc::channel(2));
    let (reply, begun) = oneshot::channel();
    let done = spawn_blocking(move || match open(&options) {
        Ok((conn, tables)) => {
            let _ = reply.send(Ok(()));
            // Without a commit the end of the connection undoes it.
            run(&conn, &tables, received)
        }
        Err(error) => {
            let _ = reply.send(Err(error));
            Ok(())
        }
    });
    begun.await.map_err(gone)??;
    Ok(Filling { steps, done })
}

fn open(options: &Options) -> StoreResult<(Conn, Vec<Table>)> {
    let conn = options.writer()?;
    conn.begin()?;
    let tables = tables(&conn)?;
    Ok((conn, tables))
}

fn run(conn: &Conn, tables: &[Table], mut steps: mpsc::Receiver<Step>) -> StoreResult<()> {
    while let Some(step) = steps.blocking_recv() {
        match step {
            Step::Add(chunk) => add(conn, tables, &chunk)?,
            Step::Commit => return conn.commit(),
        }
    }
    Ok(())
}

fn add(conn: &Conn, tables: &[Table], chunk: &Chunk) -> StoreResult<()> {
    dump::place(tables, chunk)?;
    let marks: Vec<_> = (1..=chunk.columns.len()).map(|n| format!("?{n}")).collect();
    let columns = dump::list(&chunk.columns);
    let sql = format!("INSERT INTO \"{}\" ({columns}) VALUES ({})", chunk.table, marks.join(", "));
    let mut stmt = conn.raw.prepare_cached(&sql).map_err(unavailable)?;
    for row in &chunk.rows {
        stmt.execute(rusqlite::params_from_iter(row)).map_err(unavailable)?;
    }
    Ok(())
}

impl Filling {
    /// Returns why the thread ended.
    async fn ended(&mut self) -> StoreResult<()> {
        (&mut self.done).await.map_err(StoreError::unavailable)?
    }
}

#[async_trait]
impl dump::Fill for Filling {
    async fn add(&mut self, chunk: Chunk) -> StoreResult<()> {
        match self.steps.send(Step::Add(chunk)).await {
            Ok(()) => Ok(()),
            Err(_) => self.ended().await.and_then(|()| Err(gone(()))),
        }
    }

    async fn finish(mut self: Box<Self>) -> StoreResult<()> {
        // Where the thread has ended, it tells why.
        let sent = self.steps.send(Step::Commit).await.map_err(gone);
        self.ended().await.and(sent)
    }
}
