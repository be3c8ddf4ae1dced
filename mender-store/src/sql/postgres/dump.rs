use futures_util::stream;
use mender_core::{StoreError, StoreResult};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction, postgres::PgRow};

use super::{
    conn::{Fail, fail, query, run_text, value},
    migrate,
};
use crate::sql::{
    dump::{CHUNK_BYTES, CHUNK_ROWS, Chunk, Dump, STAYS, Table, weight},
    facade::Stmt,
};

/// How many rows of a table are fetched first, before their size is known.
const FIRST: usize = 16;

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

struct Reading {
    tx: Transaction<'static, Postgres>,
    /// The tables to come, the next one last.
    tables: Vec<Table>,
    /// The table whose cursor is open, and how many rows to fetch of it.
    open: Option<(Table, usize)>,
}

/// Reads in a transaction that sees one state.
pub(super) async fn begin(mut tx: Transaction<'static, Postgres>) -> Result<Dump, Fail> {
    run_text(&mut tx, PATIENT).await?;
    let last = (Stmt::new(migrate::LAST), Vec::new());
    let version = match query(&mut tx, &last).await?.first() {
        Some(row) => row.int(0).map_err(Fail::Final)?,
        None => 0,
    };
    let mut tables = tables(&mut tx).await?;
    tables.reverse();
    let chunks = stream::try_unfold(Reading { tx, tables, open: None }, |mut reading| async {
        let chunk = reading.next().await.map_err(Fail::into_error)?;
        Ok(chunk.map(|chunk| (chunk, reading)))
    });
    Ok(Dump { kind: "postgres", version, chunks: Box::pin(chunks) })
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

fn rows(found: &[PgRow], width: usize) -> StoreResult<Vec<Vec<crate::sql::Val>>> {
    let corrupt = |e| StoreError::corrupt("row", e);
    let row = |row: &PgRow| (0..width).map(|at| value(row, at).map_err(corrupt)).collect();
    found.iter().map(row).collect()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Chunk>, Fail> {
        loop {
            let Some((table, want)) = self.open.take() else {
                let Some(table) = self.tables.pop() else { return Ok(None) };
                let columns: Vec<_> = table.columns.iter().map(|(name, _)| name.clone()).collect();
                let text = format!(
                    "DECLARE \"dump {0}\" NO SCROLL CURSOR FOR SELECT {1} FROM \"{0}\"",
                    table.name,
                    crate::sql::dump::list(&columns)
                );
                run_text(&mut self.tx, &text).await?;
                self.open = Some((table, FIRST));
                continue;
            };
            let text = format!("FETCH {want} FROM \"dump {}\"", table.name);
            // Kept statements would outlive their cursor.
            let fetch = sqlx::query(AssertSqlSafe(text)).persistent(false);
            let found = fetch.fetch_all(&mut *self.tx).await.map_err(fail)?;
            if found.is_empty() {
                run_text(&mut self.tx, &format!("CLOSE \"dump {}\"", table.name)).await?;
                continue;
            }
            let rows = rows(&found, table.columns.len()).map_err(Fail::Final)?;
            let bytes: usize = rows.iter().flatten().map(weight).sum();
            let fitting = CHUNK_BYTES / (bytes / rows.len()).max(1);
            let columns = table.columns.iter().map(|(name, _)| name.clone()).collect();
            let chunk = Chunk { table: table.name.clone(), columns, rows };
            self.open = Some((table, fitting.clamp(1, (want * 4).min(CHUNK_ROWS))));
            return Ok(Some(chunk));
        }
    }
}
