//! How many devices may begin a deployment in a time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{env::Time, id::TenantId};

/// How many devices may begin in an interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Burst {
    /// So many.
    pub devices: u64,
    /// How long it is; intervals begin with the clock.
    pub interval: Duration,
}

/// How many devices may begin a deployment in a time, on this node. By default: as many as ask.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pace {
    /// Of each tenant.
    pub per_tenant: Option<Burst>,
    /// Of all tenants together.
    pub global: Option<Burst>,
}

/// Counts the devices that begin.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pace: Pace,
    per_tenant: Mutex<Window<HashMap<TenantId, u64>>>,
    global: Mutex<Window<u64>>,
}

/// What is counted in the present interval.
#[derive(Debug, Default)]
struct Window<T> {
    epoch: i64,
    count: T,
}

/// A place among those that begin; given back unless it is kept.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub(super) struct Place<'a> {
    starts: &'a Starts,
    tenant: TenantId,
    at: Time,
    kept: bool,
}

fn lock<T>(window: &Mutex<T>) -> MutexGuard<'_, T> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Burst {
    fn millis(self) -> i64 {
        i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    fn epoch(self, at: Time) -> i64 {
        at.0.div_euclid(self.millis())
    }

    /// How long the interval still lasts.
    fn left(self, at: Time) -> Duration {
        let left = self.millis() - at.0.rem_euclid(self.millis());
        Duration::from_millis(left.unsigned_abs())
    }
}

impl<T: Default> Window<T> {
    fn of(&mut self, epoch: i64) -> &mut T {
        if self.epoch != epoch {
            *self = Self { epoch, count: T::default() };
        }
        &mut self.count
    }
}

impl Starts {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Returns for how long no device of a tenant may begin.
    pub(super) fn wait(&self, tenant: &TenantId, now: Time) -> Option<Duration> {
        let tenants = lock(&self.per_tenant);
        let global = lock(&self.global);
        self.wait_of(&tenants, &global, tenant, now)
    }

    fn wait_of(
        &self,
        tenants: &Window<HashMap<TenantId, u64>>,
        global: &Window<u64>,
        tenant: &TenantId,
        now: Time,
    ) -> Option<Duration> {
        let is_full = |burst: &Burst, epoch: i64, count: u64| {
            burst.devices <= if epoch == burst.epoch(now) { count } else { 0 }
        };
        let of_tenant = tenants.count.get(tenant).copied().unwrap_or(0);
        let per_tenant =
            self.pace.per_tenant.filter(|burst| is_full(burst, tenants.epoch, of_tenant));
        let overall = self.pace.global.filter(|burst| is_full(burst, global.epoch, global.count));
        per_tenant.into_iter().chain(overall).map(|burst| burst.left(now)).max()
    }

    /// Takes a place for a device that is about to begin.
    ///
    /// # Errors
    /// How long to wait, where there is none.
    pub(super) fn take(&self, tenant: &TenantId, now: Time) -> Result<Place<'_>, Duration> {
        if self.pace != Pace::default() {
            let mut tenants = lock(&self.per_tenant);
            let mut global = lock(&self.global);
            if let Some(wait) = self.wait_of(&tenants, &global, tenant, now) {
                return Err(wait);
            }
            if let Some(burst) = self.pace.per_tenant {
                *tenants.of(burst.epoch(now)).entry(tenant.clone()).or_default() += 1;
            }
            if let Some(burst) = self.pace.global {
                *global.of(burst.epoch(now)) += 1;
            }
        }
        Ok(Place { starts: self, tenant: tenant.clone(), at: now, kept: false })
    }
}

impl Place<'_> {
    /// The device began.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let Pace { per_tenant, global } = self.starts.pace;
        if let Some(burst) = per_tenant {
            let mut window = lock(&self.starts.per_tenant);
            if window.epoch == burst.epoch(self.at)
                && let Some(count) = window.count.get_mut(&self.tenant)
            {
                *count = count.saturating_sub(1);
            }
        }
        if let Some(burst) = global {
            let mut window = lock(&self.starts.global);
            if window.epoch == burst.epoch(self.at) {
                window.count = window.count.saturating_sub(1);
            }
        }
    }
}
