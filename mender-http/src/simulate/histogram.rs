//! How long requests took, in little memory.

use std::time::Duration;

/// Buckets of a doubling: no answer is off by more than this part of it.
const STEPS: u64 = 32;

/// Counts durations, by microsecond, to about 3 %.
///
/// ```
/// use std::time::Duration;
///
/// use mender_http::simulate::Histogram;
///
/// let mut took = Histogram::default();
/// (1..=100).for_each(|n| took.add(Duration::from_millis(n)));
/// let p90 = took.quantile(0.9).as_secs_f64();
/// assert!((0.090..0.093).contains(&p90), "{p90}");
/// assert_eq!(took.max(), Duration::from_millis(100));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - (micros | STEPS).leading_zeros() - 1) - STEPS.ilog2();
    let index = u64::from(shift) * STEPS + (micros >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Returns the most that falls into a bucket.
fn most(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    ((bucket - shift * STEPS + 1) << shift) - 1
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        // An hour and more is the same.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(3_600_000_000);
        let index = bucket(micros);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(to, more)| *to += more);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// Returns how many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// Returns what this part of all, between 0 and 1, did not exceed; zero of none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (part * self.count as f64).ceil().max(1.0);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen as f64 >= wanted {
                return Duration::from_micros(most(index).min(self.max));
            }
        }
        self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_without_gaps() {
        let mut last = 0;
        for micros in 0..100_000 {
            let index = bucket(micros);
            assert!(index == last || index == last + 1, "{micros}");
            assert!(most(index) >= micros && (index == 0 || most(index - 1) < micros), "{micros}");
            last = index;
        }
    }

    #[test]
    fn quantiles_are_off_by_three_percent_at_most() {
        let mut took = Histogram::default();
        (1..=100_000).for_each(|micros| took.add(Duration::from_micros(micros)));
        for (part, exact) in [(0.5, 50_000), (0.9, 90_000), (0.99, 99_000), (1.0, 100_000)] {
            let found = took.quantile(part).as_micros();
            assert!(found >= exact && found <= exact * 103 / 100, "{part}: {found}");
        }
    }

    #[test]
    fn what_is_merged_is_counted_as_though_by_one() {
        let [mut one, mut two, mut both] =
            [const { Histogram { buckets: Vec::new(), count: 0, max: 0 } }; 3];
        for n in 1..1000_u64 {
            let took = Duration::from_micros(n * n);
            [&mut one, &mut two][usize::try_from(n % 2).unwrap()].add(took);
            both.add(took);
        }
        one.merge(&two);
        assert_eq!(one, both);
        let none = Histogram::default();
        assert_eq!((none.quantile(0.5), none.max(), none.count()), Default::default());
    }
}
