//! Time and randomness, passed in: nothing in the crate asks the machine for either.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment in UTC, in milliseconds since 1970; every store keeps it exactly.
///
/// ```
/// use mender_core::Time;
///
/// let time: Time = "2026-08-01T10:00:00.120456Z".parse()?;
/// assert_eq!(time.to_string(), "2026-08-01T10:00:00.12Z");
/// # Ok::<_, mender_core::env::InvalidTime>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(pub i64);

impl Time {
    /// The last moment that RFC 3339 can write, which ends the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// The first moment that RFC 3339 can write, which begins the year 0.
    const FIRST: Self = Self(-62_167_219_200_000);

    fn is_writable(self) -> bool {
        (Self::FIRST..=Self::LAST).contains(&self)
    }

    /// Returns the whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the moment of the given second.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the number of the UTC day.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// Returns how long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl fmt::Display for Time {
    /// Writes RFC 3339 in UTC with up to three decimals and no trailing zeros; in place of a moment
    /// that it can't write, the nearest one that it can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from((*self).clamp(Self::FIRST, Self::LAST).0) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )?;
        match at.millisecond() {
            0 => f.write_str("Z"),
            ms => write!(f, ".{}Z", format!("{ms:03}").trim_end_matches('0')),
        }
    }
}

/// The text is no RFC 3339 time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time")
    }
}

impl std::error::Error for InvalidTime {}

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTime)?;
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
        // The year of its own offset may be one that UTC can't write.
        let time = i64::try_from(millis).map(Self).map_err(|_| InvalidTime)?;
        if time.is_writable() { Ok(time) } else { Err(InvalidTime) }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !self.is_writable() {
            return Err(ser::Error::custom("a time that RFC 3339 can't write"));
        }
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> Time;
}

/// Gives randomness fit for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The clock and the source of randomness that everything uses. Clones share both.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Env {
    /// Joins a clock and a source of randomness.
    pub fn new(clock: impl Clock, entropy: impl Entropy) -> Self {
        Self { clock: Arc::new(clock), entropy: Arc::new(entropy) }
    }

    /// Returns the machine's clock and randomness.
    #[must_use]
    pub fn system() -> Self {
        Self::new(SystemClock, SystemEntropy)
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Returns random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Returns a random number below `bound`, or 0 where that is 0; for jitter, not for secrets.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.bytes()).checked_rem(bound).unwrap_or(0)
    }

    /// Returns a new UUIDv7: it begins with the time, so that ids made later sort later.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut b = self.bytes::<16>();
        b[..6].copy_from_slice(&self.now().0.max(0).to_be_bytes()[2..]);
        b[6] = 0x70 | (b[6] & 0x0f);
        b[8] = 0x80 | (b[8] & 0x3f);
        let hex = hex(&b);
        let part = |from: usize, to: usize| &hex[from..to];
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }

    /// Returns a new id of 24 hex digits: seconds, then randomness.
    #[must_use]
    pub fn object_id(&self) -> String {
        let mut b = self.bytes::<12>();
        b[..4].copy_from_slice(&self.now().seconds().max(0).to_be_bytes()[4..]);
        hex(&b)
    }
}

/// Writes bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time(millis(since.unwrap_or_default()))
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
    #[expect(clippy::expect_used, reason = "without randomness no secret is safe: stop")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_without_trailing_zeros() {
        for text in ["1969-12-31T23:59:59.5Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.001Z"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("2026-01-02T03:04:05+01:00".parse::<Time>().unwrap().seconds(), 1_767_319_445);
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn times_beyond_four_digit_years_are_errors_and_no_panics() {
        let (first, last) = ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z");
        for (text, time, beyond) in [
            (first, Time::FIRST, Time(Time::FIRST.0 - 1)),
            (last, Time::LAST, Time(Time::LAST.0 + 1)),
            (last, Time::LAST, Time(i64::MAX)),
        ] {
            assert_eq!(text.parse(), Ok(time));
            assert_eq!(serde_json::to_value(time).unwrap(), text);
            assert!(serde_json::to_value(beyond).is_err());
            assert_eq!(beyond.to_string(), text);
        }
        for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            assert_eq!(text.parse::<Time>(), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn uuids_sort_by_time() {
        struct At(i64);
        impl Clock for At {
            fn now(&self) -> Time {
                Time(self.0)
            }
        }
        let id = |ms| Env::new(At(ms), SystemEntropy).uuid();
        assert!(id(1) < id(2) && id(255) < id(256) && id(1 << 40) < id((1 << 40) + 1));
        assert_eq!(id(5).len(), 36);
        assert_eq!(&id(5)[14..15], "7");
    }
}
