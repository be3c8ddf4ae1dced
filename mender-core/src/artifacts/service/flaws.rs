//! Looks whether the storage in use is what artifacts have.

use super::Service;
use crate::{artifacts::query::ReleaseQuery, ctx::Ctx, error::Result, id::TenantId};

/// How many releases are read at a time.
const PAGE: usize = 100;

impl Service {
    /// Returns what of a tenant's artifacts does not fit together.
    pub(crate) async fn flaws(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let (mut there, mut skip) = (0, 0);
        loop {
            let query = ReleaseQuery::default();
            let releases = self.store.releases(tenant, &query, skip, PAGE).await?;
            let artifacts = releases.iter().flat_map(|release| &release.artifacts);
            there += artifacts.map(|artifact| artifact.size).sum::<u64>();
            skip += releases.len() as u64;
            if releases.len() < PAGE {
                break;
            }
        }
        let used = self.storage(&Ctx::system(tenant.clone())).await?.used;
        let differs = i64::try_from(there).is_ok_and(|there| there != used);
        let flaw = || format!("artifacts have {there} bytes, and {used} are counted");
        Ok(differs.then(flaw).into_iter().collect())
    }
}
