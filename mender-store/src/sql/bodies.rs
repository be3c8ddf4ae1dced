//! What is only found by its id, and kept as JSON.

use mender_core::{
    Stamped, StoreResult, TenantId,
    commit::{Aggregate, Change},
};

use crate::{
    SqlStore,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Row, Val, json},
    },
    vals,
};

/// The statements of one table.
pub(super) struct Bodies {
    pub(super) get: Stmt,
    pub(super) walk: Stmt,
    insert: Stmt,
    update: Stmt,
    delete: Stmt,
    applied: Stmt,
    gone: Stmt,
}

macro_rules! bodies {
    ($table:literal) => {
        Bodies {
            get: Stmt::new(concat!(
                "SELECT body FROM ",
                $table,
                " WHERE tenant_id = $1 AND id = $2"
            )),
            walk: Stmt::new(concat!(
                "SELECT body FROM ",
                $table,
                " WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            )),
            // An id that is taken leaves no row written, which is a conflict.
            insert: Stmt::new(concat!(
                "INSERT INTO ",
                $table,
                " (tenant_id, id, body, version, commit_id) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (tenant_id, id) DO NOTHING"
            )),
            update: Stmt::new(concat!(
                "UPDATE ",
                $table,
                " SET body = $3, version = $4, commit_id = $5
                WHERE tenant_id = $1 AND id = $2 AND version = $6"
            )),
            delete: Stmt::new(concat!(
                "DELETE FROM ",
                $table,
                " WHERE tenant_id = $1 AND id = $2 AND version = $3"
            )),
            applied: Stmt::new(concat!(
                "SELECT 1 FROM ",
                $table,
                " WHERE tenant_id = $1 AND id = $2 AND commit_id = $3"
            )),
            gone: Stmt::new(concat!(
                "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM ",
                $table,
                " WHERE tenant_id = $1 AND id = $2)"
            )),
        }
    };
}

pub(super) const RETIRED: Bodies = bodies!("artifacts_retired");
pub(super) const UPLOADS: Bodies = bodies!("artifacts_uploads");
pub(super) const SETTINGS: Bodies = bodies!("artifacts_settings");
pub(super) const DEPLOYMENT_SETTINGS: Bodies = bodies!("deployments_settings");
pub(super) const LOGS: Bodies = bodies!("deployments_logs");

pub(super) fn statements() -> Vec<Stmt> {
    let all = |Bodies { get, walk, insert, update, delete, applied, gone }: Bodies| {
        [get, walk, insert, update, delete, applied, gone]
    };
    [RETIRED, UPLOADS, SETTINGS, LOGS, DEPLOYMENT_SETTINGS].map(all).concat()
}

pub(super) fn read<A: Aggregate>(row: &Row) -> StoreResult<A> {
    row.json("body")
}

impl Bodies {
    fn columns<A: Aggregate>(tenant: &TenantId, new: &A, commit: &str) -> StoreResult<Vec<Val>> {
        Ok(vals![tenant, new.id(), json(new)?, new.version(), commit])
    }

    /// The batch of a commit.
    pub(super) fn batch<A: Aggregate>(
        self,
        tenant: &TenantId,
        commit: &Stamped<A>,
    ) -> StoreResult<Batch> {
        let applied = |new: &A| (self.applied.clone(), vals![tenant, new.id(), &commit.id]);
        let (batch, (check, vals)) = match &commit.change {
            Change::Nothing => return Ok(Batch::new()),
            Change::Insert(new) => {
                let vals = Self::columns(tenant, new, &commit.id)?;
                (Batch::new().one(self.insert.clone(), vals), applied(new))
            }
            Change::Update { was, to } => {
                let mut vals = Self::columns(tenant, to, &commit.id)?;
                vals.push(was.version().into());
                (Batch::new().one(self.update.clone(), vals), applied(to))
            }
            Change::Delete(old) => {
                let vals = vals![tenant, old.id(), old.version()];
                let batch = Batch::new().one(self.delete.clone(), vals);
                let gone = (self.gone.clone(), vals![tenant, old.id()]);
                (batch, kernel::trace_of(commit).unwrap_or(gone))
            }
        };
        Ok(batch.tail(tenant, commit).check(check, vals))
    }
}

impl SqlStore {
    pub(super) async fn body<A: Aggregate>(
        &self,
        bodies: Bodies,
        tenant: &TenantId,
        id: &str,
    ) -> StoreResult<Option<A>> {
        let row = self.sql.read_one(bodies.get, vals![tenant, id]).await?;
        row.as_ref().map(read).transpose()
    }

    pub(super) async fn commit_body<A: Aggregate>(
        &self,
        bodies: Bodies,
        tenant: &TenantId,
        commit: &Stamped<A>,
    ) -> StoreResult<()> {
        let batch = bodies.batch(tenant, commit)?;
        self.sql.run(batch).await.map(drop)
    }
}
