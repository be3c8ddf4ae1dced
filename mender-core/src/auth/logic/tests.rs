mod life;

use std::collections::BTreeMap;

use super::{rules::matches, *};
use crate::{
    auth::model::{AcceptRule, AuthTenant, Limit},
    commit::{Change, Draw},
    quota::capacity,
};
use Status::{Accepted, Noauth, Pending, Preauthorized, Rejected};

const NOW: Time = Time(1_767_268_800_123);

fn claim(key: &str, set: &str) -> Claim {
    Claim { key: key.into(), tier: Tier::Standard, set: set.parse().unwrap() }
}

fn recorded(status: Status) -> Device {
    let identity = Identity::parse(r#"{"mac":"1"}"#).unwrap();
    let commit = record("d".parse().unwrap(), identity, claim("key", "set"), status, NOW);
    commit.aggregate().cloned().unwrap()
}

/// A device whose only set has this status.
fn device_at(status: Status) -> Device {
    match status {
        Rejected => after(set_status(&recorded(Pending), &set(), Rejected, NOW).unwrap()),
        Noauth => after(delete_set(&recorded(Pending), &set(), NOW).unwrap()),
        status => recorded(status),
    }
}

fn set() -> AuthSetId {
    "set".parse().unwrap()
}

fn after(commit: Commit<Device>) -> Device {
    match commit.change {
        Change::Insert(to) | Change::Update { to, .. } => to,
        other => panic!("{other:?} leaves no device"),
    }
}

fn stored(was: &Device, commit: &Commit<Device>) -> Device {
    commit.aggregate().unwrap_or(was).clone()
}

/// What comes of a user's decision, as in the table of the area.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Move {
    Changes,
    Nothing,
    Refused,
}

const DECISIONS: [(Status, Status, Move); 12] = [
    (Pending, Accepted, Move::Changes),
    (Pending, Rejected, Move::Changes),
    (Pending, Pending, Move::Nothing),
    (Rejected, Accepted, Move::Changes),
    (Rejected, Rejected, Move::Nothing),
    (Rejected, Pending, Move::Changes),
    (Accepted, Accepted, Move::Nothing),
    (Accepted, Rejected, Move::Changes),
    (Accepted, Pending, Move::Changes),
    (Preauthorized, Accepted, Move::Refused),
    (Preauthorized, Rejected, Move::Refused),
    (Preauthorized, Pending, Move::Refused),
];

#[test]
fn users_move_sets_as_the_table_says() {
    for (from, to, expected) in DECISIONS {
        let was = device_at(from);
        let (found, status) = match set_status(&was, &set(), to, NOW) {
            Ok(commit) if commit.is_nothing() => (Move::Nothing, from),
            Ok(commit) => (Move::Changes, after(commit).sets[0].status),
            Err(error) => {
                assert_eq!(error.kind, crate::error::Kind::Conflict);
                (Move::Refused, from)
            }
        };
        assert_eq!(found, expected, "{from:?} to {to:?}");
        let end = if expected == Move::Changes { to } else { from };
        assert_eq!(status, end, "{from:?} to {to:?}");
    }
}

#[test]
fn force_preauthorizes_a_known_key_whatever_its_status() {
    for from in [Pending, Rejected, Accepted, Preauthorized] {
        let was = device_at(from);
        let commit = preauthorize(&was, claim("key", "other"), NOW).unwrap();
        assert_eq!(commit.is_nothing(), from == Preauthorized);
        let to = stored(&was, &commit);
        assert_eq!(to.sets[0].status, Preauthorized);
        assert_eq!(to.status, was.status, "it changes when the device asks");
    }
}

#[test]
fn any_set_may_be_deleted_and_a_preauthorized_device_goes_with_its_last() {
    for from in [Pending, Rejected, Accepted, Preauthorized] {
        let commit = delete_set(&device_at(from), &set(), NOW).unwrap();
        let gone = matches!(commit.change, Change::Delete(_));
        assert_eq!(gone, from == Preauthorized);
        assert!(gone || after(commit).status == Noauth);
    }
}

#[test]
fn a_device_that_asks_moves_as_the_table_says() {
    for (from, granted, status) in [
        (Pending, false, Pending),
        (Rejected, false, Rejected),
        (Accepted, true, Accepted),
        (Preauthorized, true, Accepted),
        (Noauth, false, Pending),
    ] {
        let was = device_at(from);
        let (commit, found) = match present(&was, claim("key", "new"), false, NOW).unwrap() {
            Verdict::Granted(commit, _) => (commit, true),
            Verdict::Refused(commit) => (commit, false),
        };
        assert_eq!(found, granted, "{from:?}");
        assert_eq!(stored(&was, &commit).status, status, "{from:?}");
    }
}

#[test]
fn a_leaving_device_gets_nothing() {
    let was = after(leave(&device_at(Accepted), NOW));
    let verdict = present(&was, claim("key", "new"), true, NOW).unwrap();
    assert!(matches!(verdict, Verdict::Refused(commit) if commit.is_nothing()));
    assert!(!is_valid(&was, &set(), i64::MAX, 0));
}

#[test]
fn the_status_is_that_of_the_strongest_set() {
    for (statuses, expected) in [
        (&[][..], Noauth),
        (&[Rejected, Rejected], Rejected),
        (&[Rejected, Pending], Pending),
        (&[Pending, Preauthorized, Preauthorized], Preauthorized),
        (&[Preauthorized, Accepted, Rejected], Accepted),
    ] {
        let mut device = recorded(Pending);
        device.sets =
            statuses.iter().map(|status| claim("k", "s").into_set(*status, NOW)).collect();
        settle(&mut device);
        assert_eq!(device.status, expected, "{statuses:?}");
    }
}

#[test]
fn room_is_made_at_the_cost_of_the_oldest_rejected_then_pending_set() {
    let mut device = recorded(Pending);
    let kinds = [Preauthorized, Pending, Rejected, Accepted];
    device.sets =
        (0..MAX_SETS).map(|n| claim("k", &format!("s{n}")).into_set(kinds[n % 4], NOW)).collect();
    let mut dropped = Vec::new();
    loop {
        let before = device.sets.clone();
        let Ok(()) = make_room(&mut device) else {
            break;
        };
        let gone = before.iter().find(|set| device.set(&set.id).is_none());
        dropped.push(gone.unwrap().id.to_string());
        device.sets.push(claim("k", "new").into_set(Preauthorized, NOW));
    }
    let every_fourth = |from: usize| (from..MAX_SETS).step_by(4).map(|n| format!("s{n}"));
    let expected: Vec<String> = every_fourth(2).chain(every_fourth(1)).collect();
    assert_eq!(dropped, expected);
    assert_eq!(device.sets.len(), MAX_SETS);
}

#[test]
fn patterns_match_any_text_for_a_star() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything", true),
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("**é**", "xéy", true),
        ("00:1?:*", "00:1?:ff", true),
        ("00:1?:*", "00:12:ff", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn patterns_take_linear_time() {
    let pattern = "a*".repeat(128) + "b";
    let text = "a".repeat(1 << 20);
    // Backtracking would take longer than the universe has been there.
    assert!(!matches(&pattern, &text));
    assert!(matches(&pattern, &(text + "b")));
}

#[test]
fn a_rule_accepts_when_every_condition_fits() {
    let identity = Identity::parse(r#"{"mac":"00:01","n":5,"deep":{"a":1}}"#).unwrap();
    for (conditions, expected) in [
        (&[][..], false),
        (&[("mac", "00:*")], true),
        (&[("mac", "00:*"), ("n", "5")], true),
        (&[("mac", "00:*"), ("n", "6")], false),
        (&[("ghost", "*")], false),
        (&[("deep", "{*}")], true),
    ] {
        let identity_: BTreeMap<String, String> =
            conditions.iter().map(|(key, pattern)| ((*key).into(), (*pattern).into())).collect();
        let rule = AcceptRule { name: "rule".into(), identity: identity_ };
        assert_eq!(is_accepted_by(&[rule], &identity), expected);
    }
}

#[test]
fn limits_move_quotas_by_their_difference() {
    let tenant = AuthTenant::new(Default::default());
    let commit = new_tenant(tenant, NOW);
    let mut was = commit.aggregate().cloned().unwrap();
    let mut capacity_now = capacity(-1);
    for value in [Some(5), Some(-1), None, Some(0), Some(3), Some(3), Some(-7)] {
        let commit = set_limits(&was, &[(Limit::Devices, value)]);
        for charge in &commit.charges {
            assert_eq!(charge.quota, "max_devices");
            assert!(matches!(charge.draw, Draw::Move(_)));
            if let Draw::Move(by) = charge.draw {
                capacity_now += by;
            }
        }
        was = commit.aggregate().cloned().unwrap_or(was);
        assert_eq!(capacity_now, capacity(value.unwrap_or(-1)));
    }
}

#[test]
fn flags_change_twenty_times_a_day() {
    let mut tenant = AuthTenant::new(Default::default());
    for day in 0..2 {
        let now = Time(NOW.0 + day * 86_400_000);
        for _ in 0..MAX_FLAG_CHANGES {
            let commit = count_flag_change(&tenant, now).unwrap();
            tenant = commit.aggregate().cloned().unwrap();
        }
        let refused = count_flag_change(&tenant, now).unwrap_err();
        assert!(matches!(refused.kind, crate::error::Kind::TooMany { .. }));
    }
}
