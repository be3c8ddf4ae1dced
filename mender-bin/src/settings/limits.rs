use std::time::Duration;

use mender_core::{
    Env,
    deployments::{Burst, Pace},
};
use mender_http::ratelimit::{Config, Group, Limiter, Match, RateLimits};

use crate::settings::Wrong;

settings! {
    "Rate limits":
    /// How many requests callers may make, by each node on its own.
    pub(crate) struct Limits {
        /// Whether the requests of devices are limited: to 30 a minute each, unless groups are set.
        rate_limits_devices: bool = "false",
        /// Groups of requests of devices that are counted together. A quota holds for an interval,
        /// for each value of event_expression.
        rate_limits_devices_groups: Vec<Group> = "",
        /// Which requests of devices belong to which group. Default: all to the group "default".
        rate_limits_devices_match: Vec<Match> = "",
        /// Whether requests of devices that belong to no group are refused.
        rate_limits_devices_reject_unmatched: bool = "false",
        /// Whether the requests of users are limited: to 300 a minute each, unless groups are set.
        rate_limits_users: bool = "false",
        /// Groups of requests of users that are counted together.
        rate_limits_users_groups: Vec<Group> = "",
        /// Which requests of users belong to which group. Default: all to the group "default".
        rate_limits_users_match: Vec<Match> = "",
        /// Whether requests of users that belong to no group are refused.
        rate_limits_users_reject_unmatched: bool = "false",
        /// How many devices of a tenant may begin a deployment in an interval; those that come
        /// later are told to ask again. Empty: no limit.
        rate_limits_deployments_per_tenant: Option<u64> = "",
        /// How long that interval is.
        rate_limits_deployments_per_tenant_interval: Duration = "1m",
        /// How many devices of all tenants may begin a deployment in an interval; empty: no limit.
        rate_limits_deployments_global: Option<u64> = "",
        /// How long that interval is.
        rate_limits_deployments_global_interval: Duration = "1m",
    }
}

impl Limits {
    /// Returns how many devices may begin a deployment in a time.
    pub(crate) fn pace(&self) -> Pace {
        let burst =
            |devices: Option<u64>, interval| devices.map(|devices| Burst { devices, interval });
        let each = self.rate_limits_deployments_per_tenant_interval;
        let all = self.rate_limits_deployments_global_interval;
        Pace {
            per_tenant: burst(self.rate_limits_deployments_per_tenant, each),
            global: burst(self.rate_limits_deployments_global, all),
        }
    }

    /// Returns the limits, with nothing counted yet.
    pub(crate) fn limits(&self, env: &Env) -> Result<RateLimits, Wrong> {
        let devices = config(
            Config::devices(),
            &self.rate_limits_devices_groups,
            &self.rate_limits_devices_match,
            self.rate_limits_devices_reject_unmatched,
        );
        let users = config(
            Config::users(),
            &self.rate_limits_users_groups,
            &self.rate_limits_users_match,
            self.rate_limits_users_reject_unmatched,
        );
        let limiter = |on: bool, name: &str, config: &Config| {
            let made = on.then(|| Limiter::new(env.clone(), config)).transpose();
            made.map_err(|e| Wrong(format!("{name}, with its groups and match: {e}")))
        };
        Ok(RateLimits::new(
            limiter(self.rate_limits_devices, "rate_limits_devices", &devices)?,
            limiter(self.rate_limits_users, "rate_limits_users", &users)?,
        ))
    }
}

fn config(default: Config, groups: &[Group], matches: &[Match], reject_unmatched: bool) -> Config {
    let groups = if groups.is_empty() { default.groups } else { groups.to_vec() };
    let matches = if matches.is_empty() { default.matches } else { matches.to_vec() };
    Config { reject_unmatched, groups, matches }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Command;
    use mender_core::deployments::{Burst, Pace};

    use crate::settings::{Settings, flags};

    fn limits(args: &[&str]) -> Result<(bool, bool), String> {
        let flags = flags(Command::new("x")).get_matches_from([&["x"], args].concat());
        let (settings, _) = Settings::load(&flags, [], &[]).map_err(|wrong| wrong.0)?;
        let made = settings.limits.limits(&mender_core::Env::system()).map_err(|wrong| wrong.0)?;
        Ok((made.devices.is_some(), made.users.is_some()))
    }

    #[test]
    fn nobody_is_limited_unless_settings_say_so() {
        assert_eq!(limits(&[]), Ok((false, false)));
        assert_eq!(limits(&["--rate-limits-devices"]), Ok((true, false)));
        assert_eq!(limits(&["--rate-limits-users=true"]), Ok((false, true)));
    }

    #[test]
    fn devices_begin_as_they_ask_unless_settings_say_otherwise() {
        let pace = |args: &[&str]| {
            let flags = flags(Command::new("x")).get_matches_from([&["x"], args].concat());
            Settings::load(&flags, [], &[]).map(|(settings, _)| settings.limits.pace()).unwrap()
        };
        assert_eq!(pace(&[]), Pace::default());
        let each = ["--rate-limits-deployments-per-tenant=200"];
        let burst =
            |devices, seconds| Some(Burst { devices, interval: Duration::from_secs(seconds) });
        assert_eq!(pace(&each), Pace { per_tenant: burst(200, 60), global: None });
        let all = [
            "--rate-limits-deployments-global=5000",
            "--rate-limits-deployments-global-interval=30s",
        ];
        assert_eq!(pace(&all), Pace { per_tenant: None, global: burst(5000, 30) });
    }

    #[test]
    fn groups_and_patterns_are_json() {
        let groups = r#"--rate-limits-devices-groups={"name":"a","quota":1,"interval":"5s"}"#;
        let matches = r#"--rate-limits-devices-match=[{"api_pattern":"/","group_expression":"a"}]"#;
        assert_eq!(limits(&["--rate-limits-devices", groups, matches]), Ok((true, false)));
        let second = groups.replace("\"a\"", "\"b\"");
        let second = &second[second.find('{').unwrap()..];
        for between in [",", "\n"] {
            let two = [groups, second].join(between);
            assert_eq!(limits(&["--rate-limits-devices", &two, matches]), Ok((true, false)));
        }
        let no_json = limits(&["--rate-limits-devices-groups=a"]).unwrap_err();
        assert!(no_json.contains("allowed is a JSON list of objects"), "{no_json}");
        let twice = [matches.trim_end_matches(']'), &matches[matches.find('{').unwrap()..]];
        let said = limits(&["--rate-limits-devices", groups, &twice.join(",")]).unwrap_err();
        assert!(said.contains("duplicate API pattern"), "{said}");
    }
}
