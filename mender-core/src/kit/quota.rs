//! Quotas over documents: reserve, commit, settle; a sweep settles what was cut off.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    commit::{Charge, Draw, Stamped},
    env::Time,
    error::{StoreError, StoreResult},
    feed::KEPT,
    id::{TenantId, Version},
    kit::{
        Body, Doc, DocId, DocStore, Expect, Kit, Plan, Put, Write, read, read_body, sortable_time,
    },
    quota::{Quota, Quotas},
};

const KIND: &str = "kit.quota";

/// The order of quotas by their oldest holder.
const OLDEST: &str = "oldest";

/// How long a write tries again when others change the same document.
const TRIES: usize = 200;

/// A quota with the commits that are under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    free: i64,
    used: i64,
    holders: Vec<Holder>,
}

/// A commit that draws on the quota and may not be stored yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holder {
    commit: String,
    tenant: TenantId,
    quota: String,
    kind: String,
    id: String,
    /// What is taken already.
    taken: i64,
    /// What is given back once the commit is stored.
    given: i64,
    /// By how much the limit moves once the commit is stored.
    moved: i64,
    /// From what and to what it was raised.
    #[serde(default)]
    raised: Option<(i64, i64)>,
    at: Time,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Applied,
    Refused,
}

impl Stored {
    fn settle(&mut self, commit: &str, fate: Fate) {
        let settled: Vec<Holder> =
            self.holders.extract_if(.., |holder| holder.commit == commit).collect();
        for holder in settled {
            if fate == Fate::Applied {
                self.free += holder.given + holder.moved;
                self.used -= holder.given;
            } else {
                self.free += holder.taken;
                self.used -= holder.taken;
                // Where it rose on, it must not fall.
                if let Some((from, _)) = holder.raised.filter(|(_, to)| *to == self.used) {
                    self.used = from;
                }
            }
        }
    }
}

/// Quotas of all tenants lie together, so that one scan finds those to sweep.
fn quota_id(tenant: &TenantId, name: &str) -> DocId {
    DocId { kind: KIND, tenant: TenantId::default(), id: format!("{tenant}/{name}") }
}

impl<D: DocStore> Kit<D> {
    /// Changes a quota, again where others do so at the same time.
    async fn change_quota(
        &self,
        tenant: &TenantId,
        name: &str,
        at: Time,
        change: impl Fn(&mut Stored) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let id = quota_id(tenant, name);
        for _ in 0..TRIES {
            let doc = self.docs.get(&id).await?;
            let (mut stored, expect, version) = match &doc {
                Some(doc) => (read::<Stored>(doc)?, Expect::At(doc.version), doc.version.next()),
                None => {
                    let Quota { free, used } = Quota::default();
                    (Stored { free, used, holders: Vec::new() }, Expect::Absent, Version(at.0))
                }
            };
            change(&mut stored)?;
            let oldest = stored.holders.iter().map(|holder| holder.at).min();
            let body = serde_json::to_string(&Body { a: &stored, c: Vec::new() })
                .map_err(|e| StoreError::corrupt(KIND, e))?;
            let doc = Doc {
                id: id.clone(),
                version,
                unique: id.id.clone(),
                body,
                index: Vec::new(),
                orders: oldest.map(|at| (OLDEST, sortable_time(at))).into_iter().collect(),
                sorts: Vec::new(),
            };
            let write =
                Write { expect, put: Put::Doc(doc), events: Vec::new(), lease_until: at, at };
            match self.docs.write(&write).await {
                Err(StoreError::Conflict | StoreError::Duplicate { .. }) => {}
                answer => return answer,
            }
            tokio::task::yield_now().await;
        }
        Err(StoreError::unavailable("a quota is changed by too many at once"))
    }

    /// Takes what a commit draws, and notes who holds it.
    pub(super) async fn reserve<A>(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        commit: &Stamped<A>,
    ) -> StoreResult<()> {
        for (n, Charge { quota, draw }) in commit.charges.iter().enumerate() {
            let (taken, given, moved) = match *draw {
                Draw::Take(units) => (units, 0, 0),
                Draw::Give(units) => (0, units, 0),
                Draw::Move(units) => (0, 0, units),
                Draw::Raise(_) => (0, 0, 0),
            };
            let raises = if let Draw::Raise(to) = *draw { Some(to) } else { None };
            let holder = Holder {
                commit: commit.id.clone(),
                tenant: tenant.clone(),
                quota: quota.clone(),
                kind: kind.to_owned(),
                id: id.to_owned(),
                taken,
                given,
                moved,
                raised: None,
                at: commit.at,
            };
            let reserve = |stored: &mut Stored| {
                if taken > 0 && stored.free < taken {
                    return Err(StoreError::LimitReached { quota: quota.clone() });
                }
                if raises.is_some_and(|to| to <= stored.used) {
                    return Err(StoreError::LimitReached { quota: quota.clone() });
                }
                let raised = raises.map(|to| (stored.used, to));
                stored.free -= taken;
                stored.used = raises.unwrap_or(stored.used + taken);
                stored.holders.push(Holder { raised, ..holder.clone() });
                Ok(())
            };
            if let Err(error) = self.change_quota(tenant, quota, commit.at, reserve).await {
                for charge in &commit.charges[..n] {
                    self.settle_charge(tenant, charge, commit, Fate::Refused).await?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Settles what a commit drew, once its fate is known.
    pub(super) async fn settle_charges<A>(
        &self,
        tenant: &TenantId,
        commit: &Stamped<A>,
        fate: Fate,
    ) -> StoreResult<()> {
        for charge in &commit.charges {
            // The commit is stored: that its quota is settled late must not look like a failure.
            if let Err(error) = self.settle_charge(tenant, charge, commit, fate).await {
                tracing::warn!(%error, "a charge is settled by the sweep");
            }
        }
        Ok(())
    }

    async fn settle_charge<A>(
        &self,
        tenant: &TenantId,
        charge: &Charge,
        commit: &Stamped<A>,
        fate: Fate,
    ) -> StoreResult<()> {
        let settle = |stored: &mut Stored| {
            stored.settle(&commit.id, fate);
            Ok(())
        };
        self.change_quota(tenant, &charge.quota, commit.at, settle).await
    }
}

#[async_trait]
impl<D: DocStore> Quotas for Kit<D> {
    async fn quota(&self, tenant: &TenantId, name: &str) -> StoreResult<Quota> {
        let doc = self.docs.get(&quota_id(tenant, name)).await?;
        let stored: Option<Stored> = doc.as_ref().map(read).transpose()?;
        Ok(stored.map_or_else(Quota::default, |s| Quota { free: s.free, used: s.used }))
    }

    async fn quotas_of(&self, tenant: &TenantId, names: &[String]) -> StoreResult<Vec<Quota>> {
        let ids: Vec<String> = names.iter().map(|name| quota_id(tenant, name).id).collect();
        let mut plan = Plan::new(KIND, &TenantId::default());
        plan.ids = Some(ids.clone());
        let mut found = HashMap::new();
        for doc in self.docs.scan(&plan).await? {
            let Stored { free, used, .. } = read(&doc)?;
            found.insert(doc.id.id, Quota { free, used });
        }
        Ok(ids.iter().map(|id| found.get(id).copied().unwrap_or_default()).collect())
    }

    async fn sweep_quotas(&self, before: Time, limit: usize) -> StoreResult<()> {
        let mut plan = Plan::new(KIND, &TenantId::default()).limit(limit);
        plan.order = Some(OLDEST);
        plan.until = Some(sortable_time(before));
        for doc in self.docs.scan(&plan).await? {
            let stored: Stored = read(&doc)?;
            for holder in stored.holders.iter().filter(|holder| holder.at <= before) {
                let fate = self.fate(holder).await?;
                let settle = |stored: &mut Stored| {
                    stored.settle(&holder.commit, fate);
                    Ok(())
                };
                self.change_quota(&holder.tenant, &holder.quota, holder.at, settle).await?;
            }
        }
        // Holders beyond the limit still need the notes: tombstones go one period later.
        self.docs.sweep(before - KEPT, limit).await
    }
}

impl<D: DocStore> Kit<D> {
    /// Finds out whether a commit that was cut off is stored: its document remembers it, and so
    /// does what was left in place of a deleted one.
    async fn fate(&self, holder: &Holder) -> StoreResult<Fate> {
        let Some(kind) = super::KINDS.into_iter().find(|kind| *kind == holder.kind) else {
            return Ok(Fate::Refused);
        };
        let id = DocId { kind, tenant: holder.tenant.clone(), id: holder.id.clone() };
        let applied = match self.docs.get(&id).await? {
            Some(doc) => read_body::<serde_json::Value>(&doc)?.c.contains(&holder.commit),
            None => {
                let note = self.docs.tombstone(&id).await?.unwrap_or_default();
                note.split(' ').any(|commit| commit == holder.commit)
            }
        };
        Ok(if applied { Fate::Applied } else { Fate::Refused })
    }
}
