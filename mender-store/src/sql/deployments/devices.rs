//! Rows of devices as they are written: of a row only what differs is named.

use mender_core::{
    Stamped, StoreResult, TenantId,
    artifacts::ArtifactId,
    commit::Change,
    deployments::{DeploymentId, DeviceDeployment, Status},
};

use super::{rows::code, write::CHUNK};
use crate::{
    sql,
    sql::{
        facade::{Batch, Query, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json, name},
    },
    vals,
};

macro_rules! insert {
    ($values:literal) => {
        concat!(
            "INSERT INTO deployments_devices (tenant_id, deployment_id, device_id, attempt,
        substate, started, finished, request, artifact_id, log, tries, failed, version, commit_id,
        outcome, status, open, current, ended_status, ended_at, stage, record_id, created, deleted,
        replaced, bytes, phase, heard, fetching, shares, late, round)
        ",
            $values,
            " ON CONFLICT (tenant_id, deployment_id, device_id, attempt) DO NOTHING"
        )
    };
}

/// An id that is taken leaves no row written, which is a conflict.
const INSERT: Stmt = sql!(insert!(
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)"
));

const FILL: Stmt = sql!(insert!("@rows($1)"));

macro_rules! update {
    ($columns:expr, $version:literal) => {
        concat!(
            "UPDATE deployments_devices SET substate = $5, started = $6, finished = $7,
        request = $8, artifact_id = $9, log = $10, tries = $11, failed = $12, version = $13,
        commit_id = $14, outcome = $15",
            $columns,
            " WHERE tenant_id = $1 AND deployment_id = $2 AND device_id = $3 AND attempt = $4
        AND version = ",
            $version
        )
    };
}

macro_rules! end {
    () => {
        ", status = $16, open = $17, current = $18, ended_status = $19, ended_at = $20"
    };
}

/// Names no column of an index: SQLite writes every index whose columns a statement names.
const UPDATE: Stmt = sql!(update!("", "$16"));

const MOVE: Stmt = sql!(update!(", status = $16", "$17"));

const END: Stmt = sql!(update!(end!(), "$21"));

const CHANGE: Stmt = sql!(update!(
    concat!(
        end!(),
        ", stage = $21, record_id = $22, created = $23, deleted = $24, replaced = $25, bytes = $26,
         phase = $27, heard = $28, fetching = $29, shares = $30, late = $31, round = $32"
    ),
    "$33"
));

const DELETE: Stmt = sql!(
    "DELETE FROM deployments_devices WHERE tenant_id = $1 AND deployment_id = $2
        AND device_id = $3 AND attempt = $4 AND version = $5"
);

const APPLIED: Stmt = sql!(
    "SELECT 1 FROM deployments_devices WHERE tenant_id = $1 AND deployment_id = $2
        AND device_id = $3 AND attempt = $4 AND commit_id = $5"
);

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM deployments_devices WHERE tenant_id = $1
        AND deployment_id = $2 AND device_id = $3 AND attempt = $4)"
);

/// The last key of the first rows that meet a condition. Compared with, as it is one value: what a
/// list of keys is joined with in PostgreSQL depends on statistics, which new rows are not in yet.
macro_rules! last_of_first {
    ($columns:literal, $rows:literal) => {
        concat!(
            "(SELECT ",
            $columns,
            " FROM (SELECT deployment_id, device_id, attempt FROM deployments_devices ",
            $rows,
            " ORDER BY device_id, attempt LIMIT $3) AS o
            ORDER BY o.device_id DESC, o.attempt DESC LIMIT 1)"
        )
    };
}

/// The ids of logs are those of [`mender_core::deployments::Log::key`].
const ERASE_LOGS: Stmt = sql!(concat!(
    "DELETE FROM deployments_logs WHERE tenant_id = $1 AND id > $2 || '/' AND id <= ",
    last_of_first!(
        "o.deployment_id || '/' || o.device_id",
        "WHERE tenant_id = $1 AND deployment_id = $2"
    )
));

const ERASE: Stmt = sql!(concat!(
    "DELETE FROM deployments_devices WHERE tenant_id = $1 AND deployment_id = $2
        AND (device_id, attempt) <= ",
    last_of_first!("o.device_id, o.attempt", "WHERE tenant_id = $1 AND deployment_id = $2")
));

/// As [`DeviceDeployment::closed`] has it.
const CLOSE: Stmt = sql!(concat!(
    "UPDATE deployments_devices @index(deployments_devices_open) SET
        status = CASE stage WHEN 'waiting' THEN status ELSE $4 END,
        stage = CASE stage WHEN 'waiting' THEN 'dropped' ELSE stage END,
        open = 0, current = CASE WHEN deleted IS NOT NULL AND replaced = 0 THEN 1 ELSE 0 END,
        version = version + 1, commit_id = ''
        WHERE tenant_id = $1 AND deployment_id = $2 AND open = 1 AND fetching = 0 AND shares = 0
        AND (device_id, attempt) <= ",
    last_of_first!(
        "o.device_id, o.attempt",
        "@index(deployments_devices_open) WHERE tenant_id = $1 AND deployment_id = $2
            AND open = 1 AND fetching = 0 AND shares = 0"
    )
));

pub(super) const STATEMENTS: &[Stmt] =
    &[INSERT, FILL, UPDATE, MOVE, END, CHANGE, DELETE, APPLIED, GONE, ERASE_LOGS, ERASE, CLOSE];

/// The columns of the key.
fn key(tenant: &TenantId, row: &DeviceDeployment) -> Vec<Val> {
    vals![tenant, row.deployment.as_str(), row.device.as_str(), row.attempt]
}

/// The key, and the columns that no index has.
fn plain(tenant: &TenantId, row: &DeviceDeployment, commit: &str) -> StoreResult<Vec<Val>> {
    let mut vals = key(tenant, row);
    vals.extend(vals![
        &row.substate,
        row.started,
        row.finished,
        row.request.as_ref().map(json).transpose()?,
        row.artifact.as_ref().map(ArtifactId::as_str),
        row.log,
        row.tries,
        row.failed,
        row.version,
        commit,
        row.outcome.as_ref().map(json).transpose()?
    ]);
    Ok(vals)
}

/// The columns that change where a row ends, or begins again.
fn end(row: &DeviceDeployment) -> [Val; 5] {
    [
        code(row.status).into(),
        row.is_open().into(),
        row.is_current().into(),
        row.ended.map(|ended| code(ended.status)).into(),
        row.ended.map(|ended| ended.at).into(),
    ]
}

/// The columns that change once or twice in the life of a row.
fn rest(row: &DeviceDeployment) -> StoreResult<[Val; 12]> {
    Ok([
        name(&row.stage)?.into(),
        row.record.as_str().into(),
        row.created.into(),
        row.deleted.into(),
        row.replaced.into(),
        row.bytes.cast_signed().into(),
        row.phase.into(),
        row.heard.into(),
        row.fetching.into(),
        row.shares.into(),
        row.late.map(code).into(),
        row.round.into(),
    ])
}

fn columns(tenant: &TenantId, row: &DeviceDeployment, commit: &str) -> StoreResult<Vec<Val>> {
    let mut vals = plain(tenant, row, commit)?;
    vals.extend(end(row));
    vals.extend(rest(row)?);
    Ok(vals)
}

fn update(
    tenant: &TenantId,
    was: &DeviceDeployment,
    to: &DeviceDeployment,
    commit: &str,
) -> StoreResult<Query> {
    let mut vals = plain(tenant, to, commit)?;
    let (ends, rests) = (end(to), rest(to)?);
    let stmt = if rest(was)? != rests {
        vals.extend(ends.into_iter().chain(rests));
        CHANGE
    } else if end(was)[1..] != ends[1..] {
        vals.extend(ends);
        END
    } else if was.status != to.status {
        vals.push(code(to.status).into());
        MOVE
    } else {
        UPDATE
    };
    vals.push(was.version.into());
    Ok((stmt, vals))
}

/// The batch of a row's commit.
pub(super) fn commit(tenant: &TenantId, commit: &Stamped<DeviceDeployment>) -> StoreResult<Batch> {
    let with = |row: &DeviceDeployment, val: Val| [key(tenant, row), vec![val]].concat();
    let applied = |row: &DeviceDeployment| (APPLIED, with(row, commit.id.as_str().into()));
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            (Batch::new().one(INSERT, columns(tenant, new, &commit.id)?), applied(new))
        }
        Change::Update { was, to } => {
            let (stmt, vals) = update(tenant, was, to, &commit.id)?;
            (Batch::new().one(stmt, vals), applied(to))
        }
        Change::Delete(old) => {
            let batch = Batch::new().one(DELETE, with(old, old.version.into()));
            let gone = (GONE, key(tenant, old));
            (batch, kernel::trace_of(commit).unwrap_or(gone))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}

/// The batches that write rows where there are none.
pub(super) fn fill(tenant: &TenantId, rows: &[DeviceDeployment]) -> StoreResult<Vec<Batch>> {
    let batch = |chunk: &[DeviceDeployment]| {
        let rows: StoreResult<Vec<_>> = chunk.iter().map(|row| columns(tenant, row, "")).collect();
        Ok(Batch::of(FILL, vals![rows?]))
    };
    rows.chunks(CHUNK).map(batch).collect()
}

/// The batch that closes some rows.
pub(super) fn close(tenant: &TenantId, deployment: &DeploymentId, limit: usize) -> Batch {
    Batch::of(CLOSE, vals![tenant, deployment.as_str(), limit, code(Status::Aborted)])
}

/// The batch that removes some rows, after their logs.
pub(super) fn erase(tenant: &TenantId, deployment: &DeploymentId, limit: usize) -> Batch {
    let vals = vals![tenant, deployment.as_str(), limit];
    Batch::of(ERASE_LOGS, vals.clone()).then(ERASE, vals)
}
