use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{NOW, claim, recorded};
use crate::{
    auth::{
        logic::{
            Claim, Verdict, delete_set, flag, is_valid, issue, leave, make_room, preauthorize,
            present, revoke, revoke_all, set_status,
        },
        model::{
            AuthSetId, Device, Limit, MAX_SETS,
            Status::{self, Accepted, Pending, Preauthorized, Rejected},
            Tier,
        },
    },
    commit::{Change, Commit, Draw},
    env::Time,
};

/// One thing that happens to a device.
#[derive(Clone, Copy, Debug)]
enum Step {
    Present(usize, Tier, bool),
    Decide(usize, Status),
    Preauthorize(usize, Tier),
    Delete(usize),
    Issue(usize),
    Revoke(usize),
    RevokeAll,
    Flag(bool),
    Leave,
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tier = prop::sample::select(&Tier::ALL[..]);
    let status = prop::sample::select(&[Accepted, Rejected, Pending][..]);
    let step = prop_oneof![
        6 => (0..70_usize, tier.clone(), prop::bool::weighted(0.1))
            .prop_map(|(key, tier, accept)| Step::Present(key, tier, accept)),
        6 => (0..70_usize, status).prop_map(|(set, status)| Step::Decide(set, status)),
        2 => (0..70_usize, tier).prop_map(|(key, tier)| Step::Preauthorize(key, tier)),
        1 => (0..70_usize).prop_map(Step::Delete),
        4 => (0..70_usize).prop_map(Step::Issue),
        2 => (0..70_usize).prop_map(Step::Revoke),
        1 => Just(Step::RevokeAll),
        1 => any::<bool>().prop_map(Step::Flag),
        1 => prop::bool::weighted(0.02).prop_map(|l| if l { Step::Leave } else { Step::Pass(1) }),
        2 => (0..3_000_i64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..150)
}

/// A device with everything that must stay true of it.
struct Life {
    device: Device,
    now: Time,
    /// What was taken of each quota, and not given back.
    taken: BTreeMap<String, i64>,
    /// Tokens: the set, when it says it was issued, and whether it was revoked since.
    tokens: Vec<(AuthSetId, i64, bool)>,
    made: u32,
}

impl Life {
    fn begin() -> Self {
        let device = recorded(Pending);
        Self { device, now: NOW, taken: BTreeMap::new(), tokens: Vec::new(), made: 0 }
    }

    fn claim(&mut self, key: usize, tier: Tier) -> Claim {
        self.made += 1;
        Claim { tier, ..claim(&format!("k{key}"), &format!("s{}", self.made)) }
    }

    fn set(&self, n: usize) -> AuthSetId {
        let sets = &self.device.sets;
        sets.get(n % sets.len().max(1))
            .map_or_else(|| "ghost".parse().unwrap(), |set| set.id.clone())
    }

    fn step(&mut self, step: Step) {
        let (was, now) = (self.device.clone(), self.now);
        let decided = match step {
            Step::Present(key, tier, accept) => {
                let claim = self.claim(key, tier);
                present(&was, claim, accept, now).map(|verdict| match verdict {
                    Verdict::Refused(commit) | Verdict::Granted(commit, _) => commit,
                })
            }
            Step::Decide(n, status) => set_status(&was, &self.set(n), status, now),
            Step::Preauthorize(key, tier) => {
                let claim = self.claim(key, tier);
                preauthorize(&was, claim, now)
            }
            Step::Delete(n) => delete_set(&was, &self.set(n), now),
            Step::Issue(n) => {
                let id = self.set(n);
                if was.set(&id).is_none_or(|set| set.status != Accepted) || was.leaving {
                    return;
                }
                let (commit, issued) = issue(&was, &id, 0, now);
                self.tokens.push((id, issued, false));
                Ok(commit)
            }
            Step::Revoke(n) => {
                let id = self.set(n);
                let commit = revoke(&was, &id, now);
                self.end(|token| commit.is_ok() && *token == id);
                commit
            }
            Step::RevokeAll => {
                self.end(|_| true);
                Ok(revoke_all(&was, now))
            }
            Step::Flag(test) => Ok(flag(&was, test, now)),
            Step::Leave => {
                self.end(|_| true);
                Ok(leave(&was, now))
            }
            Step::Pass(millis) => {
                self.now = Time(now.0 + millis);
                return;
            }
        };
        if let Ok(commit) = decided {
            self.apply(&was, commit);
        }
    }

    fn end(&mut self, which: impl Fn(&AuthSetId) -> bool) {
        for (set, _, revoked) in &mut self.tokens {
            *revoked |= which(set);
        }
    }

    fn apply(&mut self, was: &Device, commit: Commit<Device>) {
        for charge in &commit.charges {
            let taken = self.taken.entry(charge.quota.clone()).or_default();
            match charge.draw {
                Draw::Take(units) => *taken += units,
                Draw::Give(units) => *taken -= units,
                Draw::Move(_) | Draw::Raise(_) => panic!("a device moves no limit"),
            }
        }
        match commit.change {
            Change::Nothing => {}
            Change::Update { was: before, to } => {
                assert_eq!(before, *was);
                assert_eq!(to.version, was.version.next());
                self.device = to;
            }
            Change::Insert(_) => panic!("the device is there"),
            Change::Delete(_) => *self = Self::begin(),
        }
        // Whatever is accepted no more has lost its tokens, unless another one took its place.
        let device = self.device.clone();
        let accepted =
            |of: &Device, id: &AuthSetId| of.set(id).is_some_and(|set| set.status == Accepted);
        let replaced = device.accepted_set().is_some();
        self.end(|id| {
            let left = accepted(was, id) && !accepted(&device, id);
            device.set(id).is_none() || (left && !replaced)
        });
    }

    fn check(&self) {
        let device = &self.device;
        let accepted = device.sets.iter().filter(|set| set.status == Accepted);
        assert!(accepted.count() <= 1);
        assert!(device.sets.len() <= MAX_SETS);
        for quota in [Limit::Devices, Limit::MicroDevices, Limit::SystemDevices] {
            let holds = device.status == Accepted && device.tier.limit() == quota;
            let taken = self.taken.get(quota.as_str()).copied().unwrap_or_default();
            assert_eq!(taken, i64::from(holds), "{quota:?}");
        }
        let tests = self.taken.get("max_test_devices").copied();
        let holds = device.status == Accepted && device.test;
        assert_eq!(tests.unwrap_or_default(), i64::from(holds));
        for (set, issued, revoked) in &self.tokens {
            let valid = is_valid(device, set, *issued, 0);
            let is_accepted = device.set(set).is_some_and(|set| set.status == Accepted);
            assert_eq!(valid, !revoked && is_accepted, "a token of {set} issued at {issued}");
        }
    }
}

proptest! {
    #[test]
    fn a_life_keeps_the_invariants(steps in steps()) {
        let mut life = Life::begin();
        for step in steps {
            life.step(step);
            life.check();
        }
    }

    #[test]
    fn room_is_never_made_at_the_cost_of_access(
        statuses in prop::collection::vec(0..4_usize, MAX_SETS..=MAX_SETS)
    ) {
        let kinds = [Accepted, Preauthorized, Pending, Rejected];
        let mut device = recorded(Pending);
        let sets = statuses.iter().enumerate();
        device.sets = sets
            .map(|(n, kind)| claim("k", &format!("s{n}")).into_set(kinds[*kind], NOW))
            .collect();
        let before = device.sets.clone();
        let made = make_room(&mut device).is_ok();
        let gone: Vec<Status> = before
            .iter()
            .filter(|set| device.set(&set.id).is_none())
            .map(|set| set.status)
            .collect();
        let expected = if statuses.contains(&3) {
            vec![Rejected]
        } else if statuses.contains(&2) {
            vec![Pending]
        } else {
            vec![]
        };
        prop_assert_eq!(made, !expected.is_empty());
        prop_assert_eq!(gone, expected);
    }
}
