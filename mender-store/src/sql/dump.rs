//! Whole databases as rows: out of one state of a database, and into an empty one.

use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use mender_core::{StoreError, StoreResult};

use super::value::Val;

/// What is not moved: which nodes live, what they told each other within the last seconds, and
/// the migrations, which the program brings itself.
pub(crate) const STAYS: [&str; 3] = ["feed", "nodes", "schema_migrations"];

/// About how many bytes of values a chunk has.
const CHUNK_BYTES: usize = 1 << 20;

/// How many rows a chunk has at most.
pub(crate) const CHUNK_ROWS: usize = 4096;

/// Some rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The table.
    pub table: String,
    /// The columns of each row, in its order.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Val>>,
}

/// Gathers the rows of a table into chunks.
pub(crate) struct Gather {
    chunk: Chunk,
    bytes: usize,
}

impl Gather {
    pub(crate) fn of(table: &Table) -> Self {
        let columns = table.columns.iter().map(|(name, _)| name.clone()).collect();
        Self { chunk: Chunk { table: table.name.clone(), columns, rows: Vec::new() }, bytes: 0 }
    }

    /// Adds a row; returns a chunk that is full with it.
    pub(crate) fn add(&mut self, row: Vec<Val>) -> Option<Chunk> {
        self.bytes += row.iter().map(weight).sum::<usize>();
        self.chunk.rows.push(row);
        let is_full = self.bytes >= CHUNK_BYTES || self.chunk.rows.len() == CHUNK_ROWS;
        if is_full { self.take() } else { None }
    }

    /// Returns what was gathered.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.chunk.rows);
        let Chunk { table, columns, .. } = self.chunk.clone();
        (!rows.is_empty()).then_some(Chunk { table, columns, rows })
    }
}

/// One state of a database.
#[must_use = "nothing is read until the stream is"]
pub struct Dump {
    /// The kind of database.
    pub kind: &'static str,
    /// The version of its schema.
    pub version: i64,
    /// Its rows, table by table.
    pub chunks: Pin<Box<dyn Stream<Item = StoreResult<Chunk>> + Send>>,
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dump").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A transaction that puts rows into tables. Dropping it undoes it.
#[async_trait]
pub trait Fill: Send {
    /// Inserts rows. After an error only dropping makes sense.
    async fn add(&mut self, chunk: Chunk) -> StoreResult<()>;

    /// Commits.
    async fn finish(self: Box<Self>) -> StoreResult<()>;
}

/// A table that rows are put into.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Its columns and their types.
    pub(crate) columns: Vec<(String, String)>,
}

/// Finds the table of a chunk, and the types of the chunk's columns. Names in a chunk may come from
/// anywhere: only those that the table has become part of a statement.
pub(crate) fn place<'a>(tables: &'a [Table], chunk: &Chunk) -> StoreResult<Vec<&'a str>> {
    let lacks = |what: String| StoreError::unavailable(format!("the database has no {what}"));
    let named = |table: &&Table| table.name == chunk.table;
    let table = tables.iter().find(named).ok_or_else(|| lacks(format!("table {}", chunk.table)))?;
    let kind = |name: &String| {
        let found = table.columns.iter().find(|(column, _)| column == name);
        let (_, kind) = found.ok_or_else(|| lacks(format!("column {name} in {}", table.name)))?;
        Ok(kind.as_str())
    };
    if chunk.rows.iter().any(|row| row.len() != chunk.columns.len()) {
        return Err(StoreError::corrupt(chunk.table.clone(), "a row of another length"));
    }
    chunk.columns.iter().map(kind).collect()
}

/// Returns the columns of a chunk as a statement lists them.
pub(crate) fn list(columns: &[String]) -> String {
    let quoted: Vec<_> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

/// About how many bytes a value has.
fn weight(val: &Val) -> usize {
    match val {
        Val::Text(text) => text.len(),
        Val::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}
