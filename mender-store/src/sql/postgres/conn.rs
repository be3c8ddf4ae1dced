use std::sync::Arc;

use mender_core::StoreError;
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Decode, Encode, Executor as _, PgConnection,
    Postgres, Row as _, SqlSafeStr as _, Type, TypeInfo as _, ValueRef as _,
    encode::IsNull,
    error::{BoxDynError, ErrorKind},
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, types::Oid},
};

use crate::sql::{
    expand,
    facade::{Done, Query, Step, Stmt},
    value::{Row, Val},
};

/// Why the database did not do what it was asked.
#[derive(Debug)]
pub(super) enum Fail {
    /// Others were in the way: try again.
    Busy(StoreError),
    /// The connection was lost, and nothing was changed.
    Lost(StoreError),
    /// The answer was lost: the change may or may not have been made.
    Unknown(StoreError),
    /// Trying again does not help.
    Final(StoreError),
}

impl Fail {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Busy(e) | Self::Lost(e) | Self::Unknown(e) | Self::Final(e) => e,
        }
    }

    /// A loss while the change was being committed.
    pub(super) fn unknown(self) -> Self {
        match self {
            Self::Lost(error) => Self::Unknown(error),
            other => other,
        }
    }

    /// Names the migration that failed.
    pub(super) fn within(self, name: &str) -> Self {
        let error = self.into_error();
        Self::Final(StoreError::unavailable(format!("migration {name}: {error}")))
    }
}

/// Sorts an error by what can be done about it.
pub(super) fn fail(error: sqlx::Error) -> Fail {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match (code.as_deref(), &error) {
        // Serialization failure, deadlock.
        (Some("40001" | "40P01"), _) => Fail::Busy(StoreError::unavailable(error)),
        // Connections that the server ends.
        (Some(code), _) if code.starts_with("57P") || code.starts_with("08") => {
            Fail::Lost(StoreError::unavailable(error))
        }
        // Out of disk, memory, connections; cancelled; read-only standby.
        (Some(code), _) if ["53", "57", "58", "25"].iter().any(|class| code.starts_with(class)) => {
            Fail::Final(StoreError::unavailable(error))
        }
        (
            None,
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed,
        ) => Fail::Lost(StoreError::unavailable(error)),
        (None, sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::Configuration(_)) => {
            Fail::Final(StoreError::unavailable(error))
        }
        // Wrong password, no such database.
        (Some(code), _) if code.starts_with("28") || code.starts_with("3D") => {
            Fail::Final(StoreError::unavailable(error))
        }
        _ => Fail::Final(StoreError::corrupt("postgres", error)),
    }
}

fn refusal(step: &Step, error: sqlx::Error) -> Fail {
    let database = error.as_database_error();
    match database.map(|e| (e.kind(), e.constraint().unwrap_or_default())) {
        Some((ErrorKind::UniqueViolation, index)) => Fail::Final(step.violated(index)),
        Some((ErrorKind::ForeignKeyViolation, _)) => Fail::Final(StoreError::Conflict),
        _ => fail(error),
    }
}

/// Null of whatever type the statement wants there.
struct Nothing;

impl Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

fn add(args: &mut PgArguments, val: &Val) -> Result<(), BoxDynError> {
    match val {
        Val::Null => args.add(Nothing),
        Val::Int(n) => args.add(n),
        Val::Text(text) => args.add(text),
        Val::Bytes(bytes) => args.add(bytes),
        Val::Texts(texts) => args.add(texts),
        Val::Ints(ints) => args.add(ints),
        Val::Rows(rows) => rows.iter().flatten().try_for_each(|val| add(args, val)),
    }
}

/// Writes a query for the database; no statement has a value in its text.
fn ready(query: &Query) -> Result<(AssertSqlSafe<String>, PgArguments), Fail> {
    let (stmt, vals) = query;
    let (rows, width) = match vals.last() {
        Some(Val::Rows(rows)) => (rows.len(), rows.first().map_or(0, Vec::len)),
        _ => (0, 0),
    };
    let mut args = PgArguments::default();
    for val in vals {
        let invalid = |e| Fail::Final(StoreError::corrupt("parameter", e));
        add(&mut args, val).map_err(invalid)?;
    }
    let text = expand::postgres(stmt.texts().1, rows, width);
    Ok((AssertSqlSafe(text), args))
}

pub(super) fn value(row: &PgRow, at: usize) -> Result<Val, BoxDynError> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Val::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INT8" | "INT4" | "INT2" => Val::Int(<i64 as Decode<Postgres>>::decode(raw)?),
        "BOOL" => Val::Int(<bool as Decode<Postgres>>::decode(raw)?.into()),
        "TEXT" | "VARCHAR" | "NAME" => Val::Text(<String as Decode<Postgres>>::decode(raw)?),
        "BYTEA" => Val::Bytes(<Vec<u8> as Decode<Postgres>>::decode(raw)?),
        other => return Err(format!("a column of type {other}").into()),
    })
}

fn rows(found: &[PgRow]) -> Result<Vec<Row>, Fail> {
    let Some(first) = found.first() else {
        return Ok(Vec::new());
    };
    let names: Arc<[String]> = first.columns().iter().map(|col| col.name().to_owned()).collect();
    let row = |row: &PgRow| {
        let vals = (0..names.len()).map(|at| value(row, at)).collect::<Result<_, _>>();
        let vals = vals.map_err(|e| Fail::Final(StoreError::corrupt("row", e)))?;
        Ok(Row::new(names.clone(), vals))
    };
    found.iter().map(row).collect()
}

/// Runs a query.
pub(super) async fn query(conn: &mut PgConnection, query: &Query) -> Result<Vec<Row>, Fail> {
    let (text, args) = ready(query)?;
    let found = sqlx::query_with(text, args).fetch_all(conn).await;
    rows(&found.map_err(fail)?)
}

/// Runs a statement of a batch.
pub(super) async fn apply(conn: &mut PgConnection, step: &Step) -> Result<Done, Fail> {
    if matches!(step.query.1.last(), Some(Val::Rows(rows)) if rows.is_empty()) {
        return step.expect.judge(0).map(|()| Done::default()).map_err(Fail::Final);
    }
    let (text, args) = ready(&step.query)?;
    let query = sqlx::query_with(text, args);
    let done = if step.returning {
        let found = query.fetch_all(conn).await;
        let rows = rows(&found.map_err(|e| refusal(step, e))?)?;
        Done { affected: rows.len() as u64, rows }
    } else {
        let answer = query.execute(conn).await;
        Done { affected: answer.map_err(|e| refusal(step, e))?.rows_affected(), rows: Vec::new() }
    };
    step.expect.judge(done.affected).map_err(Fail::Final)?;
    Ok(done)
}

/// Runs statements without parameters.
pub(super) async fn run_text(conn: &mut PgConnection, text: &str) -> Result<(), Fail> {
    let run = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(conn);
    run.await.map(drop).map_err(fail)
}

/// Compiles a statement.
pub(super) async fn prepare(conn: &mut PgConnection, stmt: &Stmt) -> Result<(), Fail> {
    let text = expand::postgres(stmt.texts().1, 1, expand::width(stmt.texts().1));
    conn.prepare(AssertSqlSafe(text).into_sql_str()).await.map(drop).map_err(fail)
}
