use mender_core::{StoreError, StoreResult};
use rusqlite::Statement;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    conn::{Conn, unavailable, value},
    gone,
    open::Options,
    version,
};
use crate::sql::dump::{Chunk, Dump, Gather, STAYS, Table};

type Chunks = mpsc::Sender<StoreResult<Chunk>>;

/// Begins to read on a connection of its own: the log grows for as long, and nobody waits.
pub(super) async fn begin(options: &Options) -> StoreResult<Dump> {
    let (options, (send, mut chunks)) = (options.clone(), mpsc::channel(2));
    let (reply, begun) = oneshot::channel();
    spawn_blocking(move || match snapshot(&options) {
        Ok((conn, applied)) => {
            let _ = reply.send(Ok(applied));
            if let Err(error) = read(&conn, &send) {
                let _ = send.blocking_send(Err(error));
            }
        }
        Err(error) => {
            let _ = reply.send(Err(error));
        }
    });
    let version = begun.await.map_err(gone)??;
    let chunks = Box::pin(futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx)));
    Ok(Dump { kind: "sqlite", version, chunks })
}

/// Returns a connection that sees one state of the database from now on, and its version.
fn snapshot(options: &Options) -> StoreResult<(Conn, i64)> {
    let mut conn = options.reader()?;
    conn.raw.execute_batch("BEGIN").map_err(unavailable)?;
    // The first read chooses the state.
    let applied = version(&mut conn)?;
    Ok((conn, applied))
}

/// Returns the tables that are moved.
pub(super) fn tables(conn: &Conn) -> StoreResult<Vec<Table>> {
    let sql =
        "SELECT t.name, c.name, c.type FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_' ORDER BY t.name, c.cid";
    let mut stmt = conn.raw.prepare(sql).map_err(unavailable)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    let rows = stmt.query_map([], row).map_err(unavailable)?;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let (name, column): (String, (String, String)) = row.map_err(unavailable)?;
        match tables.last_mut() {
            Some(last) if last.name == name => last.columns.push(column),
            _ => tables.push(Table { name, columns: vec![column] }),
        }
    }
    tables.retain(|table| !STAYS.contains(&table.name.as_str()));
    Ok(tables)
}

/// Names a table that has rows.
pub(super) fn occupied(conn: &mut Conn) -> StoreResult<Option<String>> {
    for table in tables(conn)? {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name);
        if conn.raw.query_row(&sql, [], |row| row.get(0)).map_err(unavailable)? {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

fn read(conn: &Conn, send: &Chunks) -> StoreResult<()> {
    for table in tables(conn)? {
        let sql = format!("SELECT * FROM \"{}\"", table.name);
        let mut stmt = conn.raw.prepare(&sql).map_err(unavailable)?;
        rows(&mut stmt, &table, send)?;
    }
    Ok(())
}

fn rows(stmt: &mut Statement<'_>, table: &Table, send: &Chunks) -> StoreResult<()> {
    let width = table.columns.len();
    let put = |chunk: Chunk| {
        let unheard = |_| StoreError::unavailable("nobody reads the tables any more");
        send.blocking_send(Ok(chunk)).map_err(unheard)
    };
    let mut gather = Gather::of(table);
    let mut rows = stmt.raw_query();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let val = |at| value(row.get_ref(at).map_err(unavailable)?);
        let vals = (0..width).map(val).collect::<StoreResult<Vec<_>>>()?;
        gather.add(vals).map_or(Ok(()), put)?;
    }
    gather.take().map_or(Ok(()), put)
}
