//! What is kept for a tenant.

use crate::{
    commit::Commit,
    deployments::{events::DeploymentEvent, model::DeploymentSettings},
    env::Time,
    event::Fact as _,
    id::Version,
};

/// What caches hold of the settings of a tenant.
pub const SETTINGS_TOPIC: &str = "deployments.settings";

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
    told(Commit::delete(was)).quiet("its tenant left")
}

fn told(commit: Commit<DeploymentSettings>) -> Commit<DeploymentSettings> {
    commit.invalidate(SETTINGS_TOPIC, "")
}
