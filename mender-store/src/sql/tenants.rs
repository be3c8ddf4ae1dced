use async_trait::async_trait;
use mender_core::{
    Stamped, StoreResult, TenantId,
    commit::{Aggregate as _, Change},
    tenants::{Store, Tenant},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Row, Val, json, name},
    },
    vals,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, token, plan, trial, addons, status, created_at, updated_at, version
        FROM tenants ",
            $rest,
            " -- global: tenants are nobody's data"
        )
    };
}

const TENANT: Stmt = sql!(select!("WHERE id = $1"));

const BY_TOKEN: Stmt = sql!(select!("WHERE token_hash = $1"));

const FROM: Stmt = sql!(select!("WHERE id >= $1 ORDER BY id LIMIT $2"));

const AFTER: Stmt = sql!(select!("WHERE id > $1 ORDER BY id LIMIT $2"));

/// An id that is taken leaves no row written, which is a conflict, whatever else is taken.
const INSERT: Stmt = sql!(
    "INSERT INTO tenants (id, token_hash, name, token, plan, trial, addons, status, created_at,
        updated_at, version, commit_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (id) DO NOTHING -- global: tenants are nobody's data"
);

const UPDATE: Stmt = sql!(
    "UPDATE tenants SET token_hash = $2, name = $3, token = $4, plan = $5, trial = $6,
        addons = $7, status = $8, created_at = $9, updated_at = $10, version = $11, commit_id = $12
        WHERE id = $1 AND version = $13 -- global: tenants are nobody's data"
);

const DELETE: Stmt =
    sql!("DELETE FROM tenants WHERE id = $1 AND version = $2 -- global: tenants are nobody's data");

const APPLIED: Stmt = sql!(
    "SELECT 1 FROM tenants WHERE id = $1 AND commit_id = $2 -- global: tenants are nobody's data"
);

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE id = $1)
        -- global: tenants are nobody's data"
);

pub(super) const STATEMENTS: &[Stmt] =
    &[TENANT, BY_TOKEN, FROM, AFTER, INSERT, UPDATE, DELETE, APPLIED, GONE];

fn tenant(row: &Row) -> StoreResult<Tenant> {
    Ok(Tenant {
        id: row.parse("id")?,
        name: row.text("name")?.to_owned(),
        token: row.text("token")?.to_owned(),
        plan: row.name("plan")?,
        trial: row.flag("trial")?,
        addons: row.json("addons")?,
        status: row.name("status")?,
        created: row.time("created_at")?,
        updated: row.time("updated_at")?,
        version: row.version("version")?,
    })
}

fn columns(tenant: &Tenant, commit: &str) -> StoreResult<Vec<Val>> {
    let unique = tenant.unique().value;
    let Tenant { id, name: called, token, plan, trial, addons, status, created, updated, version } =
        tenant;
    Ok(vals![
        id,
        unique,
        called,
        token,
        plan.as_str(),
        *trial,
        json(addons)?,
        name(status)?,
        *created,
        *updated,
        *version,
        commit
    ])
}

fn batch(commit: &Stamped<Tenant>) -> StoreResult<Batch> {
    let applied = |tenant: &Tenant| (APPLIED, vals![&tenant.id, &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            let batch = Batch::new().one(INSERT, columns(new, &commit.id)?);
            (batch.unique("tenants_token", "tenant_token"), applied(new))
        }
        Change::Update { was, to } => {
            let mut vals = columns(to, &commit.id)?;
            vals.push(was.version.into());
            let batch = Batch::new().one(UPDATE, vals);
            (batch.unique("tenants_token", "tenant_token"), applied(to))
        }
        Change::Delete(old) => {
            let batch = Batch::new().one(DELETE, vals![&old.id, old.version]);
            let gone = (GONE, vals![&old.id]);
            (batch, kernel::trace_of(commit).unwrap_or(gone))
        }
    };
    Ok(batch.tail(&TenantId::default(), commit).check(check, vals))
}

#[async_trait]
impl Store for SqlStore {
    async fn tenant(&self, id: &TenantId) -> StoreResult<Option<Tenant>> {
        let row = self.sql.read_one(TENANT, vals![id]).await?;
        row.as_ref().map(tenant).transpose()
    }

    async fn tenant_by_token(&self, hash: &str) -> StoreResult<Option<Tenant>> {
        let row = self.sql.read_one(BY_TOKEN, vals![hash]).await?;
        row.as_ref().map(tenant).transpose()
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> StoreResult<Vec<Tenant>> {
        let (stmt, vals) = match after {
            None => (FROM, vals!["", limit]),
            Some(after) => (AFTER, vals![after, limit]),
        };
        let rows = self.sql.read(stmt, vals).await?;
        rows.iter().map(tenant).collect()
    }

    async fn commit_tenant(&self, commit: Stamped<Tenant>) -> StoreResult<()> {
        self.sql.run(batch(&commit)?).await.map(drop)
    }
}
