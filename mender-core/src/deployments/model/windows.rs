//! When devices may begin: recurring windows, by the clock of the device or another one.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, civil, tz::TimeZone};
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
    /// The minute of the day at which it opens. On a day whose clock leaves that out, it opens that
    /// much later; where the clock shows it twice, it opens at the first time.
    pub opens: u32,
    /// For how many minutes it is open, at most a week; clocks that are changed change nothing.
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

    /// Returns when it opens; `None`: it is open.
    fn opening(&self, now: Time, device: Option<&str>) -> Option<Time> {
        let name = match &self.zone {
            Zone::Utc => None,
            Zone::Device => device,
            Zone::Named(name) => Some(name.as_str()),
        };
        let zone = name.and_then(zone_of).unwrap_or(TimeZone::UTC);
        let instant = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::MIN);
        let today = zone.to_datetime(instant).date();
        let lasts = Duration::from_secs(u64::from(self.minutes) * 60);
        // It may have opened as long ago as it lasts, and a day whose clock was changed may be
        // longer; a week later at most, each day of the week has come.
        let before = i64::from(self.minutes / DAY) + 1;
        let days = (-before..=8).map(|days| today.saturating_add(days.days()));
        for opens in days.filter_map(|day| self.opens_on(day, &zone)) {
            if opens > now {
                return Some(opens);
            }
            if now < opens + lasts {
                return None;
            }
        }
        // Only where the calendar ends.
        Some(Time::LAST)
    }

    /// Returns when it opens on a day, where it does.
    fn opens_on(&self, day: civil::Date, zone: &TimeZone) -> Option<Time> {
        let weekday = day.weekday().to_monday_zero_offset().unsigned_abs();
        if !self.days.is_empty() && !self.days.contains(&weekday) {
            return None;
        }
        let [hour, minute] = [self.opens / 60, self.opens % 60].map(|n| i8::try_from(n).ok());
        let local = day.to_datetime(civil::Time::new(hour?, minute?, 0, 0).ok()?);
        Some(Time(zone.to_timestamp(local).ok()?.as_millisecond()))
    }
}

/// Returns when the first of the windows opens, for a device in this time zone; `None`: one is open.
/// No windows are always open.
///
/// ```
/// use mender_core::{
///     Time,
///     deployments::{Window, Zone, next_opening},
/// };
///
/// let nights = [Window { days: vec![], opens: 2 * 60, minutes: 60, zone: Zone::Utc }];
/// let at = |text: &str| text.parse::<Time>();
/// let opens = next_opening(&nights, at("2026-03-01T01:30:00Z")?, None);
/// assert_eq!(opens, Some(at("2026-03-01T02:00:00Z")?));
/// assert_eq!(next_opening(&nights, at("2026-03-01T02:30:00Z")?, None), None);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn next_opening(windows: &[Window], now: Time, device: Option<&str>) -> Option<Time> {
    // One that is open is less than any that opens.
    windows.iter().map(|window| window.opening(now, device)).min().flatten()
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
        let opens = |time: &str| next_opening(&sundays, at(time), None);
        assert_eq!(opens("2026-03-01T21:59:59.999Z"), Some(at("2026-03-01T22:00:00Z")));
        assert_eq!(opens("2026-03-01T22:00:00Z"), None);
        assert_eq!(opens("2026-03-02T01:59:59.999Z"), None);
        assert_eq!(opens("2026-03-02T02:00:00Z"), Some(at("2026-03-08T22:00:00Z")));
    }

    #[test]
    fn a_window_may_always_be_open_and_one_of_two_may_come_first() {
        let [week] = window(&[0], 0, WEEK, Zone::Utc);
        let [days] = window(&[], 5, DAY, Zone::Utc);
        for day in 1..=8 {
            let time = at(&format!("2026-03-0{day}T00:00:00Z"));
            for window in [&week, &days] {
                assert_eq!(window.opening(time, None), None, "{window:?} {day}");
            }
        }
        let [late] = window(&[], 20 * 60, 60, Zone::Utc);
        let [early] = window(&[], 10 * 60, 60, Zone::Utc);
        let both = [late, early];
        let opens = |time: &str| next_opening(&both, at(time), None);
        assert_eq!(opens("2026-03-01T09:00:00Z"), Some(at("2026-03-01T10:00:00Z")));
        assert_eq!(opens("2026-03-01T11:00:00Z"), Some(at("2026-03-01T20:00:00Z")));
        assert_eq!(opens("2026-03-01T10:30:00Z"), None);
    }

    #[test]
    fn a_window_lasts_as_long_as_it_says_when_clocks_are_changed() {
        // In Oslo on 2026-03-29, 02:00 is followed by 03:00, which is 01:00 UTC; on 2026-10-25,
        // 03:00 by 02:00, which is 01:00 UTC.
        let oslo = |opens, minutes| window(&[6], opens, minutes, Zone::Named("Europe/Oslo".into()));
        let cases = [
            // One that opens within the hour that is left out; over it; within the hour that comes
            // twice; over both of these.
            (oslo(120, 60), "2026-03-28", "2026-03-29T01:00:00Z"),
            (oslo(150, 60), "2026-03-28", "2026-03-29T01:30:00Z"),
            (oslo(60, 180), "2026-03-28", "2026-03-29T00:00:00Z"),
            (oslo(120, 60), "2026-10-24", "2026-10-25T00:00:00Z"),
            (oslo(60, 180), "2026-10-24", "2026-10-24T23:00:00Z"),
            (oslo(60, 6 * DAY), "2026-10-24", "2026-10-24T23:00:00Z"),
        ];
        for (window, before, opens) in cases {
            let opens = at(opens);
            let closes = opens + Duration::from_secs(u64::from(window[0].minutes) * 60);
            let tick = Duration::from_millis(1);
            let next = |now| next_opening(&window, now, None);
            // From the other side of the change, it is named by the clock that holds then.
            assert_eq!(next(at(&format!("{before}T12:00:00Z"))), Some(opens), "{window:?}");
            assert_eq!(next(opens - tick), Some(opens), "{window:?}");
            assert_eq!((next(opens), next(closes - tick)), (None, None), "{window:?}");
            let again = next(closes).unwrap();
            let week = Duration::from_secs(u64::from(WEEK) * 60);
            let hour = Duration::from_secs(3600);
            assert!(again >= opens + week - hour && again <= opens + week + hour, "{window:?}");
        }
    }

    #[test]
    fn the_clock_may_be_that_of_the_device_or_of_a_place() {
        let nights = |zone| window(&[], 120, 60, zone);
        // 02:30 in Oslo, in summer and in winter.
        for time in ["2026-07-01T00:30:00Z", "2026-01-01T01:30:00Z"] {
            let time = at(time);
            let oslo = Zone::Named("Europe/Oslo".into());
            assert_eq!(next_opening(&nights(oslo), time, None), None);
            assert_eq!(next_opening(&nights(Zone::Device), time, Some("Europe/Oslo")), None);
            assert!(next_opening(&nights(Zone::Device), time, Some("no such place")).is_some());
            assert!(next_opening(&nights(Zone::Device), time, None).is_some());
        }
        assert_eq!(next_opening(&nights(Zone::Device), at("2026-07-01T02:00:00Z"), None), None);
        assert_eq!(next_opening(&[], at("2026-07-01T02:00:00Z"), None), None);
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
