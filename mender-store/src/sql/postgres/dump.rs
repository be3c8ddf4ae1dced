use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mender_core::{StoreError, StoreResult};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use tokio::sync::mpsc;

use super::{
    conn::{Fail, fail, query, run_text, value},
    migrate,
};
use crate::sql::{
    dump::{self, Chunk, Dump, Gather, STAYS, Table},
    facade::Stmt,
};

/// How many rows are asked for at a time. They are taken one by one: they may be large.
const FETCH: usize = 1024;

/// The tables of the schema, column by column.
const COLUMNS: Stmt = Stmt::new(
    "SELECT CAST(c.table_name AS TEXT) AS table_name, CAST(c.column_name AS TEXT) AS name,
        CAST(c.data_type AS TEXT) AS kind
    FROM information_schema.columns AS c JOIN information_schema.tables AS t
        USING (table_schema, table_name)
    WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
    ORDER BY c.table_name, c.ordinal_position",
);

/// Tables take as long as they take, and so does whoever keeps what was read.
pub(super) const PATIENT: &str = "SET LOCAL statement_timeout TO 0; \
     SET LOCAL idle_in_transaction_session_timeout TO 0";

type Chunks = mpsc::Sender<StoreResult<Chunk>>;

/// Reads in a transaction that sees one state.
pub(super) async fn begin(mut tx: Transaction<'static, Postgres>) -> Result<Dump, Fail> {
    run_text(&mut tx, PATIENT).await?;
    let last = (Stmt::new(migrate::LAST), Vec::new());
    let version = match query(&mut tx, &last).await?.first() {
        Some(row) => row.int(0).map_err(Fail::Final)?,
        None => 0,
    };
    let tables = tables(&mut tx).await?;
    let (send, mut chunks) = mpsc::channel(1);
    let chunks = stream::poll_fn(move |cx| chunks.poll_recv(cx));
    // Whoever asks for chunks has them read; who no longer does ends the transaction.
    let failed = stream::once(read(tx, tables, send))
        .filter_map(async |done| done.err().map(|error| Err(error.into_error())));
    let chunks = Box::pin(stream::select(chunks, failed));
    Ok(Dump { kind: "postgres", version, chunks })
}

/// Returns the tables that are moved.
pub(super) async fn tables(conn: &mut PgConnection) -> Result<Vec<Table>, Fail> {
    let mut tables: Vec<Table> = Vec::new();
    for row in query(conn, &(COLUMNS, Vec::new())).await? {
        let text = |col: &str| row.text(col).map(str::to_owned).map_err(Fail::Final);
        let (name, column) = (text("table_name")?, (text("name")?, text("kind")?));
        match tables.last_mut() {
            Some(last) if last.name == name => last.columns.push(column),
            _ => tables.push(Table { name, columns: vec![column] }),
        }
    }
    tables.retain(|table| !STAYS.contains(&table.name.as_str()));
    Ok(tables)
}

/// Names a table that has rows.
pub(super) async fn occupied(conn: &mut PgConnection) -> Result<Option<String>, Fail> {
    for table in tables(conn).await? {
        let text = format!("SELECT 1 AS found FROM \"{}\" LIMIT 1", table.name);
        if !query(conn, &(Stmt::dynamic(text), Vec::new())).await?.is_empty() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

async fn read(
    mut tx: Transaction<'static, Postgres>,
    tables: Vec<Table>,
    send: Chunks,
) -> Result<(), Fail> {
    for table in tables {
        let (name, mut gather) = (&table.name, Gather::of(&table));
        let columns: Vec<_> = table.columns.iter().map(|(name, _)| name.clone()).collect();
        let columns = dump::list(&columns);
        let open = format!(
            "DECLARE \"dump {name}\" NO SCROLL CURSOR FOR SELECT {columns} FROM \"{name}\""
        );
        run_text(&mut tx, &open).await?;
        while fetch(&mut tx, &table, &mut gather, &send).await? > 0 {}
        if let Some(chunk) = gather.take() {
            put(&send, chunk).await?;
        }
        run_text(&mut tx, &format!("CLOSE \"dump {name}\"")).await?;
    }
    Ok(())
}

/// Takes the next rows of a table; returns how many there were.
async fn fetch(
    conn: &mut PgConnection,
    table: &Table,
    gather: &mut Gather,
    send: &Chunks,
) -> Result<usize, Fail> {
    let text = format!("FETCH {FETCH} FROM \"dump {}\"", table.name);
    // Kept statements would outlive their cursor.
    let mut rows = sqlx::query(AssertSqlSafe(text)).persistent(false).fetch(conn);
    let mut count = 0;
    while let Some(row) = rows.try_next().await.map_err(fail)? {
        let corrupt = |e| Fail::Final(StoreError::corrupt("row", e));
        let val = |at| value(&row, at).map_err(corrupt);
        let vals = (0..table.columns.len()).map(val).collect::<Result<_, _>>()?;
        if let Some(chunk) = gather.add(vals) {
            put(send, chunk).await?;
        }
        count += 1;
    }
    Ok(count)
}

async fn put(send: &Chunks, chunk: Chunk) -> Result<(), Fail> {
    let unheard = |_| StoreError::unavailable("nobody reads the tables any more");
    send.send(Ok(chunk)).await.map_err(unheard).map_err(Fail::Final)
}
