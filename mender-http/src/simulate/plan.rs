use std::{path::PathBuf, sync::Arc, time::Duration};

use mender_core::simulated::Profile;

use super::{client::Trust, keys::KeyShares, user::User};

/// What a fleet is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server, such as `https://example.com:8080`.
    pub server: String,
    /// Which servers are trusted.
    pub trust: Trust,
    /// How many devices there are.
    pub devices: u32,
    /// The number of the first one: fleets with other numbers are other devices.
    pub first: u32,
    /// What the devices are like, and how large each part is in relation to the others.
    pub kinds: Vec<(Arc<Profile>, u32)>,
    /// How many devices have which keys.
    pub keys: KeyShares,
    /// Dice fall by it; keys follow from it where they are not kept in a file.
    pub seed: u64,
    /// The file that keeps keys and tokens.
    pub kept: Option<PathBuf>,
    /// The time within which the devices are switched on.
    pub ramp: Duration,
    /// When power fails.
    pub storms: Vec<Storm>,
    /// How many requests are under way at a time.
    pub connections: usize,
    /// Whether devices check what they fetch.
    pub checksums: bool,
    /// How many devices of a thousand poll as old clients do.
    pub old: u16,
    /// Who accepts the devices.
    pub user: Option<User>,
    /// The tenant that the devices name.
    pub tenant_token: Option<String>,
}

/// The power fails for many devices at once, which then all return.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Storm {
    /// When, from the start on.
    pub at: Duration,
    /// How many devices of a thousand.
    pub share: u16,
}

impl Plan {
    /// A fleet of the usual devices to which nothing bad happens, switched on at 500 a second.
    #[must_use]
    pub fn new(server: impl Into<String>, devices: u32) -> Self {
        Self {
            server: server.into(),
            trust: Trust::default(),
            devices,
            first: 0,
            kinds: vec![(Profile::default().into(), 1)],
            keys: KeyShares::default(),
            seed: 1,
            kept: None,
            ramp: Duration::from_millis(2) * devices.max(500),
            storms: Vec::new(),
            connections: 128,
            checksums: false,
            old: 0,
            user: None,
            tenant_token: None,
        }
    }

    /// Returns what the device with this number is like.
    pub(super) fn kind(&self, number: u32) -> Arc<Profile> {
        let total = self.kinds.iter().map(|(_, weight)| weight).sum::<u32>().max(1);
        let mut left = number % total;
        for (profile, weight) in &self.kinds {
            if left < *weight {
                return profile.clone();
            }
            left -= weight;
        }
        Profile::default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_shared_out_by_weight() {
        let profile =
            |name: &str| Arc::new(Profile { device_type: name.into(), ..Profile::default() });
        let kinds = vec![(profile("a"), 1), (profile("b"), 3)];
        let plan = Plan { kinds, ..Plan::new("http://h", 8) };
        let types: String = (0..8).map(|n| plan.kind(n).device_type.clone()).collect();
        assert_eq!(types, "abbbabbb");
    }
}
