//! Commits of releases as batches: of a release only what differs is written.

use std::collections::BTreeSet;

use mender_core::{
    Stamped, StoreResult, TenantId, Version,
    artifacts::{Artifact, ArtifactId, Release, Tag, fold},
    commit::Change,
};

use super::draft::{kind_hash, release_id};
use crate::{
    sql,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json},
    },
    vals,
};

/// How many rows one statement writes.
const CHUNK: usize = 500;

/// A name that is taken leaves no row written, which is a conflict.
const INSERT: Stmt = sql!(
    "INSERT INTO artifacts_releases (tenant_id, id, tags, notes, leaving, version, commit_id,
        modified, artifact_count, first_tag, last_tag, name, folded)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, id) DO NOTHING"
);

/// Names no column of an index: SQLite writes every index whose columns a statement names.
const UPDATE: Stmt = sql!(
    "UPDATE artifacts_releases SET tags = $3, notes = $4, leaving = $5, version = $6,
        commit_id = $7 WHERE tenant_id = $1 AND id = $2 AND version = $8"
);

const MOVE: Stmt = sql!(
    "UPDATE artifacts_releases SET tags = $3, notes = $4, leaving = $5, version = $6,
        commit_id = $7, modified = $8, artifact_count = $9
        WHERE tenant_id = $1 AND id = $2 AND version = $10"
);

const LABEL: Stmt = sql!(
    "UPDATE artifacts_releases SET first_tag = $3, last_tag = $4
        WHERE tenant_id = $1 AND id = $2"
);

const DELETE: Stmt =
    sql!("DELETE FROM artifacts_releases WHERE tenant_id = $1 AND id = $2 AND version = $3");

const PUT_TAGS: Stmt = sql!("INSERT INTO artifacts_tags (tenant_id, tag, release_id) @rows($1)");

const DELETE_TAGS: Stmt =
    sql!("DELETE FROM artifacts_tags WHERE tenant_id = $1 AND tag @in($3) AND release_id = $2");

const PUT_KINDS: Stmt =
    sql!("INSERT INTO artifacts_kinds (tenant_id, kind_hash, release_id) @rows($1)");

const DELETE_KINDS: Stmt = sql!(
    "DELETE FROM artifacts_kinds WHERE tenant_id = $1 AND kind_hash @in($3) AND release_id = $2"
);

const ADD: Stmt = sql!(
    "INSERT INTO artifacts_artifacts (tenant_id, release_id, id, added, nth, name, description,
        folded, content, size, verification, stored, modified, image) @rows($1)"
);

const DESCRIBE: Stmt = sql!(
    "UPDATE artifacts_artifacts SET description = $4, folded = $5, modified = $6
        WHERE tenant_id = $1 AND release_id = $2 AND id = $3"
);

const REMOVE: Stmt =
    sql!("DELETE FROM artifacts_artifacts WHERE tenant_id = $1 AND release_id = $2 AND id @in($3)");

const REMOVE_ALL: Stmt =
    sql!("DELETE FROM artifacts_artifacts WHERE tenant_id = $1 AND release_id = $2");

const ADD_TYPES: Stmt = sql!(
    "INSERT INTO artifacts_types (tenant_id, release_id, artifact_id, nth, device_type, folded)
        @rows($1)"
);

const REMOVE_TYPES: Stmt = sql!(
    "DELETE FROM artifacts_types WHERE tenant_id = $1 AND release_id = $2 AND artifact_id @in($3)"
);

const REMOVE_ALL_TYPES: Stmt =
    sql!("DELETE FROM artifacts_types WHERE tenant_id = $1 AND release_id = $2");

const APPLIED: Stmt =
    sql!("SELECT 1 FROM artifacts_releases WHERE tenant_id = $1 AND id = $2 AND commit_id = $3");

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM artifacts_releases WHERE tenant_id = $1 AND id = $2)"
);

pub(super) const STATEMENTS: &[Stmt] = &[
    INSERT,
    UPDATE,
    MOVE,
    LABEL,
    DELETE,
    PUT_TAGS,
    DELETE_TAGS,
    PUT_KINDS,
    DELETE_KINDS,
    ADD,
    DESCRIBE,
    REMOVE,
    REMOVE_ALL,
    ADD_TYPES,
    REMOVE_TYPES,
    REMOVE_ALL_TYPES,
    APPLIED,
    GONE,
];

/// The release whose rows are written.
struct Target<'a> {
    tenant: &'a TenantId,
    id: String,
    batch: Batch,
}

/// The columns that every commit writes.
fn columns(tenant: &TenantId, release: &Release, commit: &str) -> StoreResult<Vec<Val>> {
    let Release { name, artifacts: _, tags, notes, modified: _, leaving, version } = release;
    let tags = json(tags)?;
    Ok(vals![tenant, release_id(name), tags, notes, *leaving, *version, commit])
}

/// The columns that releases are sorted by and artifacts change.
fn place(release: &Release) -> [Val; 2] {
    [release.modified.into(), release.artifacts.len().into()]
}

/// The columns that releases are sorted by and tags change; no tag is empty.
fn label(release: &Release) -> [Val; 2] {
    let text = |tag: Option<&Tag>| tag.map_or("", Tag::as_str).into();
    [text(release.tags.iter().min()), text(release.tags.iter().max())]
}

fn tags_of(release: &Release) -> BTreeSet<String> {
    release.tags.iter().map(|tag| tag.as_str().to_owned()).collect()
}

fn kinds_of(release: &Release) -> BTreeSet<String> {
    release.kinds().into_iter().map(kind_hash).collect()
}

/// Writes what differs between two sets of texts that the release is found by.
fn differ(
    target: &mut Target<'_>,
    (put, delete): (Stmt, Stmt),
    was: &BTreeSet<String>,
    to: &BTreeSet<String>,
) {
    let gone: Vec<String> = was.difference(to).cloned().collect();
    if !gone.is_empty() {
        target.then(delete, |tenant, id| vals![tenant, id, gone]);
    }
    let new: Vec<&String> = to.difference(was).collect();
    for chunk in new.chunks(CHUNK) {
        target.then(put.clone(), |tenant, id| {
            let row = |text: &&String| vals![tenant, *text, id];
            vals![chunk.iter().map(row).collect::<Vec<_>>()]
        });
    }
}

impl Target<'_> {
    fn then(&mut self, stmt: Stmt, vals: impl FnOnce(&TenantId, &str) -> Vec<Val>) {
        let vals = vals(self.tenant, &self.id);
        self.batch = std::mem::take(&mut self.batch).then(stmt, vals);
    }

    fn then_rows(&mut self, stmt: &Stmt, rows: &[Vec<Val>]) {
        for chunk in rows.chunks(CHUNK) {
            self.then(stmt.clone(), |_, _| vals![chunk.to_vec()]);
        }
    }

    /// Adds artifacts behind those of earlier versions.
    fn add<'a>(
        &mut self,
        artifacts: impl Iterator<Item = &'a Artifact>,
        added: Version,
    ) -> StoreResult<()> {
        let (mut rows, mut types) = (Vec::new(), Vec::new());
        for (nth, artifact) in artifacts.enumerate() {
            rows.push(self.artifact_row(artifact, added, nth)?);
            for (nth, text) in artifact.content.device_types.iter().enumerate() {
                let id = artifact.id.as_str();
                types.push(vals![self.tenant, &self.id, id, nth, text, fold(text)]);
            }
        }
        self.then_rows(&ADD, &rows);
        self.then_rows(&ADD_TYPES, &types);
        Ok(())
    }

    fn artifact_row(
        &self,
        artifact: &Artifact,
        added: Version,
        nth: usize,
    ) -> StoreResult<Vec<Val>> {
        let Artifact { id, description, content, size, verification, stored, modified } = artifact;
        Ok(vals![
            self.tenant,
            &self.id,
            id.as_str(),
            added,
            nth,
            &content.name,
            description.as_ref(),
            description.as_deref().map(fold),
            json(content)?,
            size.cast_signed(),
            verification.as_ref().map(json).transpose()?,
            *stored,
            *modified,
            artifact.image()
        ])
    }

    fn remove_all(&mut self) {
        self.then(REMOVE_ALL, |tenant, id| vals![tenant, id]);
        self.then(REMOVE_ALL_TYPES, |tenant, id| vals![tenant, id]);
    }

    /// Writes the artifacts that are new or described anew, and removes those that are no more.
    /// What logic never does, such as giving them another order, writes all of them.
    fn artifacts(&mut self, was: &[Artifact], to: &Release) -> StoreResult<()> {
        let ids: BTreeSet<&ArtifactId> = to.artifacts.iter().map(|a| &a.id).collect();
        let (kept, gone): (Vec<&Artifact>, Vec<&Artifact>) =
            was.iter().partition(|artifact| ids.contains(&artifact.id));
        let is_usual = kept.len() <= to.artifacts.len()
            && kept.iter().zip(&to.artifacts).all(|(was, to)| is_described(was, to));
        if !is_usual {
            self.remove_all();
            return self.add(to.artifacts.iter(), to.version);
        }
        if !gone.is_empty() {
            let gone: Vec<String> = gone.iter().map(|artifact| artifact.id.to_string()).collect();
            self.then(REMOVE, |tenant, id| vals![tenant, id, gone.clone()]);
            self.then(REMOVE_TYPES, |tenant, id| vals![tenant, id, gone]);
        }
        let (old, new) = to.artifacts.split_at(kept.len());
        for (was, to) in kept.into_iter().zip(old).filter(|(was, to)| was != to) {
            debug_assert_eq!(was.id, to.id, "artifacts of a pair are one");
            let folded = to.description.as_deref().map(fold);
            self.then(DESCRIBE, |tenant, id| {
                vals![tenant, id, to.id.as_str(), to.description.as_ref(), folded, to.modified]
            });
        }
        self.add(new.iter(), to.version)
    }
}

/// Tells whether the artifact is as it was but for what users say about it.
fn is_described(was: &Artifact, to: &Artifact) -> bool {
    let described =
        Artifact { description: to.description.clone(), modified: to.modified, ..was.clone() };
    described == *to
}

fn insert<'a>(tenant: &'a TenantId, new: &Release, commit: &str) -> StoreResult<Target<'a>> {
    let mut vals = columns(tenant, new, commit)?;
    vals.extend(place(new).into_iter().chain(label(new)));
    vals.extend(vals![&new.name, fold(&new.name)]);
    let batch = Batch::new().one(INSERT, vals);
    let mut target = Target { tenant, id: release_id(&new.name), batch };
    let none = BTreeSet::new();
    differ(&mut target, (PUT_TAGS, DELETE_TAGS), &none, &tags_of(new));
    differ(&mut target, (PUT_KINDS, DELETE_KINDS), &none, &kinds_of(new));
    target.add(new.artifacts.iter(), new.version)?;
    Ok(target)
}

fn update<'a>(
    tenant: &'a TenantId,
    was: &Release,
    to: &Release,
    commit: &str,
) -> StoreResult<Target<'a>> {
    let mut vals = columns(tenant, to, commit)?;
    let stmt = if place(was) == place(to) {
        UPDATE
    } else {
        vals.extend(place(to));
        MOVE
    };
    vals.push(was.version.into());
    let batch = Batch::new().one(stmt, vals);
    let mut target = Target { tenant, id: release_id(&to.name), batch };
    if label(was) != label(to) {
        target.then(LABEL, |tenant, id| vals![tenant, id].into_iter().chain(label(to)).collect());
    }
    if was.tags != to.tags {
        differ(&mut target, (PUT_TAGS, DELETE_TAGS), &tags_of(was), &tags_of(to));
    }
    if was.artifacts != to.artifacts {
        differ(&mut target, (PUT_KINDS, DELETE_KINDS), &kinds_of(was), &kinds_of(to));
        target.artifacts(&was.artifacts, to)?;
    }
    Ok(target)
}

fn delete<'a>(tenant: &'a TenantId, old: &Release) -> Target<'a> {
    let id = release_id(&old.name);
    let batch = Batch::new().one(DELETE, vals![tenant, &id, old.version]);
    let mut target = Target { tenant, id, batch };
    let none = BTreeSet::new();
    differ(&mut target, (PUT_TAGS, DELETE_TAGS), &tags_of(old), &none);
    differ(&mut target, (PUT_KINDS, DELETE_KINDS), &kinds_of(old), &none);
    target.remove_all();
    target
}

/// The batch of a release's commit.
pub(super) fn release(tenant: &TenantId, commit: &Stamped<Release>) -> StoreResult<Batch> {
    let key = |release: &Release| vals![tenant, release_id(&release.name)];
    let applied = |release: &Release| {
        let mut vals = key(release);
        vals.push(commit.id.as_str().into());
        (APPLIED, vals)
    };
    let (target, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => (insert(tenant, new, &commit.id)?, applied(new)),
        Change::Update { was, to } => (update(tenant, was, to, &commit.id)?, applied(to)),
        Change::Delete(old) => {
            let check = kernel::trace_of(commit).unwrap_or_else(|| (GONE, key(old)));
            (delete(tenant, old), check)
        }
    };
    Ok(target.batch.tail(tenant, commit).check(check, vals))
}
