//! Static groups.

use std::sync::Arc;

use crate::{
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    id::{DeviceId, TenantId},
    index::Span,
    inventory::{
        entries, logic,
        model::{AttributeName, Device, GroupName, name},
        query::Search,
        service::{CHUNK, Service, has_status, in_groups, scoped},
    },
    page::PageRequest,
};

/// How many devices were named and known, and how many of them are in another group now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Moved {
    /// Devices that are known, and were in the group where that counts.
    pub matched: u64,
    /// Devices whose group changed.
    pub updated: u64,
}

/// How many names of groups are read at a time.
const NAMES: usize = 10_000;

/// What became of one device: whether it counts, and whether its group changed.
type Outcome = (bool, bool);

fn sum(outcomes: &[Outcome]) -> Moved {
    let count = |pick: fn(&&Outcome) -> bool| outcomes.iter().filter(pick).count() as u64;
    Moved { matched: count(|o| o.0), updated: count(|o| o.1) }
}

fn unique(ids: &[DeviceId]) -> Vec<DeviceId> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids.dedup();
    ids
}

impl Service {
    /// Moves a device to a group.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for a device that the caller may not see, and those of the store.
    pub async fn set_group(&self, ctx: &Ctx, id: &DeviceId, group: &GroupName) -> Result<()> {
        let decide = |was: Option<Device>| {
            let was = was.ok_or_else(|| Error::not_found("device"))?;
            Ok((logic::regroup(&was, Some(group)), ()))
        };
        self.change_stored(ctx, id, decide).await
    }

    /// Takes a device out of a group.
    ///
    /// # Errors
    /// `NotFound` for a device that is not known or not in the group, `Forbidden` for one that
    /// the caller may not see, and those of the store.
    pub async fn unset_group(&self, ctx: &Ctx, id: &DeviceId, group: &str) -> Result<()> {
        match self.leave_group(ctx, id, group).await? {
            (true, _) => Ok(()),
            (false, _) => Err(Error::not_found("device")),
        }
    }

    async fn leave_group(&self, ctx: &Ctx, id: &DeviceId, group: &str) -> Result<Outcome> {
        let decide = |was: Option<Device>| {
            let was = was.filter(|was| was.group() == Some(group));
            let is_in = was.is_some();
            let commit = was.map(|was| logic::regroup(&was, None));
            Ok((commit.unwrap_or_else(Commit::nothing), (is_in, is_in)))
        };
        self.change_stored(ctx, id, decide).await
    }

    /// Returns the names of the groups that a device is in, or one of this status, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn groups(&self, ctx: &Ctx, status: Option<&str>) -> Result<Vec<String>> {
        let prefix = entries::prefix(&AttributeName::system(name::GROUP));
        let within = entries::any_element(&prefix);
        let mut texts = Vec::new();
        if let Some(status) = status {
            let search = scoped(ctx, Search::all()).and(has_status(status));
            let tally = self.tally(&ctx.tenant, &search, within, usize::MAX).await?;
            texts.extend(tally.top.iter().map(|(text, _)| text.clone()));
            texts.sort();
        } else {
            let known = self.all_texts(&ctx.tenant, &within).await?;
            texts.clone_from(&known);
        }
        let names = texts.iter().filter_map(|text| entries::text_of(&text[entries::PREFIX..]));
        Ok(names.filter(|name| ctx.scope.has_group(Some(name))).collect())
    }

    /// Returns all texts in a span. Those of stores that look at every device for it may be two
    /// seconds old.
    async fn all_texts(&self, tenant: &TenantId, within: &Span) -> Result<Arc<Vec<String>>> {
        let find_out = async || {
            let mut texts: Vec<String> = Vec::new();
            loop {
                let after = texts.last().map(String::as_str);
                let more = self.store.inventory_texts(tenant, within, after, NAMES).await?;
                let is_last = more.len() < NAMES;
                texts.extend(more);
                if is_last {
                    return Ok(Arc::new(texts));
                }
            }
        };
        let key = (tenant.clone(), within.clone());
        self.texts.get(&key, find_out, async || self.is_large(tenant).await).await
    }

    /// Returns a page of the devices in a group, and how many there are.
    ///
    /// # Errors
    /// `NotFound` where no device is in the group, and those of the store.
    pub async fn group_devices(
        &self,
        ctx: &Ctx,
        group: &str,
        page: PageRequest,
    ) -> Result<(Vec<DeviceId>, u64)> {
        let search = scoped(ctx, Search::all()).and(in_groups(&[group.to_owned()]));
        let total = self.count(&ctx.tenant, &search).await?;
        if total == 0 {
            return Err(Error::not_found("group"));
        }
        let size = page.size as usize;
        let devices = self.store.search_inventory(&ctx.tenant, &search, page.skip(), size).await?;
        Ok((devices.into_iter().map(|device| device.id).collect(), total))
    }

    /// Moves those of the devices that are known to a group.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not see one of them, and those of the store.
    pub async fn move_to_group(
        &self,
        ctx: &Ctx,
        group: &GroupName,
        ids: &[DeviceId],
    ) -> Result<Moved> {
        let decide = |was: Option<Device>| {
            let Some(was) = was else {
                return Ok((Commit::nothing(), (false, false)));
            };
            let is_other = was.group() != Some(group.as_str());
            Ok((logic::regroup(&was, Some(group)), (true, is_other)))
        };
        let work = |id: DeviceId| async move { self.change_stored(ctx, &id, decide).await };
        Ok(sum(&self.each(unique(ids), work).await?))
    }

    /// Takes devices out of a group; those that are not in it do not count.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not see one of them, and those of the store.
    pub async fn remove_from_group(
        &self,
        ctx: &Ctx,
        group: &GroupName,
        ids: &[DeviceId],
    ) -> Result<Moved> {
        let group = group.as_str();
        let work = |id: DeviceId| async move { self.leave_group(ctx, &id, group).await };
        Ok(sum(&self.each(unique(ids), work).await?))
    }

    /// Takes all devices out of a group, which is no more then. Cut off, it can be repeated.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not see the group, and those of the store.
    pub async fn clear_group(&self, ctx: &Ctx, group: &GroupName) -> Result<Moved> {
        if !ctx.scope.has_group(Some(group.as_str())) {
            return Err(Error::forbidden("group outside of the groups of the user"));
        }
        let search = Search::all().and(in_groups(&[group.as_str().to_owned()]));
        let (mut moved, mut after) = (Moved::default(), None);
        loop {
            let devices = self.store.walk_inventory(&ctx.tenant, &search, after, CHUNK).await?;
            let Some(last) = devices.last() else {
                return Ok(moved);
            };
            after = Some(last.place);
            let work = |device: Device| async move {
                self.leave_group(ctx, &device.id, group.as_str()).await
            };
            let chunk = sum(&self.each(devices, work).await?);
            moved.matched += chunk.matched;
            moved.updated += chunk.updated;
        }
    }

    /// Tells whether every one of the devices is in one of the groups.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn are_in_groups(
        &self,
        ctx: &Ctx,
        ids: &[DeviceId],
        groups: &[String],
    ) -> Result<bool> {
        let ids = unique(ids);
        let wanted = ids.len() as u64;
        let search = Search::all().with_ids(ids).and(in_groups(groups));
        Ok(self.store.count_inventory(&ctx.tenant, &search).await? == wanted)
    }
}
