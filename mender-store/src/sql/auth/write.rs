//! Commits as batches: of a device only what differs is written.

use std::collections::HashMap;

use mender_core::{
    Stamped, StoreResult, TenantId,
    auth::{AuthSet, AuthTenant, Device, ExternalId},
    commit::Change,
};

use crate::{
    sql,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json},
    },
    vals,
};

/// An id that is taken leaves no row written, which is a conflict, whatever else is taken.
const INSERT: Stmt = sql!(
    "INSERT INTO auth_devices (tenant_id, id, tier, leaving, provisioned, test, external_id,
        external_name, external_provider, valid_from, created_at, updated_at, version, commit_id,
        status, group_name, identity, identity_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
        $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (tenant_id, id) DO NOTHING"
);

macro_rules! update {
    ($columns:literal, $version:literal) => {
        concat!(
            "UPDATE auth_devices SET tier = $3, leaving = $4, provisioned = $5, test = $6,
        external_id = $7, external_name = $8, external_provider = $9, valid_from = $10,
        created_at = $11, updated_at = $12, version = $13, commit_id = $14",
            $columns,
            " WHERE tenant_id = $1 AND id = $2 AND version = ",
            $version
        )
    };
}

/// Names no column of an index: SQLite writes every index whose columns a statement names.
const UPDATE: Stmt = sql!(update!("", "$15"));

const MOVE: Stmt = sql!(update!(", status = $15, group_name = $16", "$17"));

/// The identity of a device never changes; should it ever, it is written.
const RENAME: Stmt = sql!(
    "UPDATE auth_devices SET identity = $3, identity_hash = $4 WHERE tenant_id = $1 AND id = $2"
);

const DELETE: Stmt =
    sql!("DELETE FROM auth_devices WHERE tenant_id = $1 AND id = $2 AND version = $3");

const PUT_SETS: Stmt = sql!(
    "INSERT INTO auth_sets (tenant_id, device_id, id, position, key, tier, status, live,
        valid_from, created_at) @rows($1)
        ON CONFLICT (tenant_id, device_id, id) DO UPDATE SET position = excluded.position,
        key = excluded.key, tier = excluded.tier, status = excluded.status, live = excluded.live,
        valid_from = excluded.valid_from, created_at = excluded.created_at"
);

const DELETE_SETS: Stmt =
    sql!("DELETE FROM auth_sets WHERE tenant_id = $1 AND device_id = $2 AND id @in($3)");

const DELETE_ALL_SETS: Stmt = sql!("DELETE FROM auth_sets WHERE tenant_id = $1 AND device_id = $2");

const APPLIED: Stmt =
    sql!("SELECT 1 FROM auth_devices WHERE tenant_id = $1 AND id = $2 AND commit_id = $3");

const GONE: Stmt =
    sql!("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM auth_devices WHERE tenant_id = $1 AND id = $2)");

const INSERT_TENANT: Stmt = sql!(
    "INSERT INTO auth_tenants (tenant_id, limits, accept, flag_day, flag_count, valid_from,
        usage_days, version, commit_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
);

const UPDATE_TENANT: Stmt = sql!(
    "UPDATE auth_tenants SET limits = $2, accept = $3, flag_day = $4, flag_count = $5,
        valid_from = $6, usage_days = $7, version = $8, commit_id = $9
        WHERE tenant_id = $1 AND version = $10"
);

const DELETE_TENANT: Stmt = sql!("DELETE FROM auth_tenants WHERE tenant_id = $1 AND version = $2");

const APPLIED_TENANT: Stmt =
    sql!("SELECT 1 FROM auth_tenants WHERE tenant_id = $1 AND commit_id = $2");

const GONE_TENANT: Stmt =
    sql!("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM auth_tenants WHERE tenant_id = $1)");

pub(super) const STATEMENTS: &[Stmt] = &[
    INSERT,
    UPDATE,
    MOVE,
    RENAME,
    DELETE,
    PUT_SETS,
    DELETE_SETS,
    DELETE_ALL_SETS,
    APPLIED,
    GONE,
    INSERT_TENANT,
    UPDATE_TENANT,
    DELETE_TENANT,
    APPLIED_TENANT,
    GONE_TENANT,
];

/// The unique index of devices, and the field that it guards.
const IDENTITY: (&str, &str) = ("auth_devices_identity", "identity");

/// The columns that most commits write; those of indexes come apart.
fn columns(tenant: &TenantId, device: &Device, commit: &str) -> Vec<Val> {
    let Device {
        id,
        identity: _,
        sets: _,
        status: _,
        tier,
        group: _,
        leaving,
        provisioned,
        test,
        external,
        from,
        created,
        updated,
        version,
    } = device;
    let external = |part: fn(&ExternalId) -> &String| external.as_ref().map(part);
    vals![
        tenant,
        id.as_str(),
        tier.as_str(),
        *leaving,
        *provisioned,
        *test,
        external(|e| &e.id),
        external(|e| &e.name),
        external(|e| &e.provider),
        *from,
        *created,
        *updated,
        *version,
        commit
    ]
}

fn place(device: &Device) -> [Val; 2] {
    // An empty name is no group.
    let group = device.group.as_deref().unwrap_or_default();
    [device.status.as_str().into(), group.into()]
}

fn identity(device: &Device) -> [Val; 2] {
    let identity = &device.identity;
    [identity.as_str().into(), identity.hash().into()]
}

fn set_row(tenant: &TenantId, device: &Device, position: usize, set: &AuthSet) -> Vec<Val> {
    let AuthSet { id, key, tier, status, live, from, created } = set;
    vals![
        tenant,
        device.id.as_str(),
        id.as_str(),
        position,
        key,
        tier.as_str(),
        status.as_str(),
        *live,
        *from,
        *created
    ]
}

/// Writes the sets that are new, changed or stand elsewhere, and removes those that are no more.
fn sets(mut batch: Batch, tenant: &TenantId, was: &[AuthSet], to: &Device) -> Batch {
    let mut before: HashMap<_, _> = was.iter().zip(0..).map(|(set, n)| (&set.id, n)).collect();
    let mut rows = Vec::new();
    for (position, set) in to.sets.iter().enumerate() {
        let old: Option<usize> = before.remove(&set.id);
        if old != Some(position) || was.get(position) != Some(set) {
            rows.push(set_row(tenant, to, position, set));
        }
    }
    if !before.is_empty() {
        let gone: Vec<String> = before.keys().map(ToString::to_string).collect();
        batch = batch.then(DELETE_SETS, vals![tenant, to.id.as_str(), gone]);
    }
    if rows.is_empty() {
        return batch;
    }
    batch.then(PUT_SETS, vals![rows])
}

fn insert(tenant: &TenantId, new: &Device, commit: &str) -> Batch {
    let mut vals = columns(tenant, new, commit);
    vals.extend(place(new).into_iter().chain(identity(new)));
    let batch = Batch::new().one(INSERT, vals);
    sets(batch.unique(IDENTITY.0, IDENTITY.1), tenant, &[], new)
}

fn update(tenant: &TenantId, was: &Device, to: &Device, commit: &str) -> Batch {
    let mut vals = columns(tenant, to, commit);
    let stmt = if (was.status, &was.group) == (to.status, &to.group) {
        UPDATE
    } else {
        vals.extend(place(to));
        MOVE
    };
    vals.push(was.version.into());
    let mut batch = Batch::new().one(stmt, vals);
    if was.identity != to.identity {
        let mut vals = vals![tenant, to.id.as_str()];
        vals.extend(identity(to));
        batch = batch.one(RENAME, vals).unique(IDENTITY.0, IDENTITY.1);
    }
    sets(batch, tenant, &was.sets, to)
}

/// The batch of a device's commit.
pub(super) fn device(tenant: &TenantId, commit: &Stamped<Device>) -> Batch {
    let applied = |device: &Device| (APPLIED, vals![tenant, device.id.as_str(), &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Batch::new(),
        Change::Insert(new) => (insert(tenant, new, &commit.id), applied(new)),
        Change::Update { was, to } => (update(tenant, was, to, &commit.id), applied(to)),
        Change::Delete(old) => {
            let key = vals![tenant, old.id.as_str()];
            let mut vals = key.clone();
            vals.push(old.version.into());
            let batch = Batch::new().one(DELETE, vals);
            let check = kernel::trace_of(commit).unwrap_or((GONE, key.clone()));
            (batch.then(DELETE_ALL_SETS, key), check)
        }
    };
    batch.tail(tenant, commit).check(check, vals)
}

fn tenant_columns(kept: &AuthTenant, commit: &str) -> StoreResult<Vec<Val>> {
    let AuthTenant { tenant, limits, accept, flag_changes: (day, count), from, usage, version } =
        kept;
    let (limits, accept, usage) = (json(limits)?, json(accept)?, json(usage)?);
    Ok(vals![tenant, limits, accept, *day, *count, *from, usage, *version, commit])
}

/// The batch of a commit of what is kept for a tenant.
pub(super) fn tenant(tenant: &TenantId, commit: &Stamped<AuthTenant>) -> StoreResult<Batch> {
    let applied = (APPLIED_TENANT, vals![tenant, &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            let vals = tenant_columns(new, &commit.id)?;
            (Batch::new().one(INSERT_TENANT, vals), applied)
        }
        Change::Update { was, to } => {
            let mut vals = tenant_columns(to, &commit.id)?;
            vals.push(was.version.into());
            (Batch::new().one(UPDATE_TENANT, vals), applied)
        }
        Change::Delete(old) => {
            let batch = Batch::new().one(DELETE_TENANT, vals![tenant, old.version]);
            let gone = (GONE_TENANT, vals![tenant]);
            (batch, kernel::trace_of(commit).unwrap_or(gone))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}
