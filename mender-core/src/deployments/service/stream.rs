//! What may be a million devices long, as streams: a few parts at a time are in memory.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use futures_core::Stream;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{iter, try_unfold},
};

use super::{Service, read};
use crate::{
    ctx::Ctx,
    deployments::{
        model::{CHUNK, Deployment, DeploymentId, DeviceDeployment, DeviceIds, Targets},
        service::read::ShownDevice,
    },
    error::{Error, Result, StoreError},
    id::TenantId,
};

/// How many parts of targets are read at a time.
pub(super) const PARTS: usize = 32;

/// What comes piece by piece. An error is the last piece: what came before is not all there is.
pub type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// Some of the devices that a deployment names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    /// Which of the deployments it is, from 0.
    pub nth: usize,
    /// The devices.
    pub devices: DeviceIds,
}

/// Returns as single pieces what comes several at a time.
pub(super) fn singly<T: Send + 'static>(
    found: impl Stream<Item = Result<Vec<T>>> + Send + 'static,
) -> Streamed<T> {
    found.map_ok(|found| iter(found.into_iter().map(Ok))).try_flatten().boxed()
}

impl Service {
    /// Returns the devices that a deployment was created for, in the order given.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, and those of the store.
    pub async fn targets(&self, ctx: &Ctx, id: &DeploymentId) -> Result<Streamed<DeviceIds>> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        Ok(self.parts(&ctx.tenant, &deployment.ticket))
    }

    /// Returns the devices of a ticket.
    pub(super) fn parts(&self, tenant: &TenantId, ticket: &str) -> Streamed<DeviceIds> {
        let from = (self.store.clone(), tenant.clone(), ticket.to_owned());
        singly(try_unfold(None::<String>, move |after| {
            let (store, tenant, ticket) = from.clone();
            async move {
                let found = store.targets_of(&tenant, &ticket, after.as_deref(), PARTS).await?;
                let last = found.last().map(|last| last.key.clone());
                let found: Vec<_> = found.into_iter().map(|part| part.devices).collect();
                Ok(last.map(|last| (found, Some(last))))
            }
        }))
    }

    /// Returns the devices that deployments name, those of the first one first; others than
    /// [name devices](Deployment::names_devices) have none.
    pub fn named<'a>(
        &self,
        ctx: &Ctx,
        deployments: impl IntoIterator<Item = &'a Deployment>,
    ) -> Streamed<Named> {
        let parts = |(nth, deployment): (usize, &Deployment)| {
            let parts = if deployment.names_devices() { deployment.max_devices } else { 0 };
            let parts = usize::try_from(parts).unwrap_or(usize::MAX).div_ceil(CHUNK);
            let ticket = deployment.ticket.clone();
            (0..parts).map(move |n| (nth, Targets::key(&ticket, n)))
        };
        let keys: Vec<_> = deployments.into_iter().enumerate().map(parts).collect();
        let mut keys = keys.into_iter().flatten();
        let (store, tenant) = (self.store.clone(), ctx.tenant.clone());
        let steps = std::iter::from_fn(move || {
            let keys: Vec<(usize, String)> = keys.by_ref().take(PARTS).collect();
            (!keys.is_empty()).then_some(keys)
        });
        let read = move |keys: Vec<(usize, String)>| {
            let (store, tenant) = (store.clone(), tenant.clone());
            async move {
                let wanted: Vec<String> = keys.iter().map(|(_, key)| key.clone()).collect();
                let found = store.targets(&tenant, &wanted).await?.into_iter();
                let found: HashMap<String, DeviceIds> =
                    found.map(|part| (part.key, part.devices)).collect();
                let part = |(nth, key): (usize, String)| {
                    let missing = || Error::from(StoreError::corrupt("no targets", key.as_str()));
                    // The same deployment may be there twice.
                    let devices = found.get(&key).ok_or_else(missing)?.clone();
                    Ok(Named { nth, devices })
                };
                keys.into_iter().map(part).collect::<Result<Vec<Named>>>()
            }
        };
        singly(iter(steps).then(read))
    }

    /// Returns all devices of a deployment that have a record, in no order.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, and those of the store.
    pub async fn all_devices(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
    ) -> Result<Streamed<Vec<ShownDevice>>> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        let from = (self.store.clone(), self.releases.clone(), ctx.tenant.clone());
        let deployment = Arc::new([deployment]);
        let next = move |after: Option<String>| {
            let ((store, releases, tenant), of) = (from.clone(), deployment.clone());
            async move {
                // By device: what changes its status meanwhile is neither left out nor told twice.
                let rows = store.rows(&tenant, &of[0].id, after.as_deref(), CHUNK).await?;
                let Some(last) = rows.last().map(|last| last.key.clone()) else {
                    return Ok(None);
                };
                let rows = rows.into_iter().filter(DeviceDeployment::is_listed).collect();
                let shown = read::show_devices(&*releases, &tenant, &of[..], rows).await?;
                Ok(Some((shown, Some(last))))
            }
        };
        Ok(try_unfold(None, next).boxed())
    }
}
