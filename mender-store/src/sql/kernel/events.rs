use async_trait::async_trait;
use mender_core::{Event, StoreError, StoreResult, TenantId, Time, Version, outbox::Journal};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Query, Stmt},
        value::{Row, Val},
    },
    vals,
};

const INSERT: Stmt = sql!(
    "INSERT INTO events (id, tenant_id, aggregate, key, version, kind, v, at, actor, trace,
        payload, lease_until) @rows($1)"
);

/// Materialised in PostgreSQL: a subquery that the planner repeats would lock more than the limit.
const CLAIM: Stmt = sql!(
    sqlite: "UPDATE events SET lease_until = $2
        WHERE id IN (SELECT id FROM events WHERE lease_until <= $1 ORDER BY id LIMIT $3)
        RETURNING id, tenant_id, aggregate, key, version, kind, v, at, actor, trace, payload",
    postgres: "WITH picked AS MATERIALIZED (SELECT id AS i FROM events WHERE lease_until <= $1
            ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
        UPDATE events SET lease_until = $2 FROM picked WHERE id = picked.i
        RETURNING id, tenant_id, aggregate, key, version, kind, v, at, actor, trace, payload",
);

const SETTLE: Stmt = sql!("DELETE FROM events WHERE id @in($1) -- global: ids are unique");

const EARLIER: Stmt = sql!(
    "SELECT 1 FROM events WHERE tenant_id = $1 AND aggregate = $2 AND key = $3 AND version < $4
        LIMIT 1"
);

const WRITTEN: Stmt = sql!("SELECT 1 FROM events WHERE id = $1 -- global: ids are unique");

const COUNT: Stmt = sql!("SELECT COUNT(*) FROM events -- global: a number for operators");

pub(super) const STATEMENTS: &[Stmt] = &[INSERT, CLAIM, SETTLE, EARLIER, WRITTEN, COUNT];

/// Returns a read that finds the first of these events, where there are any.
pub(in crate::sql) fn trace_of(events: &[Event]) -> Option<Query> {
    let first = events.first()?;
    Some((WRITTEN, vals![first.id.as_str()]))
}

pub(in crate::sql) fn append(batch: Batch, events: &[Event], lease_until: Time) -> Batch {
    if events.is_empty() {
        return batch;
    }
    let row = |e: &Event| {
        vals![
            e.id.as_str(),
            &e.tenant,
            &e.aggregate,
            &e.key,
            e.version,
            &e.kind,
            e.v,
            e.at,
            serde_json::to_string(&e.actor).unwrap_or_default(),
            &e.trace,
            &e.payload,
            lease_until,
        ]
    };
    let rows: Vec<Vec<Val>> = events.iter().map(row).collect();
    batch.then(INSERT, vals![rows])
}

fn event(row: &Row) -> StoreResult<Event> {
    let v = row.int("v")?;
    Ok(Event {
        id: row.parse("id")?,
        tenant: row.parse("tenant_id")?,
        aggregate: row.text("aggregate")?.to_owned(),
        key: row.text("key")?.to_owned(),
        version: row.version("version")?,
        kind: row.text("kind")?.to_owned(),
        v: u32::try_from(v).map_err(|e| StoreError::corrupt("column v", e))?,
        at: row.time("at")?,
        actor: row.json("actor")?,
        trace: row.text("trace")?.to_owned(),
        payload: row.json("payload")?,
    })
}

#[async_trait]
impl Journal for SqlStore {
    async fn claim_events(
        &self,
        now: Time,
        lease_until: Time,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        let vals = vals![now, lease_until, limit];
        let rows = self.sql.write_returning(CLAIM, vals).await?;
        let mut events = rows.iter().map(event).collect::<StoreResult<Vec<_>>>()?;
        events.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(events)
    }

    async fn settle_events(&self, events: &[Event]) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = events.iter().map(|e| e.id.as_str().to_owned()).collect();
        self.sql.run(Batch::of(SETTLE, vals![ids])).await.map(drop)
    }

    async fn has_earlier(
        &self,
        tenant: &TenantId,
        aggregate: &str,
        key: &str,
        version: Version,
    ) -> StoreResult<bool> {
        let vals = vals![tenant, aggregate, key, version];
        Ok(self.sql.read_one(EARLIER, vals).await?.is_some())
    }

    async fn unsettled_events(&self) -> StoreResult<u64> {
        let row = self.sql.read_one(COUNT, vals![]).await?;
        let count = row.map_or(Ok(0), |row| row.int(0))?;
        Ok(count.unsigned_abs())
    }
}
