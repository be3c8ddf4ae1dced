//! What keeps a deployment from doing harm.

use mender_core::{
    Time,
    deployments::{self, Batch, Cause, Conduct, Hold, Remedy, Rollout, Side, Zone},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{FromBody, or_default};

/// What a threshold looks at.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum On {
    Failure,
    Success,
}

/// What a threshold does.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pause,
    Abort,
}

/// When to stop because of what came of the devices so far.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub(crate) struct Threshold {
    /// `failure`: so many are too many; `success`: fewer are too few.
    on: On,
    /// How many, of a hundred that succeeded or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
    /// How many; in place of `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    devices: Option<u64>,
    /// It holds from so many devices on that succeeded or failed.
    #[serde(default)]
    min_devices: u64,
    /// What it does: no further device begins, or the deployment ends.
    action: Action,
}

/// When devices may begin, every week.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub(crate) struct Window {
    /// The days on which it opens: `mon` to `sun`; every day without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    days: Vec<String>,
    /// When it opens, as `HH:MM`.
    start: String,
    /// For how long it is open.
    duration_minutes: u32,
    /// By which clock: `UTC`, `device` for the attribute `timezone` of each device, or a name as
    /// `Europe/Oslo`.
    #[serde(default = "utc")]
    timezone: String,
}

/// What may be fetched at once.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
pub(crate) struct Budget {
    /// So many devices fetch at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parallel_downloads: Option<u64>,
    /// So many bytes a second are handed out, in the long run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
}

/// What is asked for to keep a deployment from doing harm.
pub(super) struct Asked {
    pub(super) priority: i32,
    pub(super) maintenance_windows: Vec<Window>,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) download_budget: Option<Budget>,
    pub(super) silence_timeout_minutes: Option<u32>,
}

/// What keeps a deployment from doing harm.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maintenance_windows: Vec<Window>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<Threshold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_budget: Option<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silence_timeout_minutes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
}

/// Since when, and why no further device begins.
#[derive(Serialize, ToSchema)]
struct Paused {
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// What the user said who paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The user who paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The threshold that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<Threshold>,
    /// The phase whose threshold it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase_id: Option<String>,
    /// How many devices had failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    /// How many devices had succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    succeeded: Option<u64>,
}

/// Why a deployment is to be paused.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct Pause {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::deployments) reason: String,
}

impl FromBody for Pause {}

/// What holds for all deployments together.
#[derive(Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct TenantSettings {
    /// What all devices of the tenant may fetch at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    download_budget: Option<Budget>,
}

impl FromBody for TenantSettings {}

impl TenantSettings {
    pub(in crate::deployments) fn of(budget: Option<deployments::Budget>) -> Self {
        Self { download_budget: budget.map(Budget::of) }
    }

    pub(in crate::deployments) fn read(self) -> Option<deployments::Budget> {
        self.download_budget.map(Budget::read)
    }
}

impl Budget {
    fn of(budget: deployments::Budget) -> Self {
        let deployments::Budget { parallel, bytes_per_second } = budget;
        Self { parallel_downloads: parallel, bytes_per_second }
    }

    fn read(self) -> deployments::Budget {
        let Self { parallel_downloads, bytes_per_second } = self;
        deployments::Budget { parallel: parallel_downloads, bytes_per_second }
    }
}

fn utc() -> String {
    "UTC".into()
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Threshold {
    fn read(self) -> Result<deployments::Threshold, &'static str> {
        let Self { on, percent, devices, min_devices, action } = self;
        let limit = match (percent, devices) {
            (Some(percent), None) => Batch::Percent(percent),
            (None, Some(devices)) => Batch::Devices(devices),
            _ => return Err("thresholds: use either percent or devices"),
        };
        let side = match on {
            On::Failure => Side::Failure,
            On::Success => Side::Success,
        };
        let remedy = match action {
            Action::Pause => Remedy::Pause,
            Action::Abort => Remedy::Abort,
        };
        Ok(deployments::Threshold { side, limit, sample: min_devices, remedy })
    }

    pub(super) fn read_all(all: Vec<Self>) -> Result<Vec<deployments::Threshold>, &'static str> {
        all.into_iter().map(Self::read).collect()
    }

    pub(super) fn of(threshold: deployments::Threshold) -> Self {
        let deployments::Threshold { side, limit, sample, remedy } = threshold;
        let (percent, devices) = match limit {
            Batch::Percent(percent) => (Some(percent), None),
            Batch::Devices(devices) => (None, Some(devices)),
        };
        let on = match side {
            Side::Failure => On::Failure,
            Side::Success => On::Success,
        };
        let action = match remedy {
            Remedy::Pause => Action::Pause,
            Remedy::Abort => Action::Abort,
        };
        Self { on, percent, devices, min_devices: sample, action }
    }
}

impl Window {
    fn read(self) -> Result<deployments::Window, &'static str> {
        let Self { days, start, duration_minutes, timezone } = self;
        let day = |day: String| {
            let at = DAYS.iter().position(|known| *known == day);
            at.and_then(|at| u8::try_from(at).ok()).ok_or("maintenance_windows: no such day")
        };
        let days: Vec<u8> = days.into_iter().map(day).collect::<Result<_, _>>()?;
        let two = |text: &str, below: u32| {
            let digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
            text.parse().ok().filter(|n: &u32| digits && *n < below)
        };
        let opens = start
            .split_once(':')
            .and_then(|(hour, minute)| Some(two(hour, 24)? * 60 + two(minute, 60)?));
        let opens = opens.ok_or("maintenance_windows: start must be HH:MM")?;
        let zone = match timezone.as_str() {
            "UTC" => Zone::Utc,
            "device" => Zone::Device,
            _ => Zone::Named(timezone),
        };
        Ok(deployments::Window { days, opens, minutes: duration_minutes, zone })
    }

    fn of(window: deployments::Window) -> Self {
        let deployments::Window { days, opens, minutes, zone } = window;
        let name = |day: &u8| DAYS.get(usize::from(*day)).map(|day| (*day).to_owned());
        Self {
            days: days.iter().filter_map(name).collect(),
            start: format!("{:02}:{:02}", opens / 60, opens % 60),
            duration_minutes: minutes,
            timezone: match zone {
                Zone::Utc => utc(),
                Zone::Device => "device".into(),
                Zone::Named(name) => name,
            },
        }
    }
}

impl Asked {
    /// Adds it to what else is asked for.
    pub(super) fn read(
        self,
        course: deployments::Course,
    ) -> Result<deployments::Course, &'static str> {
        let Self {
            priority,
            maintenance_windows,
            thresholds,
            download_budget,
            silence_timeout_minutes: silence_minutes,
        } = self;
        let windows: Result<_, _> = maintenance_windows.into_iter().map(Window::read).collect();
        let budget = download_budget.map(Budget::read);
        Ok(deployments::Course {
            priority,
            windows: windows?,
            thresholds: Threshold::read_all(thresholds)?,
            budget,
            silence_minutes,
            ..course
        })
    }
}

impl Shown {
    pub(super) fn of(rollout: &Rollout, conduct: Conduct) -> Self {
        Self {
            priority: (rollout.priority != 0).then_some(rollout.priority),
            maintenance_windows: rollout.windows.iter().cloned().map(Window::of).collect(),
            thresholds: rollout.thresholds.iter().copied().map(Threshold::of).collect(),
            download_budget: rollout.budget.map(Budget::of),
            silence_timeout_minutes: rollout.silence_minutes,
            paused: conduct.hold.map(|hold| Paused::of(hold, rollout)),
        }
    }
}

impl Paused {
    fn of(Hold { since, cause }: Hold, rollout: &Rollout) -> Self {
        let none = Self {
            since,
            reason: None,
            by: None,
            threshold: None,
            phase_id: None,
            failed: None,
            succeeded: None,
        };
        match cause {
            Cause::User { id, reason } => {
                Self { reason: Some(reason), by: id.map(|id| id.to_string()), ..none }
            }
            Cause::Threshold { phase, threshold, score } => {
                let phase = phase.and_then(|phase| rollout.phases.get(phase));
                Self {
                    threshold: Some(Threshold::of(threshold)),
                    phase_id: phase.map(|phase| phase.id.clone()),
                    failed: Some(score.failed),
                    succeeded: Some(score.succeeded),
                    ..none
                }
            }
        }
    }
}
