//! What a fleet looks like as a whole.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    auth::{Status, Tier},
    ctx::Ctx,
    error::Result,
    index::Clause,
    inventory::{
        entries,
        model::{AttributeName, name},
        query::Search,
        service::{CHUNK, Service, has_status, is, scoped},
    },
};

/// How many devices the names of attributes are taken from.
const SAMPLE: usize = 5000;

/// How many names are returned.
const MAX_NAMES: usize = 500;

/// The name of an attribute, and how many devices have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameCount {
    /// The name.
    pub name: AttributeName,
    /// How many of the devices that were looked at have it.
    pub count: u64,
}

/// How many devices there are, by status and tier.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// The accepted ones.
    pub accepted: BTreeMap<Tier, u64>,
    /// The pending ones.
    pub pending: BTreeMap<Tier, u64>,
}

impl Service {
    /// Returns the names of attributes that devices have, the most frequent first. Only the
    /// devices that were created first are looked at. May be two seconds old.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn attribute_names(&self, ctx: &Ctx) -> Result<Arc<Vec<NameCount>>> {
        let search = scoped(ctx, Search::all());
        let key = (ctx.tenant.clone(), search);
        let find_out = async || self.sample_names(ctx, &key.1).await;
        self.names.get(&key, find_out, async || self.is_large(&ctx.tenant).await).await
    }

    async fn sample_names(&self, ctx: &Ctx, search: &Search) -> Result<Arc<Vec<NameCount>>> {
        let mut counts: BTreeMap<AttributeName, u64> = BTreeMap::new();
        let (mut after, mut seen) = (None, 0);
        while seen < SAMPLE {
            let devices = self.store.walk_inventory(&ctx.tenant, search, after, CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.place);
            seen += devices.len();
            for (scope, name, _) in devices.iter().flat_map(|device| device.attributes.iter()) {
                *counts.entry(AttributeName::new(scope, name)).or_default() += 1;
            }
        }
        let mut names: Vec<_> =
            counts.into_iter().map(|(name, count)| NameCount { name, count }).collect();
        names.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        names.truncate(MAX_NAMES);
        Ok(Arc::new(names))
    }

    /// Counts accepted and pending devices by tier. Large numbers may be two seconds old.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn statistics(&self, ctx: &Ctx) -> Result<Statistics> {
        Ok(Statistics {
            accepted: self.by_tier(ctx, Status::Accepted).await?,
            pending: self.by_tier(ctx, Status::Pending).await?,
        })
    }

    async fn by_tier(&self, ctx: &Ctx, status: Status) -> Result<BTreeMap<Tier, u64>> {
        let all = scoped(ctx, Search::all()).and(has_status(status.as_str()));
        let tier = AttributeName::system(name::TIER);
        let mut counts = BTreeMap::new();
        for known in Tier::ALL {
            let of_tier = all.clone().and(is(&tier, [known.as_str().to_owned()]));
            counts.insert(known, self.count(&ctx.tenant, &of_tier).await?);
        }
        // Those without a tier are standard. They are most: what is left of all is cheaper to
        // count than they are.
        let any = Clause::some(vec![entries::any_value(&entries::prefix(&tier))]);
        let tiered = self.count(&ctx.tenant, &all.clone().and(any)).await?;
        let standard = self.count(&ctx.tenant, &all).await?.saturating_sub(tiered);
        *counts.entry(Tier::Standard).or_default() += standard;
        Ok(counts)
    }
}
