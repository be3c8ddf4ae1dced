use async_trait::async_trait;
use mender_core::{
    StoreResult, Time,
    jobs::{Claim, DeadJob, Job, Jobs, NewJob, Verdict},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Stmt},
        value::{Row, Val},
    },
    vals,
};

const PUT: Stmt = sql!(
    "INSERT INTO jobs (kind, key, lane, due_at, payload, lease_until, attempt, error) @rows($1)
        ON CONFLICT (kind, key) DO NOTHING -- global: jobs serve every tenant"
);

/// SQLite's planner does not know that few jobs are due, so it is told the index. Materialised in
/// PostgreSQL: a subquery that the planner repeats would lock more than the limit.
const CLAIM: Stmt = sql!(
    sqlite: "UPDATE jobs SET lease_until = $3, attempt = attempt + 1
        WHERE rowid IN (SELECT j.rowid FROM jobs AS j INDEXED BY jobs_due
            WHERE j.dead_at IS NULL AND j.due_at <= $2 AND j.lease_until <= $2 AND j.kind @in($1)
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.kind = j.kind AND o.lane = j.lane
                AND o.lane <> '' AND o.key < j.key AND o.dead_at IS NULL)
            ORDER BY j.due_at LIMIT $4)
        RETURNING kind, key, attempt, due_at, payload -- global: jobs serve every tenant",
    postgres: "WITH picked AS MATERIALIZED (SELECT j.kind AS k, j.key AS i FROM jobs AS j
            WHERE j.dead_at IS NULL AND j.due_at <= $2 AND j.lease_until <= $2 AND j.kind @in($1)
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.kind = j.kind AND o.lane = j.lane
                AND o.lane <> '' AND o.key < j.key AND o.dead_at IS NULL)
            ORDER BY j.due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
        UPDATE jobs SET lease_until = $3, attempt = attempt + 1
        FROM picked WHERE kind = picked.k AND key = picked.i
        RETURNING kind, key, attempt, due_at, payload -- global: jobs serve every tenant",
);

const DONE: Stmt = sql!(
    "DELETE FROM jobs WHERE kind = $1 AND key = $2 AND attempt = $3 AND due_at = $4
        AND dead_at IS NULL -- global: jobs serve every tenant"
);

const AGAIN: Stmt = sql!(
    "UPDATE jobs SET due_at = $5, payload = $6, error = $7, lease_until = 0,
        attempt = CASE WHEN $7 = '' THEN 0 ELSE attempt END
        WHERE kind = $1 AND key = $2 AND attempt = $3 AND due_at = $4 AND dead_at IS NULL
        -- global: jobs serve every tenant"
);

const BURY: Stmt = sql!(
    "UPDATE jobs SET dead_at = $5, error = $6, lease_until = 0
        WHERE kind = $1 AND key = $2 AND attempt = $3 AND due_at = $4 AND dead_at IS NULL
        -- global: jobs serve every tenant"
);

const DEAD: Stmt = sql!(
    "SELECT kind, key, attempt, dead_at, error, payload FROM jobs WHERE dead_at IS NOT NULL
        ORDER BY dead_at, kind, key LIMIT $1 -- global: jobs serve every tenant"
);

const REDRIVE: Stmt = sql!(
    "UPDATE jobs SET dead_at = NULL, due_at = $1, lease_until = 0, attempt = 0
        WHERE dead_at IS NOT NULL -- global: jobs serve every tenant"
);

const REDRIVE_KIND: Stmt = sql!(
    "UPDATE jobs SET dead_at = NULL, due_at = $1, lease_until = 0, attempt = 0
        WHERE dead_at IS NOT NULL AND kind = $2 -- global: jobs serve every tenant"
);

macro_rules! next {
    ($due:literal, $leased:literal) => {
        concat!(
            "SELECT CAST(MIN(t) AS BIGINT) AS t FROM (
        SELECT due_at AS t FROM (SELECT j.due_at FROM jobs AS j ",
            $due,
            " WHERE j.dead_at IS NULL AND j.lease_until <= 0 AND j.kind @in($1)
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.kind = j.kind AND o.lane = j.lane
                AND o.lane <> '' AND o.key < j.key AND o.dead_at IS NULL)
            ORDER BY j.due_at LIMIT 1) AS free
        UNION ALL
        SELECT CASE WHEN l.due_at > l.lease_until THEN l.due_at ELSE l.lease_until END AS t
            FROM jobs AS l ",
            $leased,
            " WHERE l.lease_until > 0 AND l.dead_at IS NULL AND l.kind @in($1)
        ) AS times -- global: jobs serve every tenant"
        )
    };
}

/// Free jobs in the order of the index up to the first that fits, and all leased ones.
const NEXT: Stmt = sql!(
    sqlite: next!("INDEXED BY jobs_due", "INDEXED BY jobs_leased"),
    postgres: next!("", ""),
);

pub(super) const STATEMENTS: &[Stmt] =
    &[PUT, CLAIM, DONE, AGAIN, BURY, DEAD, REDRIVE, REDRIVE_KIND, NEXT];

fn job(row: &Row) -> StoreResult<Job> {
    Ok(Job {
        kind: row.text("kind")?.to_owned(),
        key: row.text("key")?.to_owned(),
        attempt: row.int("attempt")?,
        due_at: row.time("due_at")?,
        payload: row.json("payload")?,
    })
}

fn dead_job(row: &Row) -> StoreResult<DeadJob> {
    Ok(DeadJob {
        kind: row.text("kind")?.to_owned(),
        key: row.text("key")?.to_owned(),
        attempt: row.int("attempt")?,
        at: row.time("dead_at")?,
        error: row.text("error")?.to_owned(),
        payload: row.json("payload")?,
    })
}

fn settle(batch: Batch, (job, verdict): &(Job, Verdict)) -> Batch {
    let mut vals = vals![&job.kind, &job.key, job.attempt, job.due_at];
    match verdict {
        Verdict::Done => batch.then(DONE, vals),
        Verdict::Again { due_at, payload, error } => {
            vals.extend(vals![*due_at, payload, error]);
            batch.then(AGAIN, vals)
        }
        Verdict::Dead { at, error } => {
            vals.extend(vals![*at, error]);
            batch.then(BURY, vals)
        }
    }
}

#[async_trait]
impl Jobs for SqlStore {
    async fn put_jobs(&self, jobs: &[NewJob]) -> StoreResult<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        // In the order of the keys: two callers with the same jobs do not lock each other out.
        let mut sorted: Vec<_> = jobs.iter().collect();
        sorted.sort_by(|a, b| (&a.kind, &a.key).cmp(&(&b.kind, &b.key)));
        let row =
            |j: &&NewJob| vals![&j.kind, &j.key, &j.lane, j.due_at, &j.payload, 0_i64, 0_i64, ""];
        let rows: Vec<Vec<Val>> = sorted.iter().map(row).collect();
        self.sql.run(Batch::of(PUT, vals![rows])).await.map(drop)
    }

    async fn claim_jobs(&self, claim: &Claim) -> StoreResult<Vec<Job>> {
        let kinds: &[String] = &claim.kinds;
        let vals = vals![kinds, claim.now, claim.lease_until, claim.limit];
        let rows = self.sql.write_returning(CLAIM, vals).await?;
        let mut jobs = rows.iter().map(job).collect::<StoreResult<Vec<_>>>()?;
        jobs.sort_by(|a, b| (a.due_at, &a.kind, &a.key).cmp(&(b.due_at, &b.kind, &b.key)));
        Ok(jobs)
    }

    async fn settle_jobs(&self, settled: &[(Job, Verdict)]) -> StoreResult<()> {
        let mut sorted: Vec<_> = settled.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| (&a.kind, &a.key).cmp(&(&b.kind, &b.key)));
        let batch = sorted.into_iter().fold(Batch::new(), settle);
        self.sql.run(batch).await.map(drop)
    }

    async fn dead_jobs(&self, limit: usize) -> StoreResult<Vec<DeadJob>> {
        let rows = self.sql.read(DEAD, vals![limit]).await?;
        rows.iter().map(dead_job).collect()
    }

    async fn redrive_jobs(&self, kind: Option<&str>, now: Time) -> StoreResult<u64> {
        let batch = match kind {
            None => Batch::of(REDRIVE, vals![now]),
            Some(kind) => Batch::of(REDRIVE_KIND, vals![now, kind]),
        };
        Ok(self.sql.run(batch).await?.into_iter().sum())
    }

    async fn next_due(&self, kinds: &[String]) -> StoreResult<Option<Time>> {
        let row = self.sql.read_one(NEXT, vals![kinds]).await?;
        let due = row.map_or(Ok(None), |row| row.opt_int("t"))?;
        Ok(due.map(Time))
    }
}
