use std::collections::HashMap;

use async_trait::async_trait;
use mender_core::{
    StoreResult, TenantId, Time,
    commit::{Charge, Draw},
    quota::{Quota, Quotas, UNLIMITED},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Stmt},
        value::Row,
    },
    vals,
};

const READ: Stmt = sql!("SELECT free, used FROM quotas WHERE tenant_id = $1 AND name = $2");

const READ_ALL: Stmt =
    sql!("SELECT name, free, used FROM quotas WHERE tenant_id = $1 AND name @in($2)");

/// Takes `$3` units; a row that is not there yet begins with `$4` free ones.
const TAKE: Stmt = sql!(
    "INSERT INTO quotas (tenant_id, name, free, used) VALUES ($1, $2, $4, $3)
        ON CONFLICT (tenant_id, name) DO UPDATE
        SET free = quotas.free - excluded.used, used = quotas.used + excluded.used
        WHERE quotas.free >= excluded.used"
);

/// Gives units back: `$3` is what becomes of an unused quota, `$4` of the free ones.
const GIVE: Stmt = sql!(
    "INSERT INTO quotas (tenant_id, name, free, used) VALUES ($1, $2, $4, $3)
        ON CONFLICT (tenant_id, name) DO UPDATE
        SET free = quotas.free - excluded.used, used = quotas.used + excluded.used"
);

/// Raises what is taken to `$3`; a row that is not there yet begins with `$4` free units. Whoever
/// comes next waits until this one is stored.
const RAISE: Stmt = sql!(
    "INSERT INTO quotas (tenant_id, name, free, used) VALUES ($1, $2, $4, $3)
        ON CONFLICT (tenant_id, name) DO UPDATE SET used = excluded.used
        WHERE quotas.used < excluded.used"
);

/// Moves the limit by `$3`; a row that is not there yet begins with `$4` free units.
const MOVE: Stmt = sql!(
    "INSERT INTO quotas (tenant_id, name, free, used) VALUES ($1, $2, $4, 0)
        ON CONFLICT (tenant_id, name) DO UPDATE SET free = quotas.free + $3"
);

pub(super) const STATEMENTS: &[Stmt] = &[READ, READ_ALL, TAKE, GIVE, RAISE, MOVE];

/// Appends the charges by name, so that two commits lock the same quotas in the same order.
pub(super) fn append(mut batch: Batch, tenant: &TenantId, charges: &[Charge]) -> Batch {
    let mut sorted: Vec<_> = charges.iter().collect();
    sorted.sort_by(|a, b| a.quota.cmp(&b.quota));
    for Charge { quota, draw } in sorted {
        let vals = |n: i64, free: i64| vals![tenant, quota, n, free];
        batch = match *draw {
            Draw::Take(n) => batch.within(quota, TAKE, vals(n, UNLIMITED.saturating_sub(n))),
            Draw::Give(n) => batch.one(GIVE, vals(-n, UNLIMITED.saturating_add(n))),
            Draw::Raise(n) => batch.within(quota, RAISE, vals(n, UNLIMITED)),
            Draw::Move(n) => batch.one(MOVE, vals(n, UNLIMITED.saturating_add(n))),
        };
    }
    batch
}

fn stored(row: &Row) -> StoreResult<Quota> {
    Ok(Quota { free: row.int("free")?, used: row.int("used")? })
}

#[async_trait]
impl Quotas for SqlStore {
    async fn quota(&self, tenant: &TenantId, name: &str) -> StoreResult<Quota> {
        let row = self.sql.read_one(READ, vals![tenant, name]).await?;
        Ok(row.as_ref().map(stored).transpose()?.unwrap_or_default())
    }

    async fn quotas_of(&self, tenant: &TenantId, names: &[String]) -> StoreResult<Vec<Quota>> {
        let mut found = HashMap::new();
        for row in self.sql.read(READ_ALL, vals![tenant, names.to_vec()]).await? {
            found.insert(row.text("name")?.to_owned(), stored(&row)?);
        }
        Ok(names.iter().map(|name| found.get(name).copied().unwrap_or_default()).collect())
    }

    async fn sweep_quotas(&self, _: Time, _: usize) -> StoreResult<()> {
        Ok(())
    }
}
