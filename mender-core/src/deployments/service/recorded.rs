//! The records of many deployments, for reports.

use std::{collections::HashMap, sync::Arc};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{iter, try_unfold},
};

use super::{Releases, Service, Streamed, read, stream::singly};
use crate::{
    ctx::Ctx,
    deployments::{
        model::{CHUNK, Deployment, DeploymentId, DeviceDeployment, Stage},
        query::DeploymentQuery,
        service::read::ShownDevice,
        store::Store,
    },
    error::Result,
    id::{DeviceId, TenantId},
};

/// How many deployments are read at a time.
const PAGE: usize = 100;

/// Records of one deployment.
type Recorded = (Arc<Deployment>, Vec<ShownDevice>);

/// Which deployments are meant.
struct Walk {
    store: Arc<dyn Store>,
    releases: Arc<dyn Releases>,
    tenant: TenantId,
    query: DeploymentQuery,
    may_fit: Box<dyn Fn(&Deployment) -> bool + Send + Sync>,
}

impl Service {
    /// Returns the records of the deployments that may fit, those that were reset as well; with
    /// devices, only theirs. Those of deployments that the user may not see are left out.
    pub(crate) fn recorded(
        &self,
        ctx: &Ctx,
        devices: Option<Vec<DeviceId>>,
        deployments: Option<Vec<DeploymentId>>,
        may_fit: impl Fn(&Deployment) -> bool + Send + Sync + 'static,
    ) -> Streamed<Recorded> {
        let groups = ctx.scope.groups().map(<[String]>::to_vec);
        let walk = Arc::new(Walk {
            store: self.store.clone(),
            releases: self.releases.clone(),
            tenant: ctx.tenant.clone(),
            query: DeploymentQuery { ids: deployments, groups, ..DeploymentQuery::default() },
            may_fit: Box::new(may_fit),
        });
        let Some(devices) = devices else {
            let deployments = walk.deployments();
            return deployments.map_ok(move |one| walk.of_deployment(one)).try_flatten().boxed();
        };
        iter(devices).flat_map(move |device| walk.of_device(device)).boxed()
    }
}

impl Walk {
    fn fits(&self, deployment: &Deployment) -> bool {
        self.query.fits(deployment) && (self.may_fit)(deployment)
    }

    /// Returns the deployments, the newest first.
    fn deployments(self: &Arc<Self>) -> Streamed<Deployment> {
        let walk = Arc::clone(self);
        let next = move |(skip, last): (u64, Option<_>)| {
            let walk = Arc::clone(&walk);
            async move {
                let mut found =
                    walk.store.deployments(&walk.tenant, &walk.query, skip, PAGE).await?;
                let Some(oldest) = found.last().map(|oldest| oldest.created) else {
                    return Ok(None);
                };
                let read = found.len() as u64;
                // Where new ones were created meanwhile, the page begins with what was seen.
                found.retain(|one| last.is_none_or(|last| one.created < last) && walk.fits(one));
                Ok(Some((found, (skip + read, Some(oldest)))))
            }
        };
        singly(try_unfold((0, None), next))
    }

    async fn show(
        &self,
        of: &[Deployment],
        mut rows: Vec<DeviceDeployment>,
    ) -> Result<Vec<ShownDevice>> {
        rows.retain(|row| row.stage == Stage::Record);
        read::show_devices(&*self.releases, &self.tenant, of, rows).await
    }

    /// Returns the records of a deployment, by device.
    fn of_deployment(self: &Arc<Self>, deployment: Deployment) -> Streamed<Recorded> {
        let (walk, deployment) = (Arc::clone(self), Arc::new(deployment));
        let next = move |after: Option<String>| {
            let (walk, of) = (Arc::clone(&walk), Arc::clone(&deployment));
            async move {
                let after = after.as_deref();
                let rows = walk.store.rows(&walk.tenant, &of.id, after, CHUNK).await?;
                let Some(last) = rows.last().map(|row| row.key.clone()) else {
                    return Ok(None);
                };
                let devices = walk.show(std::slice::from_ref(&*of), rows).await?;
                Ok(Some(((of, devices), Some(last))))
            }
        };
        try_unfold(None, next).boxed()
    }

    /// Returns the records of a device, the newest first.
    fn of_device(self: &Arc<Self>, device: DeviceId) -> Streamed<Recorded> {
        let walk = Arc::clone(self);
        let next = move |skip: u64| {
            let (walk, device) = (Arc::clone(&walk), device.clone());
            async move {
                let rows = walk.store.history(&walk.tenant, &device, &[], skip, PAGE).await?;
                if rows.is_empty() {
                    return Ok(None);
                }
                let read = rows.len() as u64;
                let ids: Vec<DeploymentId> =
                    rows.iter().map(|row| row.deployment.clone()).collect();
                let mut known = walk.store.deployments_by_id(&walk.tenant, &ids).await?;
                known.retain(|deployment| walk.fits(deployment));
                let devices = walk.show(&known, rows).await?;
                let known: HashMap<DeploymentId, Arc<Deployment>> =
                    known.into_iter().map(|one| (one.id.clone(), Arc::new(one))).collect();
                let with = |device: ShownDevice| {
                    let of = known.get(&device.row.deployment)?;
                    Some((Arc::clone(of), vec![device]))
                };
                let found = devices.into_iter().filter_map(with).collect();
                Ok(Some((found, skip + read)))
            }
        };
        singly(try_unfold(0, next))
    }
}
