//! Looks whether what is stored fits together.

use std::collections::HashMap;

use super::Mender;
use crate::{error::Result, id::TenantId};

impl Mender {
    /// Returns what of all that is stored of a tenant does not fit together, in words: counters
    /// that differ from what they count, devices that are in a deployment twice, more of them
    /// than a limit allows, areas that disagree about a device.
    ///
    /// A server that works as it should has nothing of that, also after it was killed. This reads
    /// everything, and what others change meanwhile may look like a flaw.
    ///
    /// # Errors
    /// Those of the stores.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let mender = mender_core::Mender::in_memory().build()?;
    /// assert!(mender.flaws(&Default::default()).await?.is_empty());
    /// # Ok::<_, mender_core::Error>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn flaws(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let mut apart = Vec::new();
        let look = async |devices: Vec<crate::auth::Device>| {
            let ids = devices.iter().map(|device| device.id.clone()).collect();
            let known = self.0.inventory.by_ids(tenant, ids).await?;
            let known: HashMap<_, _> = known.iter().map(|device| (&device.id, device)).collect();
            for device in &devices {
                let Some(known) = known.get(&device.id) else { continue };
                let is_same = known.revision == device.version.0;
                if is_same && known.status() != Some(device.status) {
                    let (id, status) = (&device.id, device.status.as_str());
                    apart.push(format!("device {id} is {status}, and inventory says otherwise"));
                }
            }
            Ok(())
        };
        let mut flaws = self.0.auth.flaws(tenant, look).await?;
        flaws.append(&mut apart);
        flaws.extend(self.0.artifacts.flaws(tenant).await?);
        flaws.extend(self.0.deployments.flaws(tenant).await?);
        Ok(flaws)
    }
}
