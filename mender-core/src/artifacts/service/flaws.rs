//! Looks whether the storage in use is what artifacts have.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Service, blob_of};
use crate::{
    artifacts::{
        model::{Artifact, Release},
        query::ReleaseQuery,
    },
    ctx::Ctx,
    error::Result,
    id::TenantId,
};

/// How many releases are read at a time.
const PAGE: usize = 100;

/// How many blobs are looked at at a time.
const AT_ONCE: usize = 16;

impl Service {
    /// Returns what of a tenant's artifacts does not fit together.
    pub(crate) async fn flaws(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let mut there = 0;
        self.each_page(tenant, async |releases| {
            let artifacts = releases.iter().flat_map(|release| &release.artifacts);
            there += artifacts.map(|artifact| artifact.size).sum::<u64>();
            Ok(())
        })
        .await?;
        let used = self.storage(&Ctx::system(tenant.clone())).await?.used;
        let differs = i64::try_from(there).is_ok_and(|there| there != used);
        let flaw = || format!("artifacts have {there} bytes, and {used} are counted");
        Ok(differs.then(flaw).into_iter().collect())
    }

    async fn each_page(
        &self,
        tenant: &TenantId,
        mut look: impl AsyncFnMut(Vec<Release>) -> Result<()>,
    ) -> Result<()> {
        let mut skip = 0;
        loop {
            let releases =
                self.store.releases(tenant, &ReleaseQuery::default(), skip, PAGE).await?;
            let count = releases.len();
            skip += count as u64;
            look(releases).await?;
            if count < PAGE {
                return Ok(());
            }
        }
    }

    /// Returns artifacts whose bytes are gone or cut off, unless the tenant brought the store.
    pub(crate) async fn lost_blobs(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let settings = self.store.artifact_settings(tenant).await?;
        if settings.is_some_and(|settings| settings.storage.is_some()) {
            return Ok(Vec::new());
        }
        let mut flaws = Vec::new();
        self.each_page(tenant, async |releases| {
            let artifacts = releases.iter().flat_map(|release| &release.artifacts);
            let found = artifacts.map(|artifact| self.lost_blob(tenant, artifact));
            // The futures borrow what is read: they are gathered before they run.
            let found: Vec<_> = found.collect();
            let found = stream::iter(found).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
            flaws.extend(found.into_iter().flatten());
            Ok(())
        })
        .await?;
        Ok(flaws)
    }

    async fn lost_blob(&self, tenant: &TenantId, artifact: &Artifact) -> Result<Option<String>> {
        let Artifact { id, size, content, .. } = artifact;
        let name = &content.name;
        let there = self.blobs.blob_size(&blob_of(tenant, id)?).await?;
        Ok(match there {
            None => Some(format!("artifact {id} of {name}: its {size} bytes are gone")),
            // Of what is not verified the client said how long it is.
            Some(there) if there != *size && !self.config.skip_verify => {
                Some(format!("artifact {id} of {name} has {size} bytes, and {there} are there"))
            }
            Some(_) => None,
        })
    }
}
