use crate::{
    artifacts::{
        model::{Artifact, ArtifactId, ArtifactSettings, DeltaJob, Release, Retired, Upload},
        query::{ArtifactQuery, DeltaQuery, ReleaseKind, ReleaseQuery},
    },
    commit::Stamped,
    id::TenantId,
    port,
};

port! {
    /// Keeps releases with their artifacts, and artifacts on their way.
    ///
    /// Releases are unique by name. The ids of artifacts are unique because callers make them so.
    pub trait Store {
        /// Returns a release.
        async fn release(&self, tenant: &TenantId, name: &str) -> Option<Release>;

        /// Returns the release that has this artifact.
        async fn release_of(&self, tenant: &TenantId, id: &ArtifactId) -> Option<Release>;

        /// Returns releases in the order asked for: `limit` of them after the first `skip`.
        async fn releases(
            &self,
            tenant: &TenantId,
            query: &ReleaseQuery,
            skip: u64,
            limit: usize,
        ) -> Vec<Release>;

        /// Counts releases.
        async fn count_releases(&self, tenant: &TenantId, query: &ReleaseQuery) -> u64;

        /// Returns artifacts in the order asked for: `limit` of them after the first `skip`.
        async fn artifacts(
            &self,
            tenant: &TenantId,
            query: &ArtifactQuery,
            skip: u64,
            limit: usize,
        ) -> Vec<Artifact>;

        /// Counts artifacts.
        async fn count_artifacts(&self, tenant: &TenantId, query: &ArtifactQuery) -> u64;

        /// Returns the tags that any release has, or any of a kind, each once, in order.
        async fn release_tags(&self, tenant: &TenantId, of: Option<ReleaseKind>) -> Vec<String>;

        /// Stores a change of a release, its charges and its events, or nothing.
        async fn commit_release(&self, tenant: &TenantId, commit: Stamped<Release>) -> ();

        /// Returns an artifact that left its release.
        async fn retired(&self, tenant: &TenantId, id: &ArtifactId) -> Option<Retired>;

        /// Returns artifacts that left their releases, by id, those after `after`.
        async fn walk_retired(
            &self,
            tenant: &TenantId,
            after: Option<&ArtifactId>,
            limit: usize,
        ) -> Vec<Retired>;

        /// Stores a change of an artifact that left its release, or nothing.
        async fn commit_retired(&self, tenant: &TenantId, commit: Stamped<Retired>) -> ();

        /// Returns an artifact on its way.
        async fn upload(&self, tenant: &TenantId, id: &ArtifactId) -> Option<Upload>;

        /// Stores a change of an artifact on its way, or nothing.
        async fn commit_upload(&self, tenant: &TenantId, commit: Stamped<Upload>) -> ();

        /// Returns the job that makes a delta for this [pair](DeltaJob::pair).
        async fn delta_job(&self, tenant: &TenantId, pair: &str) -> Option<DeltaJob>;

        /// Returns jobs that make deltas in the order asked for: `limit` of them after the first
        /// `skip`.
        async fn delta_jobs(
            &self,
            tenant: &TenantId,
            query: &DeltaQuery,
            skip: u64,
            limit: usize,
        ) -> Vec<DeltaJob>;

        /// Counts jobs that make deltas.
        async fn count_delta_jobs(&self, tenant: &TenantId, query: &DeltaQuery) -> u64;

        /// Stores a change of a job that makes a delta, or nothing.
        async fn commit_delta_job(&self, tenant: &TenantId, commit: Stamped<DeltaJob>) -> ();

        /// Returns what is kept for a tenant.
        async fn artifact_settings(&self, tenant: &TenantId) -> Option<ArtifactSettings>;

        /// Stores a change of what is kept for a tenant, or nothing.
        async fn commit_artifact_settings(
            &self,
            tenant: &TenantId,
            commit: Stamped<ArtifactSettings>,
        ) -> ();
    }
}
