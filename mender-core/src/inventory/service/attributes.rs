//! What is said about a device: by itself, by users, by the rest of the system.

use crate::{
    ctx::Ctx,
    env::Time,
    error::{Error, Result},
    id::DeviceId,
    inventory::{
        logic::{self, How, Known},
        model::{AttributeName, Device, NewAttribute},
        service::Service,
    },
};

/// Checks attributes, and gives them their scope.
fn checked(scope: Option<&str>, new: Vec<NewAttribute>) -> Result<Vec<NewAttribute>> {
    let mut new = new;
    for attribute in &mut new {
        if let Some(scope) = scope {
            scope.clone_into(&mut attribute.name.scope);
        }
        let wrong = |(field, what)| Error::invalid(field, what);
        attribute.check().map_err(wrong)?;
    }
    Ok(new)
}

impl Service {
    /// Stores what a device reports; scopes that are given are not looked at.
    ///
    /// # Errors
    /// `Invalid` for attributes that break a rule and above the limit, and those of the store.
    pub async fn report(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        new: Vec<NewAttribute>,
        how: How,
    ) -> Result<()> {
        let new = checked(Some(AttributeName::INVENTORY), new)?;
        let limit = self.config.max_attributes;
        let now = || self.kernel.env().now();
        self.change_known(ctx, id, |known| logic::report(known, &new, how, limit, now())).await
    }

    /// Removes everything that a device reported. Unknown devices are no error.
    ///
    /// # Errors
    /// Those of the store, and `Forbidden` for a device that the caller may not see.
    pub async fn clear(&self, ctx: &Ctx, id: &DeviceId) -> Result<()> {
        let now = self.kernel.env().now();
        let decide = |was: Option<Device>| {
            let commit =
                was.map(|was| logic::report(Known::Stored(was), &[], How::Replace, 0, now));
            Ok((commit.unwrap_or_else(|| Ok(crate::commit::Commit::nothing()))?, ()))
        };
        self.change_stored(ctx, id, decide).await
    }

    /// Sets tags. `seen`: only where the tags are those with this ETag.
    ///
    /// # Errors
    /// `Invalid` for tags that break a rule and above the limit, `Conflict` for another ETag,
    /// `Forbidden` for a device that the caller may not see, and those of the store.
    pub async fn tag(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        new: Vec<NewAttribute>,
        how: How,
        seen: Option<&str>,
    ) -> Result<()> {
        let new = checked(Some(AttributeName::TAGS), new)?;
        let (limit, now) = (self.config.max_tags, self.kernel.env().now());
        let decide = |was| {
            let etag = self.kernel.env().uuid();
            Ok((logic::tag(was, &new, how, limit, seen, etag, now)?, ()))
        };
        self.change_stored(ctx, id, decide).await
    }

    /// Sets attributes of any scope, as parts of the system do. `unmodified`: only where the
    /// device did not report after this time.
    ///
    /// # Errors
    /// `Invalid` for attributes that break a rule, `Conflict` where the device reported, and
    /// those of the store.
    pub async fn write(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        new: Vec<NewAttribute>,
        unmodified: Option<Time>,
    ) -> Result<()> {
        let new = checked(None, new)?;
        self.change_known(ctx, id, |known| logic::write(known, &new, unmodified)).await
    }

    /// Records a device with attributes, or adds them to one that is known.
    ///
    /// # Errors
    /// `Invalid` for attributes that break a rule, and those of the store.
    pub async fn create(&self, ctx: &Ctx, id: &DeviceId, new: Vec<NewAttribute>) -> Result<()> {
        let new = checked(None, new)?;
        self.change_known(ctx, id, |known| Ok(logic::create(known, &new))).await
    }

    /// Notes how many alerts a device has.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn set_alerts(&self, ctx: &Ctx, id: &DeviceId, count: u64) -> Result<()> {
        self.change_known(ctx, id, |known| Ok(logic::set_alerts(known, count))).await
    }

    /// Forgets a device; tells whether it was known.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove(&self, ctx: &Ctx, id: &DeviceId) -> Result<bool> {
        self.remove_stored(ctx, id).await
    }
}
