//! Commits of deployments and of their targets as batches.

use std::collections::BTreeSet;

use mender_core::{
    Stamped, StoreResult, TenantId,
    commit::{Aggregate as _, Change},
    deployments::{Deployment, Payload, Targets, words},
    secret::token_hash,
};

use crate::{
    sql,
    sql::{
        facade::{Batch, Query, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json, name},
    },
    vals,
};

/// How many rows one statement writes.
pub(super) const CHUNK: usize = 500;

/// How many characters of a text indexes have.
const HEAD: usize = 100;

/// An id that is taken leaves no row written, which is a conflict, whatever else is taken.
const INSERT: Stmt = sql!(
    "INSERT INTO deployments_deployments (tenant_id, id, name, artifact_name, release_id, kind,
        force_installation, audience, group_names, fingerprint, unique_key, max_devices, ticket,
        created, state, finished, version, commit_id, artifacts, configuration, rollout, starts,
        conduct, dynamic, tally)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        $19, $20, $21, $22, $23, $24, $25) ON CONFLICT (tenant_id, id) DO NOTHING"
);

const UPDATE: Stmt = sql!(
    "UPDATE deployments_deployments SET name = $3, artifact_name = $4, release_id = $5, kind = $6,
        force_installation = $7, audience = $8, group_names = $9, fingerprint = $10,
        unique_key = $11, max_devices = $12, ticket = $13, created = $14, state = $15,
        finished = $16, version = $17, commit_id = $18, artifacts = $19, configuration = $20,
        rollout = $21, starts = $22, conduct = $23, dynamic = $24, tally = $25
        WHERE tenant_id = $1 AND id = $2 AND version = $26"
);

const DELETE: Stmt =
    sql!("DELETE FROM deployments_deployments WHERE tenant_id = $1 AND id = $2 AND version = $3");

const PUT_GROUPS: Stmt =
    sql!("INSERT INTO deployments_groups (tenant_id, group_name, deployment_id) @rows($1)");

const DELETE_GROUPS: Stmt = sql!(
    "DELETE FROM deployments_groups
        WHERE tenant_id = $1 AND group_name @in($3) AND deployment_id = $2"
);

const PUT_WORDS: Stmt =
    sql!("INSERT INTO deployments_words (tenant_id, word, deployment_id) @rows($1)");

const DELETE_WORDS: Stmt = sql!(
    "DELETE FROM deployments_words WHERE tenant_id = $1 AND word @in($3) AND deployment_id = $2"
);

const APPLIED: Stmt = sql!(
    "SELECT 1 FROM deployments_deployments WHERE tenant_id = $1 AND id = $2 AND commit_id = $3"
);

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM deployments_deployments WHERE tenant_id = $1 AND id = $2)"
);

/// An id that is taken leaves no row written, which is a conflict.
const INSERT_TARGETS: Stmt = sql!(
    "INSERT INTO deployments_targets (tenant_id, ticket, id, devices, version, commit_id)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, ticket, id) DO NOTHING"
);

const UPDATE_TARGETS: Stmt = sql!(
    "UPDATE deployments_targets SET devices = $4, version = $5, commit_id = $6
        WHERE tenant_id = $1 AND ticket = $2 AND id = $3 AND version = $7"
);

const DELETE_TARGETS: Stmt = sql!(
    "DELETE FROM deployments_targets
        WHERE tenant_id = $1 AND ticket = $2 AND id = $3 AND version = $4"
);

const APPLIED_TARGETS: Stmt = sql!(
    "SELECT 1 FROM deployments_targets
        WHERE tenant_id = $1 AND ticket = $2 AND id = $3 AND commit_id = $4"
);

const GONE_TARGETS: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM deployments_targets WHERE tenant_id = $1 AND ticket = $2 AND id = $3)"
);

pub(super) const STATEMENTS: &[Stmt] = &[
    INSERT,
    UPDATE,
    DELETE,
    PUT_GROUPS,
    DELETE_GROUPS,
    PUT_WORDS,
    DELETE_WORDS,
    APPLIED,
    GONE,
    INSERT_TARGETS,
    UPDATE_TARGETS,
    DELETE_TARGETS,
    APPLIED_TARGETS,
    GONE_TARGETS,
];

/// The unique index of deployments, and the field that it guards.
const KEY: (&str, &str) = ("deployments_deployments_key", "fingerprint");

/// The id of a release in the tables: its name may be longer than what an index can hold.
pub(super) fn release_id(name: &str) -> String {
    token_hash(name)
}

/// What indexes have of a text.
pub(super) fn head(text: &str) -> String {
    text.chars().take(HEAD).collect()
}

fn columns(tenant: &TenantId, deployment: &Deployment, commit: &str) -> StoreResult<Vec<Val>> {
    let unique = deployment.unique().value;
    let Deployment {
        id,
        name: title,
        artifact_name,
        force_installation,
        payload,
        audience,
        groups,
        fingerprint,
        max_devices,
        rollout,
        conduct,
        ticket,
        created,
        state,
        finished,
        artifacts,
        tally,
        version,
    } = deployment;
    let configuration = match payload {
        Payload::Software => None,
        Payload::Configuration(text) => Some(text),
    };
    Ok(vals![
        tenant,
        id.as_str(),
        title,
        artifact_name,
        release_id(artifact_name),
        payload.kind(),
        *force_installation,
        json(audience)?,
        json(groups)?,
        fingerprint.as_ref(),
        unique,
        max_devices.cast_signed(),
        ticket,
        *created,
        name(state)?,
        *finished,
        *version,
        commit,
        json(artifacts)?,
        configuration,
        json(rollout)?,
        rollout.starts(),
        json(conduct)?,
        deployment.is_dynamic(),
        tally.as_ref().map(json).transpose()?
    ])
}

fn groups_of(deployment: &Deployment) -> BTreeSet<String> {
    deployment.groups.iter().cloned().collect()
}

fn words_of(deployment: &Deployment) -> BTreeSet<String> {
    let texts = [&deployment.name, &deployment.artifact_name];
    texts.into_iter().flat_map(|text| words(text)).map(|word| head(&word)).collect()
}

/// The deployment that a commit is about.
struct Target<'a> {
    tenant: &'a TenantId,
    id: &'a str,
}

impl Target<'_> {
    /// Writes what differs between two sets of texts that the deployment is found by.
    fn differ(
        &self,
        mut batch: Batch,
        (put, delete): (Stmt, Stmt),
        was: &BTreeSet<String>,
        to: &BTreeSet<String>,
    ) -> Batch {
        let gone: Vec<String> = was.difference(to).cloned().collect();
        if !gone.is_empty() {
            batch = batch.then(delete, vals![self.tenant, self.id, gone]);
        }
        let new: Vec<&String> = to.difference(was).collect();
        new.chunks(CHUNK).fold(batch, |batch, chunk| {
            let row = |text: &&String| vals![self.tenant, *text, self.id];
            batch.then(put.clone(), vals![chunk.iter().map(row).collect::<Vec<_>>()])
        })
    }

    /// Writes by what the deployment is found.
    fn found(&self, batch: Batch, was: Option<&Deployment>, to: Option<&Deployment>) -> Batch {
        let groups = |of: Option<&Deployment>| of.map(groups_of).unwrap_or_default();
        let words = |of: Option<&Deployment>| of.map(words_of).unwrap_or_default();
        let batch = self.differ(batch, (PUT_GROUPS, DELETE_GROUPS), &groups(was), &groups(to));
        let texts = |of: &Deployment| (of.name.clone(), of.artifact_name.clone());
        if was.map(texts) == to.map(texts) {
            return batch;
        }
        self.differ(batch, (PUT_WORDS, DELETE_WORDS), &words(was), &words(to))
    }
}

/// The batch of a deployment's commit.
pub(super) fn deployment(tenant: &TenantId, commit: &Stamped<Deployment>) -> StoreResult<Batch> {
    let Some(of) = commit.change.aggregate() else {
        return Ok(Batch::new());
    };
    let target = Target { tenant, id: of.id.as_str() };
    let mut check = (APPLIED, vals![tenant, target.id, &commit.id]);
    let batch = match &commit.change {
        Change::Nothing => Batch::new(),
        Change::Insert(new) => {
            let vals = columns(tenant, new, &commit.id)?;
            let batch = Batch::new().one(INSERT, vals).unique(KEY.0, KEY.1);
            target.found(batch, None, Some(new))
        }
        Change::Update { was, to } => {
            let mut vals = columns(tenant, to, &commit.id)?;
            vals.push(was.version.into());
            let batch = Batch::new().one(UPDATE, vals).unique(KEY.0, KEY.1);
            target.found(batch, Some(was), Some(to))
        }
        Change::Delete(old) => {
            let gone = (GONE, vals![tenant, target.id]);
            check = kernel::trace_of(commit).unwrap_or(gone);
            let batch = Batch::new().one(DELETE, vals![tenant, target.id, old.version]);
            target.found(batch, Some(old), None)
        }
    };
    Ok(batch.tail(tenant, commit).check(check.0, check.1))
}

fn targets_columns(tenant: &TenantId, targets: &Targets, commit: &str) -> StoreResult<Vec<Val>> {
    let Targets { key, ticket, devices, version } = targets;
    Ok(vals![tenant, ticket, key, devices.as_json(), *version, commit])
}

/// The batch of a commit of the devices that a deployment is for.
pub(super) fn targets(tenant: &TenantId, commit: &Stamped<Targets>) -> StoreResult<Batch> {
    let key = |targets: &Targets| vals![tenant, &targets.ticket, &targets.key];
    let with = |targets: &Targets, val: Val| [key(targets), vec![val]].concat();
    let applied = |targets: &Targets| -> Query {
        (APPLIED_TARGETS, with(targets, commit.id.as_str().into()))
    };
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            let vals = targets_columns(tenant, new, &commit.id)?;
            (Batch::new().one(INSERT_TARGETS, vals), applied(new))
        }
        Change::Update { was, to } => {
            let mut vals = targets_columns(tenant, to, &commit.id)?;
            vals.push(was.version.into());
            (Batch::new().one(UPDATE_TARGETS, vals), applied(to))
        }
        Change::Delete(old) => {
            let batch = Batch::new().one(DELETE_TARGETS, with(old, old.version.into()));
            let gone = (GONE_TARGETS, key(old));
            (batch, kernel::trace_of(commit).unwrap_or(gone))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}
