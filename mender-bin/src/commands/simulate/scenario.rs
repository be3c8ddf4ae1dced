//! Scenarios: what the devices of a fleet are like and what goes wrong, as TOML.

use std::{collections::BTreeMap, time::Duration};

use mender_core::simulated::{Chances, Profile};
use mender_http::simulate::{KeyShares, Plan, Storm};
use serde::{Deserialize, Deserializer, de};

use crate::settings::value::Value as _;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::commands) struct Scenario {
    seed: Option<u64>,
    speed: Option<Speed>,
    ramp: Option<Span>,
    connections: Option<Connections>,
    checksums: bool,
    old_clients: Share,
    keys: Keys,
    device: Vec<Device>,
    storm: Vec<Outage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    rsa: Share,
    ecdsa: Share,
}

/// A part of the devices.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Device {
    weight: Option<Weight>,
    #[serde(rename = "type")]
    device_type: Option<String>,
    artifact: Option<String>,
    poll_interval: Option<Span>,
    inventory_interval: Option<Span>,
    retry: Option<Span>,
    retry_most: Option<Span>,
    install_time: Option<Span>,
    reboot_time: Option<Span>,
    resumes: Option<bool>,
    attributes: BTreeMap<String, String>,
    chances: Odds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Odds {
    failure: Share,
    broken_download: Share,
    power_cut: Share,
    stuck: Share,
    repeated_report: Share,
    late_report: Share,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    at: Span,
    share: Share,
}

/// A time such as `30s`, up to ten years: no sum of times is too long for a clock.
#[derive(Clone, Copy, Debug)]
struct Span(Duration);

/// In days.
const LONGEST: u64 = 3650;

/// A part of all, of a thousand; written as a number from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
struct Share(u16);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || de::Error::custom(format!("{text:?} is not {}", Duration::ALLOWED));
        let time = Duration::parse(&text).ok_or_else(wrong)?;
        let is_long = time.as_secs() > LONGEST * 24 * 60 * 60;
        let long = || de::Error::custom(format!("{text:?} is more than {LONGEST}d"));
        if is_long { Err(long()) } else { Ok(Self(time)) }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let part = f64::deserialize(from)?;
        let wrong =
            || de::Error::custom(format!("{part} is no share from 0 to 1 in steps of 0.001"));
        let found = (0..=1000_u16).find(|n| (f64::from(*n) - part * 1000.0).abs() < 1e-6);
        found.map(Self).ok_or_else(wrong)
    }
}

/// Declares a whole number within bounds.
macro_rules! bounded {
    ($name:ident: $most:literal) => {
        #[derive(Clone, Copy, Debug)]
        struct $name(u32);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let number = i64::deserialize(from)?;
                let fits = u32::try_from(number).ok().filter(|n| (1..=$most).contains(n));
                let wrong =
                    || de::Error::custom(format!("{number} is not a number from 1 to {}", $most));
                fits.map(Self).ok_or_else(wrong)
            }
        }
    };
}

bounded!(Speed: 100_000);
bounded!(Connections: 50_000);
bounded!(Weight: 1_000_000);

impl Device {
    fn profile(self, speed: u32) -> (Profile, u32) {
        let usual = Profile::default();
        let often = |given: Option<Span>, usual: Duration| {
            // Nobody polls more than ten times a second.
            (given.map_or(usual, |span| span.0) / speed).max(Duration::from_millis(100))
        };
        let time = |given: Option<Span>| given.map(|span| span.0);
        let Odds { failure, broken_download, power_cut, stuck, repeated_report, late_report } =
            self.chances;
        let reboots = time(self.reboot_time).or(usual.reboots);
        let profile = Profile {
            device_type: self.device_type.unwrap_or(usual.device_type),
            artifact_name: self.artifact.unwrap_or(usual.artifact_name),
            polls: often(self.poll_interval, usual.polls),
            inventories: often(self.inventory_interval, usual.inventories),
            retry: often(self.retry, usual.retry),
            retries: often(self.retry_most, usual.retries),
            resumes: self.resumes.unwrap_or(usual.resumes),
            attributes: self.attributes,
            installs: time(self.install_time).unwrap_or(usual.installs),
            reboots: reboots.filter(|time| !time.is_zero()),
            chances: Chances {
                broken: broken_download.0,
                failure: failure.0,
                cut: power_cut.0,
                stuck: stuck.0,
                repeat: repeated_report.0,
                late: late_report.0,
            },
        };
        (profile, self.weight.map_or(1, |weight| weight.0))
    }
}

impl Scenario {
    /// Has a plan do what the scenario says; a speed that is given counts more than its own.
    pub(in crate::commands) fn apply(self, plan: &mut Plan, speed: Option<u32>) {
        let speed = speed.or(self.speed.map(|speed| speed.0)).unwrap_or(1);
        let mut devices = self.device;
        if devices.is_empty() {
            devices.push(Device::default());
        }
        let kinds = devices.into_iter().map(|device| device.profile(speed));
        plan.kinds = kinds.map(|(profile, weight)| (profile.into(), weight)).collect();
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.ramp = self.ramp.map_or(plan.ramp, |ramp| ramp.0);
        if let Some(Connections(most)) = self.connections {
            plan.connections = usize::try_from(most).unwrap_or(usize::MAX);
        }
        plan.checksums = self.checksums;
        plan.old = self.old_clients.0;
        plan.keys = KeyShares { rsa: self.keys.rsa.0, ecdsa: self.keys.ecdsa.0 };
        let storm = |outage: &Outage| Storm { at: outage.at.0, share: outage.share.0 };
        plan.storms = self.storm.iter().map(storm).collect();
    }
}

/// Reads a scenario; what is wrong with one is told with line and field.
pub(in crate::commands) fn read(text: &str) -> Result<Scenario, String> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let (before, rest) = text.split_at_checked(span.start).unwrap_or((text, ""));
        let line = before.matches('\n').count();
        let why = error.message().lines().next().unwrap_or_default();
        let Some(field) = field(before, rest, span.len()) else {
            return format!("line {}: {why}", line + 1);
        };
        let name = field.trim_matches(['[', ']']);
        let meant = match why {
            _ if why.starts_with("invalid type: map, expected a sequence") => {
                format!(": write [[{name}]]")
            }
            _ if why.starts_with("invalid type: ") && field.starts_with("[[") => {
                format!(": write [{name}]")
            }
            _ => String::new(),
        };
        format!("line {}: {field}: {why}{meant}", line + 1)
    })
}

/// Returns the key or the table with which something is wrong, of what stands before that, and of
/// what begins with it.
fn field<'a>(before: &'a str, rest: &'a str, length: usize) -> Option<&'a str> {
    let line = rest.lines().next().unwrap_or_default();
    let before = before.rsplit('\n').next().unwrap_or_default();
    if before.trim().is_empty() && line.starts_with('[') {
        return line.split('#').next().map(str::trim);
    }
    if let Some((key, after)) = line.split_at_checked(length)
        && after.trim_start().starts_with('=')
    {
        return Some(key);
    }
    // In a table within a line others may stand before it.
    let (keys, _) = before.rsplit_once('=')?;
    let key = keys.rsplit(['{', ',']).next().map(str::trim);
    key.filter(|key| !key.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, speed: Option<u32>) -> Plan {
        let mut plan = Plan::new("http://h", 10);
        read(text).unwrap().apply(&mut plan, speed);
        plan
    }

    #[test]
    fn a_scenario_says_what_devices_are_like() {
        let plan = applied(include_str!("../../../../docs/scenario.toml"), None);
        assert_eq!(plan.kinds.len(), 2);
        let (pump, weight) = &plan.kinds[0];
        assert_eq!((pump.device_type.as_str(), *weight), ("pump", 3));
        assert_eq!(pump.polls, Duration::from_secs(60));
        assert_eq!(pump.chances, Chances { failure: 50, broken: 100, ..Chances::default() });
        assert_eq!(pump.attributes["site"], "north");
        assert_eq!(plan.kinds[1].0.reboots, None);
        assert_eq!(plan.keys, KeyShares { rsa: 10, ecdsa: 50 });
        let storm = Storm { at: Duration::from_secs(300), share: 500 };
        assert_eq!(plan.storms, [storm]);
        assert!(plan.checksums);
    }

    #[test]
    fn an_empty_scenario_is_the_usual_fleet() {
        let (plan, usual) = (applied("", None), Plan::new("http://h", 10));
        assert_eq!(plan.kinds, usual.kinds);
        assert_eq!((plan.ramp, plan.seed), (usual.ramp, usual.seed));
        assert_eq!((plan.connections, plan.old), (usual.connections, usual.old));
    }

    #[test]
    fn speed_shortens_what_repeats_and_nothing_else() {
        for plan in [applied("speed = 10", None), applied("speed = 3", Some(10))] {
            let (profile, usual) = (plan.kinds[0].0.clone(), Profile::default());
            assert_eq!(profile.polls * 10, usual.polls);
            assert_eq!(profile.retries * 10, usual.retries);
            assert_eq!((profile.installs, profile.reboots), (usual.installs, usual.reboots));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_field() {
        for (text, said) in [
            ("\nspede = 3", "line 2: spede: unknown field `spede`, expected one of "),
            (
                "[[device]]\npoll_interval = \"5 weeks\"",
                "line 2: poll_interval: \"5 weeks\" is not a duration",
            ),
            (
                "[[device]]\nretry = \"18446744073709551615s\"",
                "line 2: retry: \"18446744073709551615s\" is more than 3650d",
            ),
            ("[[storm]]\nat = \"3651d\"\nshare = 1", "line 2: at: \"3651d\" is more than 3650d"),
            (
                "[[device]]\ntype = 7\n",
                "line 2: type: invalid type: integer `7`, expected a string",
            ),
            (
                "[[device]]\n[device.chances]\nfailure = 5",
                "line 3: failure: 5 is no share from 0 to 1",
            ),
            ("[[device]]\nweight = 0", "line 2: weight: 0 is not a number from 1 to 1000000"),
            ("[[storm]]\nat = \"1m\"\n", "line 1: [[storm]]: missing field `share`"),
            ("[[storm]]   # at=5\nat = \"1m\"\n", "line 1: [[storm]]: missing field `share`"),
            (
                "\n[device]\ntype = \"pump\"",
                "line 2: [device]: invalid type: map, expected a sequence: write [[device]]",
            ),
            (
                "storm = { share = 1 }",
                "line 1: storm: invalid type: map, expected a sequence: write [[storm]]",
            ),
            (
                "[[keys]]\nrsa = 0.1",
                "line 1: [[keys]]: invalid type: map, expected f64: write [keys]",
            ),
            (
                "[[device]]\nchances = { stuck = 0.1, failure = 5 }",
                "line 2: failure: 5 is no share",
            ),
            ("[[device]]\nchances = { falure = 0.5 }", "line 2: falure: unknown field `falure`"),
            ("[[device]]\nchances.failure = 5", "line 2: chances.failure: 5 is no share"),
            ("device = [\n  { weight = 0 },\n]", "line 2: weight: 0 is not a number"),
            ("device = [ { weight = 0 } ]", "line 1: weight: 0 is not a number"),
            ("seed = ", "line 1: seed: "),
            ("[keys]\nrsa = 0.0001", "line 2: rsa: 0.0001 is no share"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
