//! Artifacts: releases with their artifacts, artifacts that left them, and those on their way.
//!
//! Tags, payload types and types of devices are rows of their own, by which releases are found.

mod deltas;
mod draft;
mod rows;
mod write;

use async_trait::async_trait;
use mender_core::{
    Stamped, StoreResult, TenantId,
    artifacts::{
        Artifact, ArtifactId, ArtifactQuery, ArtifactSettings, ArtifactSort, DeltaJob, DeltaQuery,
        Release, ReleaseKind, ReleaseQuery, ReleaseSort, Retired, Store, Text, Upload,
        format::SystemManifest,
    },
};

use crate::{
    SqlStore, sql,
    sql::{
        bodies::{self, RETIRED, SETTINGS, UPLOADS},
        facade::{Query, Stmt},
        value::Row,
    },
    vals,
};
#[cfg(test)]
pub(super) use deltas::queries as delta_queries;

use draft::release_id;

macro_rules! release {
    () => {
        "r.name, r.tags, r.notes, r.modified, r.leaving, r.version"
    };
}

macro_rules! artifact {
    () => {
        "a.id AS artifact_id, a.description, a.content, a.size, a.verification, a.stored,
        a.modified AS changed"
    };
}

const RELEASE: &str = release!();

const ARTIFACT: &str = artifact!();

const BY_NAME: Stmt = sql!(concat!(
    "SELECT ",
    release!(),
    ", ",
    artifact!(),
    " FROM artifacts_releases AS r LEFT JOIN artifacts_artifacts AS a
        ON a.tenant_id = r.tenant_id AND a.release_id = r.id
        WHERE r.tenant_id = $1 AND r.id = $2 ORDER BY a.added, a.nth"
));

const BY_ARTIFACT: Stmt = sql!(concat!(
    "SELECT ",
    release!(),
    ", ",
    artifact!(),
    " FROM (SELECT release_id FROM artifacts_artifacts WHERE tenant_id = $1 AND id = $2
            ORDER BY release_id LIMIT 1) AS f
        CROSS JOIN artifacts_releases AS r LEFT JOIN artifacts_artifacts AS a
        ON a.tenant_id = r.tenant_id AND a.release_id = r.id
        WHERE r.tenant_id = $1 AND r.id = f.release_id ORDER BY a.added, a.nth"
));

macro_rules! tags {
    () => {
        "WITH RECURSIVE t (tag) AS (
        SELECT (SELECT MIN(g.tag) FROM artifacts_tags AS g WHERE g.tenant_id = $1)
        UNION ALL
        SELECT (SELECT MIN(g.tag) FROM artifacts_tags AS g
            WHERE g.tenant_id = $1 AND g.tag > t.tag)
        FROM t WHERE t.tag IS NOT NULL)
        SELECT t.tag FROM t WHERE t.tag IS NOT NULL"
    };
}

/// Jumps from tag to tag: costs what it finds, whatever the number of releases.
const TAGS: Stmt = sql!(concat!(tags!(), " ORDER BY t.tag"));

/// Looks at the releases with a tag until one is of the kind.
const TAGS_OF_MANIFESTS: Stmt = sql!(concat!(
    tags!(),
    " AND EXISTS (SELECT 1 FROM artifacts_tags AS h WHERE h.tenant_id = $1 AND h.tag = t.tag
        AND EXISTS (SELECT 1 FROM artifacts_kinds AS k
            WHERE k.tenant_id = $1 AND k.kind_hash = $2 AND k.release_id = h.release_id))
        ORDER BY t.tag"
));

const TAGS_OF_OTHERS: Stmt = sql!(concat!(
    tags!(),
    " AND EXISTS (SELECT 1 FROM artifacts_tags AS h WHERE h.tenant_id = $1 AND h.tag = t.tag
        AND NOT EXISTS (SELECT 1 FROM artifacts_kinds AS k
            WHERE k.tenant_id = $1 AND k.kind_hash = $2 AND k.release_id = h.release_id))
        ORDER BY t.tag"
));

const READS: &[Stmt] = &[BY_NAME, BY_ARTIFACT, TAGS, TAGS_OF_MANIFESTS, TAGS_OF_OTHERS];

/// The id of the only settings of a tenant.
const ONLY: &str = "settings";

/// Every statement of the area; of those made at run time, one of each form.
pub(super) fn statements() -> Vec<Stmt> {
    let fixed = READS.iter().chain(write::STATEMENTS).chain(deltas::STATEMENTS).cloned();
    fixed.chain(forms().into_iter().map(|(stmt, _)| stmt)).collect()
}

/// The statements for one query of each form.
fn forms() -> Vec<Query> {
    let tenant = TenantId::default();
    let releases = release_queries();
    let releases = releases.iter().flat_map(|query| {
        [draft::releases(&tenant, query, (0, 1)), draft::count_releases(&tenant, query)]
    });
    let artifacts = artifact_queries();
    let artifacts = artifacts.iter().flat_map(|query| {
        [draft::artifacts(&tenant, query, (0, 1)), draft::count_artifacts(&tenant, query)]
    });
    let jobs = deltas::queries();
    let jobs = jobs.iter().flat_map(|query| {
        [deltas::jobs(&tenant, query, (0, 1)), deltas::count_jobs(&tenant, query)]
    });
    releases.chain(artifacts).chain(jobs).collect()
}

/// The statements that choose a page in every order.
#[cfg(all(test, feature = "sqlite"))]
pub(super) fn pages() -> Vec<Query> {
    let (tenant, page) = (TenantId::default(), (1, 10));
    let releases = release_queries().into_iter().filter(|q| {
        let ReleaseQuery { of, sort, descending, .. } = *q;
        let in_order = ReleaseQuery { of, sort, descending, ..ReleaseQuery::default() };
        // Manifests are few, and sorted.
        *q == in_order && of != Some(ReleaseKind::Manifest)
    });
    let artifacts = artifact_queries().into_iter().filter(|q| {
        let ArtifactQuery { sort, descending, .. } = *q;
        *q == ArtifactQuery { sort, descending, ..ArtifactQuery::default() }
    });
    let releases = releases.map(|query| draft::release_ids(&tenant, &query, page));
    let artifacts = artifacts.map(|query| draft::artifact_ids(&tenant, &query, page));
    let jobs = deltas::queries().into_iter().filter(|q| {
        let DeltaQuery { sort, descending, .. } = *q;
        *q == DeltaQuery { sort, descending, ..DeltaQuery::default() }
    });
    let jobs = jobs.map(|query| deltas::jobs(&tenant, &query, page));
    releases.chain(artifacts).chain(jobs).collect()
}

/// A text of each form.
fn texts() -> Vec<Text> {
    let long = "a".repeat(200);
    vec![
        Text::Is(vec!["a".into(), "b".into()]),
        Text::Starts("a".into()),
        Text::Starts(long),
        Text::StartsAnyCase("a".into()),
        Text::Contains("a".into()),
        Text::Contains(String::new()),
    ]
}

/// A query for releases of each form.
pub(super) fn release_queries() -> Vec<ReleaseQuery> {
    use ReleaseSort::{Artifacts, Modified, Name, Tags};
    let all = ReleaseQuery::default;
    let mut queries = Vec::new();
    for sort in [Name, Modified, Artifacts, Tags] {
        for descending in [false, true] {
            for of in [None, Some(ReleaseKind::Release), Some(ReleaseKind::Manifest)] {
                queries.push(ReleaseQuery { of, sort, descending, ..all() });
            }
        }
    }
    for text in texts() {
        queries.push(ReleaseQuery { name: Some(text.clone()), ..all() });
        queries.push(ReleaseQuery { description: Some(text.clone()), ..all() });
        queries.push(ReleaseQuery { device_type: Some(text), ..all() });
    }
    let tags = || vec![vec!["a".into(), "b".into()], vec!["c".into()]];
    queries.push(ReleaseQuery { kind: Some("a".into()), ..all() });
    queries.push(ReleaseQuery { tags: tags(), sort: Modified, ..all() });
    queries.push(ReleaseQuery {
        of: Some(ReleaseKind::Release),
        name: Some(Text::Starts("a".into())),
        description: Some(Text::Contains("a".into())),
        device_type: Some(Text::StartsAnyCase("a".into())),
        kind: Some("a".into()),
        tags: tags(),
        sort: Tags,
        descending: true,
    });
    queries
}

/// A query for artifacts of each form.
pub(super) fn artifact_queries() -> Vec<ArtifactQuery> {
    use ArtifactSort::{Id, Modified, Name};
    let all = ArtifactQuery::default;
    let mut queries = Vec::new();
    for sort in [Name, Modified, Id] {
        for descending in [false, true] {
            queries.push(ArtifactQuery { sort, descending, ..all() });
        }
    }
    for text in texts() {
        queries.push(ArtifactQuery { name: Some(text.clone()), ..all() });
        queries.push(ArtifactQuery { description: Some(text.clone()), ..all() });
        queries.push(ArtifactQuery { device_type: Some(text), ..all() });
    }
    queries.push(ArtifactQuery { image: Some("a".into()), ..all() });
    let tags = vec![vec!["a".into(), "b".into()], vec!["c".into()]];
    queries.push(ArtifactQuery { tags: tags.clone(), sort: Modified, ..all() });
    queries.push(ArtifactQuery {
        name: Some(Text::Starts("a".into())),
        description: Some(Text::Contains("a".into())),
        device_type: Some(Text::StartsAnyCase("a".into())),
        tags,
        image: Some("a".into()),
        sort: Modified,
        descending: true,
    });
    queries
}

impl SqlStore {
    async fn one_release(
        &self,
        stmt: Stmt,
        tenant: &TenantId,
        id: &str,
    ) -> StoreResult<Option<Release>> {
        Ok(rows::releases(&self.sql.read(stmt, vals![tenant, id]).await?)?.pop())
    }

    pub(super) async fn count(&self, (stmt, vals): Query) -> StoreResult<u64> {
        let row = self.sql.read_one(stmt, vals).await?;
        Ok(row.map_or(Ok(0), |row| row.int("n"))?.unsigned_abs())
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn release(&self, tenant: &TenantId, name: &str) -> StoreResult<Option<Release>> {
        self.one_release(BY_NAME, tenant, &release_id(name)).await
    }

    async fn release_of(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Release>> {
        self.one_release(BY_ARTIFACT, tenant, id.as_str()).await
    }

    async fn releases(
        &self,
        tenant: &TenantId,
        query: &ReleaseQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Release>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (stmt, vals) = draft::releases(tenant, query, (skip, limit));
        rows::releases(&self.sql.read(stmt, vals).await?)
    }

    async fn count_releases(&self, tenant: &TenantId, query: &ReleaseQuery) -> StoreResult<u64> {
        self.count(draft::count_releases(tenant, query)).await
    }

    async fn artifacts(
        &self,
        tenant: &TenantId,
        query: &ArtifactQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Artifact>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (stmt, vals) = draft::artifacts(tenant, query, (skip, limit));
        self.sql.read(stmt, vals).await?.iter().map(rows::artifact).collect()
    }

    async fn count_artifacts(&self, tenant: &TenantId, query: &ArtifactQuery) -> StoreResult<u64> {
        self.count(draft::count_artifacts(tenant, query)).await
    }

    async fn release_tags(
        &self,
        tenant: &TenantId,
        of: Option<ReleaseKind>,
    ) -> StoreResult<Vec<String>> {
        let kind = || vals![tenant, draft::kind_hash(SystemManifest::PAYLOAD)];
        let (stmt, vals) = match of {
            None => (TAGS, vals![tenant]),
            Some(ReleaseKind::Release) => (TAGS_OF_OTHERS, kind()),
            Some(ReleaseKind::Manifest) => (TAGS_OF_MANIFESTS, kind()),
        };
        let rows = self.sql.read(stmt, vals).await?;
        rows.iter().map(|row: &Row| row.text("tag").map(str::to_owned)).collect()
    }

    async fn commit_release(&self, tenant: &TenantId, commit: Stamped<Release>) -> StoreResult<()> {
        let batch = write::release(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn retired(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Retired>> {
        self.body(RETIRED, tenant, id.as_str()).await
    }

    async fn walk_retired(
        &self,
        tenant: &TenantId,
        after: Option<&ArtifactId>,
        limit: usize,
    ) -> StoreResult<Vec<Retired>> {
        // No id is empty.
        let after = after.map_or("", ArtifactId::as_str);
        let rows = self.sql.read(RETIRED.walk, vals![tenant, after, limit]).await?;
        rows.iter().map(bodies::read).collect()
    }

    async fn commit_retired(&self, tenant: &TenantId, commit: Stamped<Retired>) -> StoreResult<()> {
        self.commit_body(RETIRED, tenant, &commit).await
    }

    async fn upload(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Upload>> {
        self.body(UPLOADS, tenant, id.as_str()).await
    }

    async fn commit_upload(&self, tenant: &TenantId, commit: Stamped<Upload>) -> StoreResult<()> {
        self.commit_body(UPLOADS, tenant, &commit).await
    }

    async fn delta_job(&self, tenant: &TenantId, pair: &str) -> StoreResult<Option<DeltaJob>> {
        let row = self.sql.read_one(deltas::GET, vals![tenant, deltas::id_of(pair)]).await?;
        row.as_ref().map(bodies::read).transpose()
    }

    async fn delta_jobs(
        &self,
        tenant: &TenantId,
        query: &DeltaQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeltaJob>> {
        let (stmt, vals) = deltas::jobs(tenant, query, (skip, limit));
        self.sql.read(stmt, vals).await?.iter().map(bodies::read).collect()
    }

    async fn count_delta_jobs(&self, tenant: &TenantId, query: &DeltaQuery) -> StoreResult<u64> {
        self.count(deltas::count_jobs(tenant, query)).await
    }

    async fn commit_delta_job(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeltaJob>,
    ) -> StoreResult<()> {
        self.sql.run(deltas::batch(tenant, &commit)?).await.map(drop)
    }

    async fn artifact_settings(&self, tenant: &TenantId) -> StoreResult<Option<ArtifactSettings>> {
        self.body(SETTINGS, tenant, ONLY).await
    }

    async fn commit_artifact_settings(
        &self,
        tenant: &TenantId,
        commit: Stamped<ArtifactSettings>,
    ) -> StoreResult<()> {
        self.commit_body(SETTINGS, tenant, &commit).await
    }
}
