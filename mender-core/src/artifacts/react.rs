//! What others are told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    artifacts::{
        model::{Artifact, ArtifactId},
        service::{DeltaRequest, DeltaState, Service},
    },
    blob::Link,
    ctx::Ctx,
    deployments::{Delta, DeploymentId, Releases, Request},
    error::{Kind, Result},
    id::TenantId,
};

#[async_trait]
impl Releases for Service {
    async fn of_release(&self, tenant: &TenantId, name: &str) -> Result<Vec<Artifact>> {
        self.artifacts_of(tenant, name).await
    }

    async fn kept(&self, tenant: &TenantId, name: &str) -> Result<Arc<[Artifact]>> {
        self.kept_artifacts_of(tenant, name).await
    }

    async fn by_id(
        &self,
        tenant: &TenantId,
        ids: &[ArtifactId],
    ) -> Result<BTreeMap<ArtifactId, Artifact>> {
        let mut found = BTreeMap::new();
        for id in ids {
            match self.known(tenant, id).await {
                Ok(artifact) => {
                    found.insert(id.clone(), artifact);
                }
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn is_visible(&self, ctx: &Ctx, name: &str) -> Result<bool> {
        let found = self.find(ctx, name, None).await?;
        Ok(found.is_some() && !self.artifacts_of(&ctx.tenant, name).await?.is_empty())
    }

    async fn delta(
        &self,
        ctx: &Ctx,
        target: &Artifact,
        request: &Request,
        deployment: &DeploymentId,
        looks: bool,
    ) -> Result<Delta> {
        let (target, provides) = (&target.id, &request.provides);
        let deployment = Some(deployment.as_str());
        let asked = DeltaRequest { target, provides, deployment, looks };
        Ok(match Self::delta(self, ctx, asked).await? {
            DeltaState::Ready(id) => Delta::Ready(id),
            DeltaState::Generating(_) | DeltaState::Absent => Delta::InMaking,
            DeltaState::NotPossible(_) | DeltaState::Failed(_) => Delta::None,
        })
    }

    async fn link(
        &self,
        tenant: &TenantId,
        artifact: &Artifact,
        valid_for: Duration,
        base: &str,
    ) -> Result<Link> {
        self.link_to(tenant, artifact, valid_for, base).await
    }
}
