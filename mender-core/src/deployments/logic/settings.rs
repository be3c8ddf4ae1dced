//! What is kept for a tenant.

use super::safety::{burst, check_budget, counted};
use crate::{
    commit::{Commit, Draw},
    deployments::{
        events::DeploymentEvent,
        model::{Budget, DeploymentSettings, DeviceDeployment},
    },
    env::Time,
    error::Result,
    event::Fact as _,
    id::Version,
    quota::UNLIMITED,
};

/// What caches hold of the settings of a tenant.
pub const SETTINGS_TOPIC: &str = "deployments.settings";

/// The quota of devices of a tenant that fetch at the same time.
pub const TENANT_SLOTS: &str = "deployments.slots";

/// The quota of bytes that may be handed out to devices of a tenant; what is handed out beyond it
/// is a debt.
pub const TENANT_BYTES: &str = "deployments.bytes";

/// Says what all devices of a tenant together may fetch at once.
///
/// # Errors
/// `Invalid` for a budget that lets nothing through.
pub fn set_budget(
    settings: Option<DeploymentSettings>,
    budget: Option<Budget>,
    now: Time,
) -> Result<Commit<DeploymentSettings>> {
    check_budget(budget)?;
    let budget = budget.filter(Budget::is_any);
    let before = settings.as_ref().and_then(|settings| settings.budget).unwrap_or_default();
    let after = budget.unwrap_or_default();
    let commit = changed(settings, now, |to| {
        to.budget = budget;
        if after.bytes_per_second.is_some() {
            to.refilled = Some(to.refilled.map_or(now, |refilled| refilled.min(now)));
        }
    });
    if commit.is_nothing() {
        return Ok(commit);
    }
    Ok(allowed(commit, before, after))
}

/// Has a commit move the limits of a tenant from those of one budget to those of another.
fn allowed(
    commit: Commit<DeploymentSettings>,
    before: Budget,
    after: Budget,
) -> Commit<DeploymentSettings> {
    let units = |limit: Option<u64>| limit.map_or(UNLIMITED, counted);
    let bytes = |budget: Budget| units(budget.bytes_per_second.map(burst));
    let moves = [
        (TENANT_SLOTS, units(after.parallel) - units(before.parallel)),
        (TENANT_BYTES, bytes(after) - bytes(before)),
    ];
    let moves = moves.into_iter().filter(|(_, by)| *by != 0);
    moves.fold(commit, |commit, (quota, by)| commit.charge(quota, Draw::Move(by)))
}

/// Fills up the bytes of a tenant's budget.
pub fn refilled_settings(
    was: DeploymentSettings,
    bytes: i64,
    now: Time,
) -> Commit<DeploymentSettings> {
    let to = DeploymentSettings { refilled: Some(now), ..was.clone() };
    let commit = told(Commit::update(was, to)).quiet("devices that ask find out");
    if bytes == 0 { commit } else { commit.charge(TENANT_BYTES, Draw::Move(bytes)) }
}

/// Has a row that is handed so many bytes draw on the budget of its tenant.
pub(super) fn shared(
    mut commit: Commit<DeviceDeployment>,
    budget: Budget,
    bytes: u64,
) -> Commit<DeviceDeployment> {
    commit = commit.charge(TENANT_SLOTS, Draw::Take(1));
    if budget.bytes_per_second.is_some() {
        commit = commit.charge(TENANT_BYTES, Draw::Move(-counted(bytes)));
    }
    commit
}

/// Says how many bytes an artifact may have for devices of the micro tier; -1 is no limit.
pub fn limit_micro(
    settings: Option<DeploymentSettings>,
    limit: i64,
    now: Time,
) -> Commit<DeploymentSettings> {
    changed(settings, now, |to| to.micro_limit = Some(limit))
}

/// Changes what is kept, and tells of it.
fn changed(
    settings: Option<DeploymentSettings>,
    now: Time,
    change: impl FnOnce(&mut DeploymentSettings),
) -> Commit<DeploymentSettings> {
    let mut to = settings.clone().unwrap_or_default();
    change(&mut to);
    let commit = match settings {
        Some(was) if was == to => return Commit::nothing(),
        Some(was) => Commit::update(was, to),
        None => {
            // No later one is taken for an earlier one that was removed.
            to.version = Version(now.0);
            Commit::insert(to)
        }
    };
    told(commit).event(DeploymentEvent::SettingsChanged {}.event())
}

/// Removes what is kept for a tenant that left.
pub fn forget_settings(was: DeploymentSettings) -> Commit<DeploymentSettings> {
    let before = was.budget.unwrap_or_default();
    allowed(told(Commit::delete(was)).quiet("its tenant left"), before, Budget::default())
}

fn told(commit: Commit<DeploymentSettings>) -> Commit<DeploymentSettings> {
    commit.invalidate(SETTINGS_TOPIC, "")
}
