use async_trait::async_trait;
use mender_core::{
    NodeId, Stamped, StoreResult, TenantId, Time,
    feed::{Feed, FeedEntry, Node},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Query, Stmt},
        value::{Row, Val},
    },
    vals,
};

const INSERT: Stmt = sql!("INSERT INTO feed (id, tenant_id, kind, key, at) @rows($1)");

const ANNOUNCE: Stmt = sql!(
    "INSERT INTO feed (id, tenant_id, kind, key, at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO NOTHING"
);

const SINCE: Stmt =
    sql!("SELECT id, tenant_id, kind, key, at FROM feed WHERE at >= $1 ORDER BY at, id");

const WRITTEN: Stmt = sql!("SELECT 1 FROM feed WHERE id = $1 -- global: ids are unique");

const SWEEP: Stmt = sql!(
    "DELETE FROM feed WHERE id IN (SELECT id FROM feed WHERE at < $1 ORDER BY at LIMIT $2)
        -- global: retention"
);

const SWEEP_NODES: Stmt = sql!(
    "DELETE FROM nodes WHERE id IN (SELECT id FROM nodes WHERE at < $1 ORDER BY at LIMIT $2)
        -- global: nodes serve every tenant"
);

const BEAT: Stmt = sql!(
    "INSERT INTO nodes (id, at, runs) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET at = excluded.at, runs = excluded.runs
        -- global: nodes serve every tenant"
);

const NODES: Stmt = sql!(
    "SELECT id, at, runs FROM nodes WHERE at >= $1 ORDER BY id
        -- global: nodes serve every tenant"
);

const LEAVE: Stmt = sql!("DELETE FROM nodes WHERE id = $1 -- global: nodes serve every tenant");

pub(super) const STATEMENTS: &[Stmt] =
    &[INSERT, ANNOUNCE, SINCE, WRITTEN, SWEEP, SWEEP_NODES, BEAT, NODES, LEAVE];

fn id<A>(commit: &Stamped<A>, n: usize) -> String {
    format!("{}.{n}", commit.id)
}

/// Returns a read that finds the first entry of a commit, where it has any.
pub(super) fn trace_of<A>(commit: &Stamped<A>) -> Option<Query> {
    let has_any = !commit.invalidates.is_empty();
    has_any.then(|| (WRITTEN, vals![id(commit, 0)]))
}

pub(super) fn append<A>(batch: Batch, tenant: &TenantId, commit: &Stamped<A>) -> Batch {
    if commit.invalidates.is_empty() {
        return batch;
    }
    let topics = commit.invalidates.iter().enumerate();
    let rows: Vec<Vec<Val>> = topics
        .map(|(n, topic)| vals![id(commit, n), tenant, topic.kind, &topic.key, commit.at])
        .collect();
    batch.then(INSERT, vals![rows])
}

fn entry(row: &Row) -> StoreResult<FeedEntry> {
    Ok(FeedEntry {
        id: row.text("id")?.to_owned(),
        tenant: row.parse("tenant_id")?,
        kind: row.text("kind")?.to_owned(),
        key: row.text("key")?.to_owned(),
        at: row.time("at")?,
    })
}

fn node(row: &Row) -> StoreResult<Node> {
    Ok(Node { id: row.parse("id")?, at: row.time("at")?, runs: row.flag("runs")? })
}

#[async_trait]
impl Feed for SqlStore {
    async fn announce(&self, entries: &[FeedEntry]) -> StoreResult<()> {
        let add = |batch: Batch, entry: &FeedEntry| {
            let FeedEntry { id, tenant, kind, key, at } = entry;
            batch.then(ANNOUNCE, vals![id.as_str(), tenant, kind.as_str(), key.as_str(), *at])
        };
        self.sql.run(entries.iter().fold(Batch::new(), add)).await.map(drop)
    }

    async fn feed_since(&self, since: Time) -> StoreResult<Vec<FeedEntry>> {
        let rows = self.sql.read(SINCE, vals![since]).await?;
        rows.iter().map(entry).collect()
    }

    async fn sweep_feed(&self, before: Time, limit: usize) -> StoreResult<()> {
        let batch = Batch::of(SWEEP, vals![before, limit]);
        let batch = batch.then(SWEEP_NODES, vals![before, limit]);
        self.sql.run(batch).await.map(drop)
    }

    async fn beat(&self, node: &Node) -> StoreResult<()> {
        let vals = vals![node.id.as_str(), node.at, node.runs];
        self.sql.run(Batch::of(BEAT, vals)).await.map(drop)
    }

    async fn nodes(&self, since: Time) -> StoreResult<Vec<Node>> {
        let rows = self.sql.read(NODES, vals![since]).await?;
        rows.iter().map(node).collect()
    }

    async fn leave(&self, node: &NodeId) -> StoreResult<()> {
        let batch = Batch::of(LEAVE, vals![node.as_str()]);
        self.sql.run(batch).await.map(drop)
    }
}
