//! What users do with devices: see them, decide about their keys, decommission them.

use crate::{
    auth::{
        logic,
        model::{AuthSetId, Device, DeviceFilter, ExternalId, Status},
        service::Service,
    },
    ctx::Ctx,
    env::Time,
    error::{Error, Kind, Result},
    id::DeviceId,
    page::{Page, PageRequest},
};

/// A device as it is shown: with its last contact.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceView {
    /// The device.
    pub device: Device,
    /// When it was last in contact.
    pub seen: Option<Time>,
}

impl Service {
    /// Returns a device.
    ///
    /// # Errors
    /// `NotFound` where there is none that the caller may see.
    pub async fn device(&self, ctx: &Ctx, id: &DeviceId) -> Result<DeviceView> {
        let device = self.load(ctx, id).await?;
        let views = self.with_contacts(ctx, vec![device]).await?;
        views.into_iter().next().ok_or_else(|| Error::not_found("device"))
    }

    /// Returns devices by the name of their status, then by id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn devices(
        &self,
        ctx: &Ctx,
        filter: DeviceFilter,
        page: PageRequest,
    ) -> Result<Page<DeviceView>> {
        let filter = scoped(ctx, filter);
        let limit = page.size as usize + 1;
        let devices = self.store.devices(&ctx.tenant, &filter, page.skip(), limit).await?;
        let page = Page::of(devices, page);
        Ok(Page { items: self.with_contacts(ctx, page.items).await?, more: page.more })
    }

    /// Counts devices.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count(&self, ctx: &Ctx, status: Option<Status>) -> Result<u64> {
        let statuses = status.into_iter().collect();
        let filter = scoped(ctx, DeviceFilter { statuses, ..DeviceFilter::default() });
        Ok(self.store.count_devices(&ctx.tenant, &filter).await?)
    }

    async fn with_contacts(&self, ctx: &Ctx, devices: Vec<Device>) -> Result<Vec<DeviceView>> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id.clone()).collect();
        let stored = self.store.seen(&ctx.tenant, &ids).await?;
        let stored: std::collections::HashMap<DeviceId, Time> = stored.into_iter().collect();
        let view = |device: Device| {
            let recent = self.contacts.last(&ctx.tenant, &device.id);
            DeviceView { seen: recent.max(stored.get(&device.id).copied()), device }
        };
        Ok(devices.into_iter().map(view).collect())
    }

    /// Adds the last contact to a device.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn view(&self, ctx: &Ctx, device: Device) -> Result<DeviceView> {
        let views = self.with_contacts(ctx, vec![device]).await?;
        views.into_iter().next().ok_or_else(|| Error::internal("no view"))
    }

    /// Returns the status of an auth set.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn status_of_set(&self, ctx: &Ctx, id: &AuthSetId) -> Result<Status> {
        let device = self.store.device_of_set(&ctx.tenant, id).await?;
        let device = device.filter(|device| ctx.scope.has_group(device.group.as_deref()));
        let status = device.and_then(|device| device.set(id).map(|set| set.status));
        status.ok_or_else(|| Error::not_found("auth set"))
    }

    /// Decides about an auth set: accepted, rejected or pending.
    ///
    /// # Errors
    /// `NotFound("auth set")`, `Invalid { device }` where the set is another device's,
    /// `Conflict` where it is preauthorized, `LimitReached` where no device may be accepted.
    #[tracing::instrument(name = "auth.decide", skip_all)]
    pub async fn decide(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        set: &AuthSetId,
        status: Status,
    ) -> Result<()> {
        let now = self.kernel.env().now();
        self.kernel
            .retry(|| async {
                let owner = self.owner(ctx, set).await?;
                if owner.id != *device {
                    return Err(Error::invalid("device", "the auth set is another device's"));
                }
                self.commit(ctx, logic::set_status(&owner, set, status, now)?).await
            })
            .await
    }

    async fn owner(&self, ctx: &Ctx, set: &AuthSetId) -> Result<Device> {
        let device = self.store.device_of_set(&ctx.tenant, set).await?;
        device
            .filter(|device| ctx.scope.has_group(device.group.as_deref()))
            .ok_or_else(|| Error::not_found("auth set"))
    }

    /// Deletes an auth set; a device that was only preauthorized goes with its last one.
    ///
    /// # Errors
    /// `NotFound` where the device has no such set.
    #[tracing::instrument(name = "auth.delete_set", skip_all)]
    pub async fn delete_set(&self, ctx: &Ctx, device: &DeviceId, set: &AuthSetId) -> Result<()> {
        let now = self.kernel.env().now();
        self.change(ctx, device, |device| logic::delete_set(device, set, now)).await
    }

    /// Decommissions a device: it is shut out now, and forgotten everywhere within seconds.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    #[tracing::instrument(name = "auth.decommission", skip_all)]
    pub async fn decommission(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        let now = self.kernel.env().now();
        self.change(ctx, device, |device| Ok(logic::leave(device, now))).await
    }

    /// Removes a device from this area, as the last step of decommissioning.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    #[tracing::instrument(name = "auth.remove", skip_all)]
    pub async fn remove(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        let answer = self.change(ctx, device, |device| Ok(logic::remove(device))).await;
        if answer.as_ref().is_err_and(|error| error.kind != Kind::NotFound) {
            return answer;
        }
        self.contacts.forget(&ctx.tenant, device);
        self.store.forget_seen(&ctx.tenant, device).await?;
        answer
    }

    /// Notes whether other areas were told to prepare for the device.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn set_provisioned(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        provisioned: bool,
    ) -> Result<()> {
        let now = self.kernel.env().now();
        self.change(ctx, device, |device| Ok(logic::provision(device, provisioned, now))).await
    }

    /// Notes the static group of a device.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn set_group(&self, ctx: &Ctx, device: &DeviceId, group: Option<&str>) -> Result<()> {
        self.change(ctx, device, |device| Ok(logic::group(device, group))).await
    }

    /// Notes what a device is known as in a cloud provider's hub.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn set_external(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        external: &ExternalId,
    ) -> Result<()> {
        let now = self.kernel.env().now();
        let decide = |device: &Device| Ok(logic::external(device, external.clone(), now));
        self.change(ctx, device, decide).await
    }

    /// Makes a device a test device, or an ordinary one.
    ///
    /// # Errors
    /// `NotFound`, `LimitReached` for too many test devices, `TooMany` for too many changes.
    #[tracing::instrument(name = "auth.flag", skip_all)]
    pub async fn flag(&self, ctx: &Ctx, device: &DeviceId, test: bool) -> Result<()> {
        let now = self.kernel.env().now();
        let was = self.load(ctx, device).await?;
        if was.test == test {
            return Ok(());
        }
        self.change_tenant(ctx, |tenant| logic::count_flag_change(tenant, now)).await?;
        self.change(ctx, device, |device| Ok(logic::flag(device, test, now))).await
    }
}

fn scoped(ctx: &Ctx, mut filter: DeviceFilter) -> DeviceFilter {
    filter.groups = ctx.scope.groups().map(<[String]>::to_vec);
    filter
}
