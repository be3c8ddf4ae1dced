use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::{
    artifacts::{
        Artifact, ArtifactId, ArtifactQuery, ArtifactSettings, DeltaJob, DeltaQuery, DeltaSort,
        Release, ReleaseKind, ReleaseQuery, ReleaseSort, Retired, Store, Text, Upload,
        format::SystemManifest,
    },
    commit::{Aggregate, Stamped},
    error::StoreResult,
    id::TenantId,
    index::{Clause, Span},
    kit::{DocStore, Kit, Plan, field},
};

/// The index text of the only settings of a tenant.
const SETTINGS: &str = "settings";

/// What the index has of releases of a kind.
fn is_of(of: ReleaseKind) -> Clause {
    let manifests = vec![Span::At(field("kind", SystemManifest::PAYLOAD))];
    match of {
        ReleaseKind::Manifest => Clause::some(manifests),
        ReleaseKind::Release => Clause::none(manifests),
    }
}

/// What an index can tell of a query; it may find more than is meant.
fn plan_of(
    tenant: &TenantId,
    name: Option<&Text>,
    kind: Option<&str>,
    tags: &[Vec<String>],
    of: Option<ReleaseKind>,
) -> Plan {
    let mut plan = Plan::new(Release::KIND, tenant);
    plan.all.extend(of.map(is_of));
    if let Some(Text::Is(names)) = name {
        plan.ids = Some(names.clone());
    }
    plan = match kind {
        Some(kind) => plan.any([field("kind", kind)]),
        None => plan,
    };
    tags.iter().fold(plan, |plan, any| plan.any(any.iter().map(|tag| field("tag", tag))))
}

fn page<T>(all: Vec<T>, skip: u64, limit: usize) -> Vec<T> {
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    all.into_iter().skip(skip).take(limit).collect()
}

impl<D: DocStore> Kit<D> {
    /// Returns the releases of a query in no order. Texts that are no names are looked for in all.
    async fn fitting(&self, tenant: &TenantId, query: &ReleaseQuery) -> StoreResult<Vec<Release>> {
        let kind = query.kind.as_deref();
        let plan = plan_of(tenant, query.name.as_ref(), kind, &query.tags, query.of);
        let mut releases: Vec<Release> = self.load_all(&plan).await?;
        releases.retain(|release| query.fits(release));
        Ok(releases)
    }

    async fn fitting_artifacts(
        &self,
        tenant: &TenantId,
        query: &ArtifactQuery,
    ) -> StoreResult<Vec<Artifact>> {
        let mut plan = plan_of(tenant, query.name.as_ref(), None, &query.tags, None);
        if let Some(image) = &query.image {
            plan = plan.any([field("image", image)]);
        }
        let mut found = Vec::new();
        for release in self.load_all::<Release>(&plan).await? {
            let fits = |artifact: &&Artifact| query.fits(&release, artifact);
            found.extend(release.artifacts.iter().filter(fits).cloned());
        }
        Ok(found)
    }
}

/// How the documents are sorted as the query wants it.
fn sorts_of(query: &ReleaseQuery) -> Vec<(String, bool)> {
    let descending = query.descending;
    let first = match query.sort {
        ReleaseSort::Name => None,
        ReleaseSort::Modified => Some("modified"),
        ReleaseSort::Artifacts => Some("count"),
        ReleaseSort::Tags if descending => Some("-tag"),
        ReleaseSort::Tags => Some("+tag"),
    };
    let names = first.into_iter().chain(["name"]);
    names.map(|name| (name.to_owned(), descending)).collect()
}

/// What the indexes tell of a query for jobs is all that it asks.
fn delta_plan(tenant: &TenantId, query: &DeltaQuery) -> Plan {
    let DeltaQuery { id, artifact, deployment, open, sort, descending } = query;
    let texts = [
        id.as_ref().map(|id| field("job", id.as_str())),
        artifact.as_ref().map(|id| field("artifact", id.as_str())),
        deployment.as_ref().map(|id| field("deployment", id)),
        open.then(|| field("open", "1")),
    ];
    let plan = Plan::new(DeltaJob::KIND, tenant);
    let mut plan = texts.into_iter().flatten().fold(plan, |plan, text| plan.any([text]));
    let first = match sort {
        DeltaSort::Status => "status",
        DeltaSort::Started => "started",
        DeltaSort::From => "from",
        DeltaSort::To => "to",
    };
    plan.sorts = [first, "job"].map(|name| (name.to_owned(), *descending)).into();
    plan
}

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn release(&self, tenant: &TenantId, name: &str) -> StoreResult<Option<Release>> {
        self.load(tenant, name).await
    }

    async fn release_of(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Release>> {
        let plan = Plan::new(Release::KIND, tenant).any([field("artifact", id.as_str())]).limit(1);
        Ok(self.load_all(&plan).await?.pop())
    }

    async fn releases(
        &self,
        tenant: &TenantId,
        query: &ReleaseQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Release>> {
        let by_index = matches!(query.name, None | Some(Text::Is(_)))
            && query.description.is_none()
            && query.device_type.is_none();
        if by_index {
            let kind = query.kind.as_deref();
            let plan = plan_of(tenant, query.name.as_ref(), kind, &query.tags, query.of);
            let mut plan = plan.limit(limit);
            plan.sorts = sorts_of(query);
            plan.skip = skip;
            return self.load_all(&plan).await;
        }
        let mut found = self.fitting(tenant, query).await?;
        found.sort_by(|a, b| query.compare(a, b));
        Ok(page(found, skip, limit))
    }

    async fn count_releases(&self, tenant: &TenantId, query: &ReleaseQuery) -> StoreResult<u64> {
        Ok(self.fitting(tenant, query).await?.len() as u64)
    }

    async fn artifacts(
        &self,
        tenant: &TenantId,
        query: &ArtifactQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Artifact>> {
        let mut found = self.fitting_artifacts(tenant, query).await?;
        found.sort_by(|a, b| query.compare(a, b));
        Ok(page(found, skip, limit))
    }

    async fn count_artifacts(&self, tenant: &TenantId, query: &ArtifactQuery) -> StoreResult<u64> {
        Ok(self.fitting_artifacts(tenant, query).await?.len() as u64)
    }

    async fn release_tags(
        &self,
        tenant: &TenantId,
        of: Option<ReleaseKind>,
    ) -> StoreResult<Vec<String>> {
        let mut plan = Plan::new(Release::KIND, tenant);
        // Long ones are found by their hash.
        plan.all.push(Clause::some(vec![Span::beginning("tag="), Span::beginning("tag#")]));
        plan.all.extend(of.map(is_of));
        let mut tags = BTreeSet::new();
        for release in self.load_all::<Release>(&plan).await? {
            tags.extend(release.tags.into_iter().map(String::from));
        }
        Ok(tags.into_iter().collect())
    }

    async fn commit_release(&self, tenant: &TenantId, commit: Stamped<Release>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn retired(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Retired>> {
        self.load(tenant, id.as_str()).await
    }

    async fn walk_retired(
        &self,
        tenant: &TenantId,
        after: Option<&ArtifactId>,
        limit: usize,
    ) -> StoreResult<Vec<Retired>> {
        let mut plan = Plan::new(Retired::KIND, tenant).limit(limit);
        plan.after = after.map(ToString::to_string);
        self.load_all(&plan).await
    }

    async fn commit_retired(&self, tenant: &TenantId, commit: Stamped<Retired>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn upload(&self, tenant: &TenantId, id: &ArtifactId) -> StoreResult<Option<Upload>> {
        self.load(tenant, id.as_str()).await
    }

    async fn commit_upload(&self, tenant: &TenantId, commit: Stamped<Upload>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn delta_job(&self, tenant: &TenantId, pair: &str) -> StoreResult<Option<DeltaJob>> {
        self.load(tenant, pair).await
    }

    async fn delta_jobs(
        &self,
        tenant: &TenantId,
        query: &DeltaQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeltaJob>> {
        let mut plan = delta_plan(tenant, query).limit(limit);
        plan.skip = skip;
        self.load_all(&plan).await
    }

    async fn count_delta_jobs(&self, tenant: &TenantId, query: &DeltaQuery) -> StoreResult<u64> {
        self.docs().count(&delta_plan(tenant, query)).await
    }

    async fn commit_delta_job(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeltaJob>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn artifact_settings(&self, tenant: &TenantId) -> StoreResult<Option<ArtifactSettings>> {
        self.load(tenant, SETTINGS).await
    }

    async fn commit_artifact_settings(
        &self,
        tenant: &TenantId,
        commit: Stamped<ArtifactSettings>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }
}
