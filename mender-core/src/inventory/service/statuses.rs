//! Statuses of device authentication, as they arrive.

use std::sync::Arc;

use crate::{
    auth::Status,
    commit::Commit,
    ctx::Ctx,
    env::Time,
    error::{Error, Result},
    id::DeviceId,
    inventory::{
        logic::{self, Known},
        model::Facts,
        service::Service,
    },
};

/// What became of statuses that were told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statuses {
    /// How many devices have the status now, or were known to have it.
    pub matched: u64,
    /// How many of them were not known before.
    pub created: u64,
}

impl Service {
    /// Sets the status of devices, each with the revision that it is of. Of a single device,
    /// old news is an error; of several, it is passed over.
    ///
    /// # Errors
    /// `Conflict` for old news about a single device, and those of the store.
    pub async fn set_statuses(
        &self,
        ctx: &Ctx,
        status: Status,
        devices: &[(DeviceId, i64)],
    ) -> Result<Statuses> {
        let set = |(id, revision): &(DeviceId, i64)| {
            let (id, revision) = (id.clone(), *revision);
            async move { self.set_status(ctx, &id, status, revision).await }
        };
        let told = self.each(devices, set).await?;
        if let [None] = told[..] {
            return Err(Error::conflict("write conflict"));
        }
        let is_new: Vec<bool> = told.into_iter().flatten().collect();
        let created = is_new.iter().filter(|new| **new).count() as u64;
        // Compat: one that is created counts as matched where it is alone.
        let matched = is_new.len() as u64 - if devices.len() == 1 { 0 } else { created };
        let created = if devices.len() == 1 { 0 } else { created };
        Ok(Statuses { matched, created })
    }

    /// Sets one status; tells whether the device is new; `None`: old news.
    async fn set_status(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        status: Status,
        revision: i64,
    ) -> Result<Option<bool>> {
        let told = Arc::new(std::sync::Mutex::new(None));
        let decide = |known: Known| {
            let is_new = matches!(known, Known::New(_));
            let commit = logic::set_status(known, status, revision);
            let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *told = commit.is_some().then_some(is_new);
            Ok(commit.unwrap_or_else(Commit::nothing))
        };
        self.change_known(ctx, id, decide).await?;
        let told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(*told)
    }

    /// Forgets devices; returns how many were known.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_all(&self, ctx: &Ctx, ids: &[DeviceId]) -> Result<u64> {
        let remove = |id: &DeviceId| {
            let id = id.clone();
            async move { self.remove_stored(ctx, &id).await }
        };
        let known = self.each(ids, remove).await?;
        Ok(known.into_iter().filter(|known| *known).count() as u64)
    }

    /// Copies what device authentication knows of a device, and when it was in contact.
    pub(crate) async fn learn(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        facts: &Facts,
        seen: Option<Time>,
    ) -> Result<()> {
        self.change_known(ctx, id, |known| Ok(logic::learn(known, facts, seen))).await
    }
}
