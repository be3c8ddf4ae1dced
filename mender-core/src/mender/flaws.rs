//! Looks whether what is stored fits together.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use super::Mender;
use crate::{
    auth,
    error::Result,
    id::{DeviceId, TenantId},
    inventory,
    jobs::DeadJob,
    lifecycle,
};

/// The jobs by which areas learn of devices, or forget them.
const ABOUT_DEVICES: [&str; 4] =
    ["deliver/inventory", "deliver/lifecycle", lifecycle::FORGET_DEVICE, lifecycle::FORGET_TENANT];

/// How many dead letters are looked at.
const DEAD: usize = 1000;

/// How many devices are read at a time.
const CHUNK: usize = 500;

/// Says what inventory should know of a device, and does not. Where not all is told, only what is of
/// the same version is compared.
fn apart(
    device: &auth::Device,
    known: Option<&inventory::Device>,
    is_told: bool,
) -> Option<String> {
    let (id, status) = (&device.id, device.status);
    let Some(known) = known else {
        let is_missed = is_told && !device.leaving && status == auth::Status::Accepted;
        return is_missed
            .then(|| format!("device {id} is accepted, and inventory does not know it"));
    };
    let is_due = match known.revision.cmp(&device.version.0) {
        Ordering::Less => is_told && !device.leaving,
        Ordering::Equal => true,
        Ordering::Greater => false,
    };
    let differs = is_due && known.status() != Some(status);
    differs.then(|| format!("device {id} is {}, and inventory says otherwise", status.as_str()))
}

impl Mender {
    /// Returns what of all that is stored of a tenant does not fit together, in words: counters
    /// that differ from what they count, devices that are in a deployment twice, more of them
    /// than a limit allows, areas that disagree about a device.
    ///
    /// A server that works as it should has nothing of that, also after it was killed. This reads
    /// everything, and what others change meanwhile may look like a flaw. The bytes of artifacts
    /// are looked at by [`Mender::lost_blobs`].
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
        let mut flaws = Vec::new();
        let look = async |devices| {
            flaws.append(&mut self.unlike_inventory(tenant, devices).await?);
            Ok(())
        };
        let mut counted = self.0.auth.flaws(tenant, look).await?;
        flaws.append(&mut counted);
        flaws.extend(self.strangers(tenant).await?);
        flaws.extend(self.0.artifacts.flaws(tenant).await?);
        flaws.extend(self.0.deployments.flaws(tenant).await?);
        Ok(flaws)
    }

    /// Returns which artifacts of a tenant have bytes that are gone or cut off, in words. Where the
    /// tenant brought a store of its own, nobody looks at that.
    ///
    /// # Errors
    /// Those of the stores.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let mender = mender_core::Mender::in_memory().build()?;
    /// assert!(mender.lost_blobs(&Default::default()).await?.is_empty());
    /// # Ok::<_, mender_core::Error>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn lost_blobs(&self, tenant: &TenantId) -> Result<Vec<String>> {
        self.0.artifacts.lost_blobs(tenant).await
    }

    /// Returns what inventory knows otherwise of these devices.
    async fn unlike_inventory(
        &self,
        tenant: &TenantId,
        mut devices: Vec<auth::Device>,
    ) -> Result<Vec<String>> {
        let known = self.known(tenant, &devices).await?;
        devices.retain(|device| apart(device, known.get(&device.id), true).is_some());
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let suspects = ids(&devices);
        let before = self.0.auth.these(tenant, suspects.clone()).await?;
        let before: HashMap<_, _> = before.into_iter().map(|was| (was.id, was.version)).collect();
        let is_told = self.is_all_told().await?;
        let known = self.known(tenant, &devices).await?;
        let mut devices = self.0.auth.these(tenant, suspects).await?;
        // Of what changed meanwhile inventory may know less, or more.
        devices.retain(|device| before.get(&device.id) == Some(&device.version));
        let flaw = |device: &auth::Device| apart(device, known.get(&device.id), is_told);
        Ok(devices.iter().filter_map(flaw).collect())
    }

    async fn known(
        &self,
        tenant: &TenantId,
        devices: &[auth::Device],
    ) -> Result<HashMap<DeviceId, inventory::Device>> {
        let known = self.0.inventory.by_ids(tenant, ids(devices)).await?;
        Ok(known.into_iter().map(|device| (device.id.clone(), device)).collect())
    }

    /// Returns devices that inventory was told of and that nobody authenticates.
    async fn strangers(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let (mut flaws, mut after) = (Vec::new(), None);
        loop {
            let devices = self.0.inventory.after(tenant, after, CHUNK).await?;
            let Some(last) = devices.last() else { return Ok(flaws) };
            after = Some(last.place);
            let told = devices.into_iter().filter(inventory::Device::is_told);
            let told: Vec<DeviceId> = told.map(|device| device.id).collect();
            let known = self.0.auth.these(tenant, told.clone()).await?;
            let known: HashSet<DeviceId> = known.into_iter().map(|device| device.id).collect();
            let strange: Vec<_> = told.into_iter().filter(|id| !known.contains(id)).collect();
            // One that leaves goes from here first, and comes back for two minutes at most.
            if strange.is_empty() || !self.is_all_told().await? {
                continue;
            }
            let strange = self.0.inventory.by_ids(tenant, strange).await?;
            let flaw = |id| format!("inventory knows device {id}, and nobody authenticates it");
            flaws.extend(strange.into_iter().map(|device| flaw(device.id)));
        }
    }

    /// Tells whether all that areas told each other of devices has arrived.
    async fn is_all_told(&self) -> Result<bool> {
        let kinds = ABOUT_DEVICES.map(str::to_owned);
        let jobs = self.jobs();
        let is_about = |dead: &DeadJob| ABOUT_DEVICES.contains(&dead.kind.as_str());
        Ok(self.undelivered().await? == 0
            && jobs.next_due(&kinds).await?.is_none()
            && !jobs.dead_jobs(DEAD).await?.iter().any(is_about))
    }
}

fn ids(devices: &[auth::Device]) -> Vec<DeviceId> {
    devices.iter().map(|device| device.id.clone()).collect()
}
