//! Jobs that make deltas.

use mender_core::{
    Stamped, StoreResult, TenantId,
    artifacts::{DeltaJob, DeltaQuery, DeltaSort, DeltaStatus},
    commit::Change,
    secret::token_hash,
};

use super::draft::{Draft, order};
use crate::{
    sql,
    sql::{
        facade::{Batch, Query, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json},
    },
    vals,
};

pub(super) const GET: Stmt =
    sql!("SELECT body FROM artifacts_deltas WHERE tenant_id = $1 AND id = $2");

/// A pair that has a job leaves no row written, which is a conflict.
const INSERT: Stmt = sql!(
    "INSERT INTO artifacts_deltas (tenant_id, id, delta_id, deployment_id, status, started, body,
        version, commit_id, job_id, source_id, target_id, from_name, to_name)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant_id, id) DO NOTHING"
);

const UPDATE: Stmt = sql!(
    "UPDATE artifacts_deltas SET delta_id = $3, deployment_id = $4, status = $5, started = $6,
        body = $7, version = $8, commit_id = $9, job_id = $10, source_id = $11, target_id = $12,
        from_name = $13, to_name = $14 WHERE tenant_id = $1 AND id = $2 AND version = $15"
);

const DELETE: Stmt =
    sql!("DELETE FROM artifacts_deltas WHERE tenant_id = $1 AND id = $2 AND version = $3");

const APPLIED: Stmt =
    sql!("SELECT 1 FROM artifacts_deltas WHERE tenant_id = $1 AND id = $2 AND commit_id = $3");

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM artifacts_deltas WHERE tenant_id = $1 AND id = $2)"
);

pub(super) const STATEMENTS: &[Stmt] = &[GET, INSERT, UPDATE, DELETE, APPLIED, GONE];

/// The id of a job in the table: those of its artifacts may be long.
pub(super) fn id_of(pair: &str) -> String {
    token_hash(pair)
}

fn columns(tenant: &TenantId, job: &DeltaJob, commit: &str) -> StoreResult<Vec<Val>> {
    Ok(vals![
        tenant,
        id_of(&job.pair),
        job.delta.as_ref().map(ToString::to_string),
        job.deployment.as_ref(),
        job.status.as_str(),
        job.started,
        json(job)?,
        job.version,
        commit,
        job.id.as_str(),
        job.source.as_str(),
        job.target.as_str(),
        &job.from,
        &job.to
    ])
}

/// The batch of a job's commit.
pub(super) fn batch(tenant: &TenantId, commit: &Stamped<DeltaJob>) -> StoreResult<Batch> {
    let applied = |job: &DeltaJob| (APPLIED, vals![tenant, id_of(&job.pair), &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            (Batch::new().one(INSERT, columns(tenant, new, &commit.id)?), applied(new))
        }
        Change::Update { was, to } => {
            let mut vals = columns(tenant, to, &commit.id)?;
            vals.push(was.version.into());
            (Batch::new().one(UPDATE, vals), applied(to))
        }
        Change::Delete(old) => {
            let id = id_of(&old.pair);
            let batch = Batch::new().one(DELETE, vals![tenant, &id, old.version]);
            let gone = (GONE, vals![tenant, id]);
            (batch, kernel::trace_of(commit).unwrap_or(gone))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}

impl Draft {
    /// Writes the conditions of a query for jobs `j`.
    fn jobs(&mut self, query: &DeltaQuery) -> String {
        let DeltaQuery { id, artifact, deployment, open, sort: _, descending: _ } = query;
        let mut all = vec!["j.tenant_id = $1".to_owned()];
        if let Some(id) = id {
            all.push(format!("j.job_id = ${}", self.push(id.as_str())));
        }
        if let Some(id) = artifact {
            let id = self.push(id.as_str());
            all.push(format!("(j.source_id = ${id} OR j.target_id = ${id} OR j.delta_id = ${id})"));
        }
        if let Some(deployment) = deployment {
            all.push(format!("j.deployment_id = ${}", self.push(deployment)));
        }
        if *open {
            let open = [DeltaStatus::Queued, DeltaStatus::Pending];
            let open: Vec<String> = open.map(|status| status.as_str().to_owned()).into();
            all.push(format!("j.status @in(${})", self.push(open)));
        }
        all.join(" AND ")
    }
}

/// A page of jobs.
pub(super) fn jobs(tenant: &TenantId, query: &DeltaQuery, page: (u64, usize)) -> Query {
    let DeltaQuery { sort, descending, .. } = *query;
    let is_all = *query == DeltaQuery { sort, descending, ..DeltaQuery::default() };
    let mut draft = Draft::new(tenant);
    let conditions = draft.jobs(query);
    let (columns, index): (&[&str], _) = match query.sort {
        DeltaSort::Status => (&["j.status", "j.job_id"], None),
        DeltaSort::Started => (&["j.started", "j.job_id"], None),
        DeltaSort::From => (
            &["substr(j.from_name, 1, 100)", "j.from_name", "j.job_id"],
            Some("artifacts_deltas_from"),
        ),
        DeltaSort::To => {
            (&["substr(j.to_name, 1, 100)", "j.to_name", "j.job_id"], Some("artifacts_deltas_to"))
        }
    };
    // SQLite would rather take any index, and sort.
    let index = index.filter(|_| is_all).map(|index| format!(" @index({index})"));
    let index = index.unwrap_or_default();
    let order = order(columns, query.descending);
    let limit = draft.limit(page);
    draft.finish(&format!(
        "SELECT j.body FROM artifacts_deltas AS j{index} WHERE {conditions} ORDER BY {order}{limit}"
    ))
}

pub(super) fn count_jobs(tenant: &TenantId, query: &DeltaQuery) -> Query {
    let mut draft = Draft::new(tenant);
    let conditions = draft.jobs(query);
    draft.finish(&format!("SELECT COUNT(*) AS n FROM artifacts_deltas AS j WHERE {conditions}"))
}

/// A query of each form.
#[expect(clippy::unwrap_used, reason = "the ids are constants")]
pub(in crate::sql) fn queries() -> Vec<DeltaQuery> {
    let all = DeltaQuery::default;
    let mut queries = vec![
        DeltaQuery { id: Some("a".parse().unwrap()), ..all() },
        DeltaQuery { artifact: Some("a".parse().unwrap()), ..all() },
        DeltaQuery { deployment: Some("a".into()), ..all() },
        DeltaQuery { open: true, ..all() },
    ];
    for sort in [DeltaSort::Status, DeltaSort::Started, DeltaSort::From, DeltaSort::To] {
        queries.extend([false, true].map(|descending| DeltaQuery { sort, descending, ..all() }));
    }
    queries
}
