use async_trait::async_trait;
use mender_core::{StoreError, StoreResult};
use sqlx::{Arguments as _, AssertSqlSafe, Postgres, Transaction, postgres::PgArguments};

use super::{
    conn::{Fail, fail, run_text},
    dump::{PATIENT, tables},
};
use crate::sql::{
    Val,
    dump::{self, Chunk, Table},
};

/// A transaction.
pub(super) struct Filling {
    tx: Transaction<'static, Postgres>,
    tables: Vec<Table>,
}

pub(super) async fn begin(mut tx: Transaction<'static, Postgres>) -> Result<Filling, Fail> {
    run_text(&mut tx, PATIENT).await?;
    let tables = tables(&mut tx).await?;
    Ok(Filling { tx, tables })
}

/// Adds the values of a column as one array.
fn column(args: &mut PgArguments, kind: &str, vals: Vec<Val>) -> StoreResult<&'static str> {
    let other = || StoreError::corrupt("column", format!("a value that is no {kind}"));
    let failed = |e| StoreError::corrupt("column", e);
    if kind == "text" {
        let text = |val| match val {
            Val::Null => Ok(None),
            Val::Text(text) => Ok(Some(text)),
            _ => Err(other()),
        };
        let texts: Vec<Option<String>> = vals.into_iter().map(text).collect::<StoreResult<_>>()?;
        args.add(texts).map_err(failed)?;
        return Ok("TEXT[]");
    }
    let int = |val| match val {
        Val::Null => Ok(None),
        Val::Int(n) => Ok(Some(n)),
        _ => Err(other()),
    };
    let ints: Vec<Option<i64>> = vals.into_iter().map(int).collect::<StoreResult<_>>()?;
    args.add(ints).map_err(failed)?;
    Ok("BIGINT[]")
}

impl Filling {
    async fn insert(&mut self, chunk: Chunk) -> Result<(), Fail> {
        let kinds = dump::place(&self.tables, &chunk).map_err(Fail::Final)?;
        let mut columns = vec![Vec::with_capacity(chunk.rows.len()); kinds.len()];
        for row in chunk.rows {
            for (column, val) in columns.iter_mut().zip(row) {
                column.push(val);
            }
        }
        let (mut args, mut arrays) = (PgArguments::default(), Vec::new());
        for (n, (kind, vals)) in (1..).zip(kinds.into_iter().zip(columns)) {
            let array = column(&mut args, kind, vals).map_err(Fail::Final)?;
            arrays.push(format!("CAST(${n} AS {array})"));
        }
        let text = format!(
            "INSERT INTO \"{}\" ({}) SELECT * FROM unnest({})",
            chunk.table,
            dump::list(&chunk.columns),
            arrays.join(", ")
        );
        let run = sqlx::query_with(AssertSqlSafe(text), args).execute(&mut *self.tx);
        run.await.map(drop).map_err(fail)
    }
}

#[async_trait]
impl dump::Fill for Filling {
    async fn add(&mut self, chunk: Chunk) -> StoreResult<()> {
        self.insert(chunk).await.map_err(Fail::into_error)
    }

    async fn finish(self: Box<Self>) -> StoreResult<()> {
        self.tx.commit().await.map_err(|e| fail(e).into_error())
    }
}
