use std::{collections::HashMap, io, sync::Arc};

use mender_core::{StoreError, StoreResult};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, ToSql,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
    types::{ToSqlOutput, Value, ValueRef},
};

use super::{Done, Query, Row, Stmt, Val, expand};
use crate::sql::facade::Step;

/// A connection, owned by one thread.
pub(crate) struct Conn {
    pub(super) raw: Connection,
    /// Expanded texts, by address, length and width of the rows of a static statement.
    texts: HashMap<(usize, usize, usize), Arc<str>>,
}

/// Why a step did not do what it should.
pub(super) enum Refusal {
    /// It broke a constraint or an expectation: the step changed nothing.
    Refused(StoreError),
    /// Anything else: the transaction is lost.
    Broken(StoreError),
}

pub(super) fn unavailable(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::Unknown
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch,
        )
        | None => StoreError::corrupt("sqlite", error),
        Some(_) => StoreError::unavailable(io::Error::new(kind(&error), error)),
    }
}

/// Says in the terms of the machine what is in the way.
pub(super) fn kind(error: &rusqlite::Error) -> io::ErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
        Some(ErrorCode::PermissionDenied) => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    }
}

impl ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let json = |e| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(n) => ToSqlOutput::Borrowed(ValueRef::Integer(*n)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Texts(texts) => {
                ToSqlOutput::Owned(Value::Text(serde_json::to_string(texts).map_err(json)?))
            }
            Self::Ints(ints) => {
                ToSqlOutput::Owned(Value::Text(serde_json::to_string(ints).map_err(json)?))
            }
            // `Conn::apply` takes rows apart.
            Self::Rows(_) => return Err(rusqlite::Error::InvalidQuery),
        })
    }
}

pub(super) fn value(value: ValueRef<'_>) -> StoreResult<Val> {
    Ok(match value {
        ValueRef::Null => Val::Null,
        ValueRef::Integer(n) => Val::Int(n),
        ValueRef::Text(bytes) => Val::Text(
            std::str::from_utf8(bytes).map_err(|e| StoreError::corrupt("text", e))?.to_owned(),
        ),
        ValueRef::Blob(bytes) => Val::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(StoreError::corrupt("column", "a fraction")),
    })
}

fn bind(stmt: &mut CachedStatement<'_>, head: &[Val], tail: &[Val]) -> StoreResult<()> {
    if stmt.parameter_count() != head.len() + tail.len() {
        let what = stmt.expanded_sql().unwrap_or_default();
        return Err(StoreError::corrupt(what, "another number of parameters"));
    }
    for (at, val) in head.iter().chain(tail).enumerate() {
        stmt.raw_bind_parameter(at + 1, val).map_err(unavailable)?;
    }
    Ok(())
}

fn rows(stmt: &mut CachedStatement<'_>) -> StoreResult<Vec<Row>> {
    let width = stmt.column_count();
    // Most reads of some paths find nothing.
    let mut names: Option<Arc<[String]>> = None;
    let mut found = Vec::new();
    let mut rows = stmt.raw_query();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let names = names.get_or_insert_with(|| {
            row.as_ref().column_names().into_iter().map(str::to_owned).collect()
        });
        let vals = (0..width)
            .map(|at| value(row.get_ref(at).map_err(unavailable)?))
            .collect::<StoreResult<_>>()?;
        found.push(Row::new(names.clone(), vals));
    }
    Ok(found)
}

impl Conn {
    pub(super) fn new(raw: Connection) -> Self {
        Self { raw, texts: HashMap::new() }
    }

    fn text(&mut self, stmt: &Stmt, width: usize) -> Arc<str> {
        let text = stmt.texts().0;
        match text {
            std::borrow::Cow::Borrowed(text) => {
                let key = (text.as_ptr().addr(), text.len(), width);
                let make = || expand::sqlite(text, width).into();
                self.texts.entry(key).or_insert_with(make).clone()
            }
            std::borrow::Cow::Owned(text) => expand::sqlite(text, width).into(),
        }
    }

    fn command(&self, text: &str) -> StoreResult<()> {
        let run = |text| self.raw.prepare_cached(text)?.raw_execute();
        run(text).map(|_| ()).map_err(unavailable)
    }

    pub(super) fn begin(&self) -> StoreResult<()> {
        self.command("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> StoreResult<()> {
        self.command("COMMIT")
    }

    pub(super) fn savepoint(&self) -> StoreResult<()> {
        self.command("SAVEPOINT member")
    }

    pub(super) fn release(&self) -> StoreResult<()> {
        self.command("RELEASE member")
    }

    pub(super) fn undo(&self) -> StoreResult<()> {
        self.command("ROLLBACK TO member")?;
        self.release()
    }

    /// Ends a transaction that was left open, without its changes.
    pub(super) fn end(&self) {
        if !self.raw.is_autocommit()
            && let Err(error) = self.command("ROLLBACK")
        {
            tracing::error!(%error, "a transaction can't be rolled back");
        }
    }

    fn query(&mut self, (stmt, vals): &Query) -> StoreResult<Vec<Row>> {
        let text = self.text(stmt, 0);
        let mut stmt = self.raw.prepare_cached(&text).map_err(unavailable)?;
        bind(&mut stmt, vals, &[])?;
        rows(&mut stmt)
    }

    pub(super) fn read(&mut self, queries: &[Query]) -> StoreResult<Vec<Vec<Row>>> {
        if let [query] = queries {
            return Ok(vec![self.query(query)?]);
        }
        self.command("BEGIN")?;
        let found = queries.iter().map(|query| self.query(query)).collect();
        self.end();
        found
    }

    /// Runs a statement of a batch; `wrote` becomes true once it may have changed something.
    pub(super) fn apply(&mut self, step: &Step, wrote: &mut bool) -> Result<Done, Refusal> {
        let (stmt, vals) = &step.query;
        let (head, tails): (&[Val], &[Vec<Val>]) = match vals.split_last() {
            Some((Val::Rows(rows), head)) => (head, rows),
            _ => (vals, &[]),
        };
        let mut done = Done::default();
        let one = [Vec::new()];
        let empty = matches!(vals.last(), Some(Val::Rows(_))) && tails.is_empty();
        let each = match tails {
            [] if empty => &[],
            [] => &one[..],
            tails => tails,
        };
        let text = self.text(stmt, each.first().map_or(0, Vec::len));
        for tail in each {
            let affected = self.once(&text, step, head, tail, &mut done)?;
            *wrote |= affected > 0;
            done.affected += affected;
        }
        match step.expect.judge(done.affected) {
            Ok(()) => Ok(done),
            Err(error) if done.affected == 0 => Err(Refusal::Refused(error)),
            Err(error) => Err(Refusal::Broken(error)),
        }
    }

    fn once(
        &self,
        text: &str,
        step: &Step,
        head: &[Val],
        tail: &[Val],
        done: &mut Done,
    ) -> Result<u64, Refusal> {
        let broken = |e| Refusal::Broken(unavailable(e));
        let mut stmt = self.raw.prepare_cached(text).map_err(broken)?;
        bind(&mut stmt, head, tail).map_err(Refusal::Broken)?;
        if step.returning {
            let found = rows(&mut stmt).map_err(Refusal::Broken)?;
            let affected = found.len() as u64;
            done.rows.extend(found);
            return Ok(affected);
        }
        match stmt.raw_execute() {
            Ok(affected) => Ok(affected as u64),
            Err(error) => {
                drop(stmt);
                Err(self.refusal(step, error))
            }
        }
    }

    fn refusal(&self, step: &Step, error: rusqlite::Error) -> Refusal {
        if let rusqlite::Error::SqliteFailure(code, message) = &error {
            let message = message.as_deref().unwrap_or_default();
            let columns = message.rsplit_once(": ").map_or("", |(_, columns)| columns);
            let table = columns.split('.').next().unwrap_or_default();
            match code.extended_code {
                SQLITE_CONSTRAINT_FOREIGNKEY => return Refusal::Refused(StoreError::Conflict),
                SQLITE_CONSTRAINT_PRIMARYKEY => {
                    return Refusal::Refused(step.violated(&format!("{table}_pkey")));
                }
                SQLITE_CONSTRAINT_UNIQUE => {
                    let index = self.index(table, columns).unwrap_or_default();
                    return Refusal::Refused(step.violated(&index));
                }
                _ => {}
            }
        }
        Refusal::Broken(unavailable(error))
    }

    /// Returns the name of the unique index on columns as an error message lists them.
    fn index(&self, table: &str, columns: &str) -> Option<String> {
        if let Some(name) = columns.strip_prefix("index '") {
            return name.strip_suffix('\'').map(str::to_owned);
        }
        let sql = "SELECT l.name FROM pragma_index_list(?1) AS l WHERE l.\"unique\" AND ?2 = \
                   (SELECT group_concat(?1 || '.' || i.name, ', ' ORDER BY i.seqno) \
                   FROM pragma_index_info(l.name) AS i)";
        let name = |row: &rusqlite::Row<'_>| row.get(0);
        self.raw.query_row(sql, (table, columns), name).ok()
    }
}
