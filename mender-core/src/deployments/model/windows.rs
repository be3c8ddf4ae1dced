//! When devices may begin: recurring windows, by the clock of the device or another one.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::env::Time;

/// The minutes of a day.
const DAY: u32 = 24 * 60;

/// The minutes of a week.
const WEEK: u32 = 7 * DAY;

/// By which clock a window opens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// Coordinated universal time.
    Utc,
    /// That of the device, by its attribute [`ZONE_ATTRIBUTE`]; that of a device without is UTC.
    Device,
    /// A zone of the IANA database, for instance `Europe/Oslo`.
    Named(String),
}

/// The attribute by which a device, or its tags, tell the name of its time zone.
pub const ZONE_ATTRIBUTE: &str = "timezone";

/// A time of the week at which devices may begin.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it opens, from Monday, which is 0; none: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<u8>,
    /// The minute of the day at which it opens.
    pub opens: u32,
    /// For how many minutes it is open, at most a week.
    pub minutes: u32,
    /// By which clock.
    pub zone: Zone,
}

fn zone_of(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

impl Window {
    /// Checks the window.
    ///
    /// # Errors
    /// What makes no sense of it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.days.iter().any(|day| *day > 6) {
            return Err("there is no such day");
        }
        if (1..self.days.len()).any(|at| at > 6 || self.days[..at].contains(&self.days[at])) {
            return Err("a day is named twice");
        }
        if self.opens >= DAY {
            return Err("a window opens between 00:00 and 23:59");
        }
        if self.minutes == 0 || self.minutes > WEEK {
            return Err("a window is open for a minute to a week");
        }
        match &self.zone {
            Zone::Named(name) if zone_of(name).is_none() => Err("there is no such time zone"),
            _ => Ok(()),
        }
    }

    /// Returns in how many minutes it is open; 0: it is.
    fn wait(&self, now: Time, device: Option<&str>) -> u32 {
        let name = match &self.zone {
            Zone::Utc => None,
            Zone::Device => device,
            Zone::Named(name) => Some(name.as_str()),
        };
        let zone = name.and_then(zone_of).unwrap_or(TimeZone::UTC);
        let now = minute_of_week(now, &zone);
        let every: Vec<u8> = (0..7).collect();
        let days = if self.days.is_empty() { &every } else { &self.days };
        let wait = |day: &u8| {
            let opened = (now + WEEK - (u32::from(*day) * DAY + self.opens)) % WEEK;
            if opened < self.minutes { 0 } else { WEEK - opened }
        };
        days.iter().map(wait).min().unwrap_or(0)
    }
}

fn minute_of_week(now: Time, zone: &TimeZone) -> u32 {
    let instant = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::MIN);
    let local: civil::DateTime = zone.to_datetime(instant);
    let part = |n: i8| u32::from(n.unsigned_abs());
    part(local.weekday().to_monday_zero_offset()) * DAY
        + part(local.hour()) * 60
        + part(local.minute())
}

/// Returns in how many minutes one of the windows is open, for a device in this time zone; 0: one
/// is. No windows are always open.
///
/// ```
/// use mender_core::{
///     Time,
///     deployments::{Window, Zone, minutes_until_open},
/// };
///
/// let nights = [Window { days: vec![], opens: 2 * 60, minutes: 60, zone: Zone::Utc }];
/// let at = |text: &str| text.parse::<Time>();
/// assert_eq!(minutes_until_open(&nights, at("2026-03-01T01:30:00Z")?, None), 30);
/// assert_eq!(minutes_until_open(&nights, at("2026-03-01T02:30:00Z")?, None), 0);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn minutes_until_open(windows: &[Window], now: Time, device: Option<&str>) -> u32 {
    windows.iter().map(|window| window.wait(now, device)).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn window(days: &[u8], opens: u32, minutes: u32, zone: Zone) -> [Window; 1] {
        [Window { days: days.to_vec(), opens, minutes, zone }]
    }

    #[test]
    fn a_window_may_last_over_midnight_and_over_the_end_of_the_week() {
        // Sundays from 22:00 for four hours.
        let sundays = window(&[6], 22 * 60, 240, Zone::Utc);
        let waits = |time: &str| minutes_until_open(&sundays, at(time), None);
        assert_eq!(waits("2026-03-01T21:59:59Z"), 1);
        assert_eq!(waits("2026-03-01T22:00:00Z"), 0);
        assert_eq!(waits("2026-03-02T01:59:59Z"), 0);
        assert_eq!(waits("2026-03-02T02:00:00Z"), 7 * 24 * 60 - 240);
    }

    #[test]
    fn the_clock_may_be_that_of_the_device_or_of_a_place() {
        let nights = |zone| window(&[], 120, 60, zone);
        // 02:30 in Oslo, in summer and in winter.
        for time in ["2026-07-01T00:30:00Z", "2026-01-01T01:30:00Z"] {
            let time = at(time);
            assert_eq!(
                minutes_until_open(&nights(Zone::Named("Europe/Oslo".into())), time, None),
                0
            );
            assert_eq!(minutes_until_open(&nights(Zone::Device), time, Some("Europe/Oslo")), 0);
            assert!(minutes_until_open(&nights(Zone::Device), time, Some("no such place")) > 0);
            assert!(minutes_until_open(&nights(Zone::Device), time, None) > 0);
        }
        assert_eq!(minutes_until_open(&nights(Zone::Device), at("2026-07-01T02:00:00Z"), None), 0);
        assert_eq!(minutes_until_open(&[], at("2026-07-01T02:00:00Z"), None), 0);
    }

    #[test]
    fn windows_that_make_no_sense_are_refused() {
        let fine = window(&[0, 6], 0, WEEK, Zone::Device);
        assert_eq!(fine[0].check(), Ok(()));
        for ill in [
            window(&[7], 0, 1, Zone::Utc),
            window(&[5, 6, 5], 0, 1, Zone::Utc),
            window(&[6; 100_000], 0, 1, Zone::Utc),
            window(&[], DAY, 1, Zone::Utc),
            window(&[], 0, 0, Zone::Utc),
            window(&[], 0, WEEK + 1, Zone::Utc),
            window(&[], 0, 1, Zone::Named("Europe/Nowhere".into())),
        ] {
            assert!(ill[0].check().is_err(), "{ill:?}");
        }
    }
}
