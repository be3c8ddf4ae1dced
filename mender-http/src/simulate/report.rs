//! What a fleet did.

use std::{collections::BTreeMap, fmt, time::Duration};

use mender_core::{deployments::Status, simulated::State};
use serde::Serialize;

use super::{histogram::Histogram, wire::Kind};

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    took: [Histogram; Kind::ALL.len()],
    failed: [u64; Kind::ALL.len()],
    errors: BTreeMap<(Kind, String), u64>,
    states: [u64; State::ALL.len()],
    runs: BTreeMap<String, u64>,
    reports: BTreeMap<Status, u64>,
    bytes: u64,
    corrupt: u64,
}

impl Tally {
    pub(crate) fn request(&mut self, kind: Kind, took: Duration, error: Option<String>) {
        self.took[kind as usize].add(took);
        if let Some(error) = error {
            self.failed[kind as usize] += 1;
            *self.errors.entry((kind, error)).or_default() += 1;
        }
    }

    pub(crate) fn download(&mut self, bytes: u64, is_corrupt: bool) {
        self.bytes += bytes;
        self.corrupt += u64::from(is_corrupt);
    }

    /// A device is in this state now; in the other, if any, no more.
    pub(crate) fn state(&mut self, was: Option<State>, is: State) {
        if let Some(was) = was {
            self.states[was as usize] -= 1;
        }
        self.states[is as usize] += 1;
    }

    /// A device runs this now; the other, if any, no more.
    pub(crate) fn runs(&mut self, was: Option<&str>, is: &str) {
        if let Some(count) = was.and_then(|was| self.runs.get_mut(was)) {
            *count -= 1;
        }
        match self.runs.get_mut(is) {
            Some(count) => *count += 1,
            None => drop(self.runs.insert(is.to_owned(), 1)),
        }
    }

    pub(crate) fn reported(&mut self, status: Status) {
        *self.reports.entry(status).or_default() += 1;
    }

    pub(crate) fn count(&self, state: State) -> u64 {
        self.states[state as usize]
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.took.iter_mut().zip(&other.took).for_each(|(to, more)| to.merge(more));
        self.failed.iter_mut().zip(other.failed).for_each(|(to, more)| *to += more);
        self.states.iter_mut().zip(other.states).for_each(|(to, more)| *to += more);
        for (key, more) in &other.errors {
            *self.errors.entry(key.clone()).or_default() += more;
        }
        for (name, more) in &other.runs {
            *self.runs.entry(name.clone()).or_default() += more;
        }
        for (status, more) in &other.reports {
            *self.reports.entry(*status).or_default() += more;
        }
        self.bytes += other.bytes;
        self.corrupt += other.corrupt;
    }

    pub(crate) fn report(&self, server: &str, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let kind = |kind: Kind| {
            let took = &self.took[kind as usize];
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            let latency = Latency {
                requests: took.count(),
                failed: self.failed[kind as usize],
                per_second: per_second(took.count()),
                p50_ms: ms(took.quantile(0.5)),
                p90_ms: ms(took.quantile(0.9)),
                p99_ms: ms(took.quantile(0.99)),
                max_ms: ms(took.max()),
            };
            (took.count() > 0).then_some((kind.as_str(), latency))
        };
        let requests = self.took.iter().map(Histogram::count).sum();
        let error = |((kind, error), count): (&(Kind, String), &u64)| Failed {
            request: kind.as_str(),
            error: error.clone(),
            count: *count,
        };
        let states = State::ALL.into_iter().filter(|state| self.count(*state) > 0);
        let runs = self.runs.iter().filter(|(_, count)| **count > 0);
        Report {
            server: server.into(),
            devices: self.states.iter().sum(),
            seconds,
            requests,
            requests_per_second: per_second(requests),
            kinds: Kind::ALL.into_iter().filter_map(kind).collect(),
            errors: self.errors.iter().map(error).collect(),
            states: states.map(|state| (state.as_str(), self.count(state))).collect(),
            runs: runs.map(|(name, count)| (name.clone(), *count)).collect(),
            reports: self.reports.iter().map(|(status, n)| (status.as_str(), *n)).collect(),
            downloaded_bytes: self.bytes,
            wrong_checksums: self.corrupt,
        }
    }
}

/// What a fleet did, and how it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The server.
    pub server: String,
    /// How many devices there are.
    pub devices: u64,
    /// How long it took.
    pub seconds: f64,
    /// How many requests were answered, or failed.
    pub requests: u64,
    /// How many in a second.
    pub requests_per_second: f64,
    /// The requests of each kind that there were.
    pub kinds: BTreeMap<&'static str, Latency>,
    /// What failed.
    pub errors: Vec<Failed>,
    /// How many devices are in each state.
    pub states: BTreeMap<&'static str, u64>,
    /// How many devices run what.
    pub runs: BTreeMap<String, u64>,
    /// How many reports of each status the server took.
    pub reports: BTreeMap<&'static str, u64>,
    /// How many bytes of artifacts came.
    pub downloaded_bytes: u64,
    /// How many downloads were not what they should have been.
    pub wrong_checksums: u64,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// How many.
    pub requests: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many in a second.
    pub per_second: f64,
    /// What half of them did not exceed, in milliseconds.
    pub p50_ms: f64,
    /// What nine of ten did not exceed.
    pub p90_ms: f64,
    /// What 99 of 100 did not exceed.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Requests that failed alike.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failed {
    /// Their kind.
    pub request: &'static str,
    /// The status of the answer, or why there was none.
    pub error: String,
    /// How many.
    pub count: u64,
}

fn list<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> String {
    let all: Vec<_> = all.map(|(name, count)| format!("{count} {name}")).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

impl Report {
    /// Returns how it stands, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let failed: u64 = self.kinds.values().map(|kind| kind.failed).sum();
        format!(
            "{:.0} s: {} requests ({:.1}/s), {failed} failed; devices: {}; running: {}",
            self.seconds,
            self.requests,
            self.requests_per_second,
            list(self.states.iter().map(|(name, count)| (*name, *count))),
            list(self.runs.iter().map(|(name, count)| (name.as_str(), *count))),
        )
    }
}

impl fmt::Display for Report {
    /// Writes a table of some lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} devices of {}, {:.0} s: {} requests, {:.1}/s",
            self.devices, self.server, self.seconds, self.requests, self.requests_per_second
        )?;
        writeln!(
            f,
            "{:<13}{:>10}{:>8}{:>9}{:>10}{:>10}{:>10}{:>10}",
            "request", "count", "failed", "/s", "p50 ms", "p90 ms", "p99 ms", "max ms"
        )?;
        for (name, kind) in &self.kinds {
            let Latency { requests, failed, per_second, p50_ms, p90_ms, p99_ms, max_ms } = kind;
            writeln!(
                f,
                "{name:<13}{requests:>10}{failed:>8}{per_second:>9.1}{p50_ms:>10.1}{p90_ms:>10.1}\
                 {p99_ms:>10.1}{max_ms:>10.1}"
            )?;
        }
        let states = list(self.states.iter().map(|(name, count)| (*name, *count)));
        let runs = list(self.runs.iter().map(|(name, count)| (name.as_str(), *count)));
        let reports = list(self.reports.iter().map(|(name, count)| (*name, *count)));
        writeln!(f, "devices:  {states}")?;
        writeln!(f, "running:  {runs}")?;
        writeln!(f, "reported: {reports}")?;
        writeln!(f, "fetched:  {:.1} MB", self.downloaded_bytes as f64 / 1e6)?;
        let errors = self.errors.iter().map(|failed| {
            let Failed { request, error, count } = failed;
            format!("{count} {request} {error}")
        });
        let errors: Vec<_> = errors.collect();
        write!(f, "errors:   {}", if errors.is_empty() { "none".into() } else { errors.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_reported_by_kind_state_and_error() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.state(None, State::Off);
        one.state(Some(State::Off), State::Idle);
        one.runs(None, "r1");
        one.runs(Some("r1"), "r2");
        two.state(None, State::Stuck);
        two.runs(None, "r1");
        two.reported(Status::Success);
        one.request(Kind::Poll, Duration::from_millis(10), None);
        two.request(Kind::Poll, Duration::from_millis(20), Some("503".into()));
        two.request(Kind::Log, Duration::from_millis(30), None);
        two.download(2_000_000, true);
        one.merge(&two);
        let report = one.report("http://h", Duration::from_secs(2));
        assert_eq!((report.devices, report.requests), (2, 3));
        let poll = report.kinds["poll"];
        assert_eq!((poll.requests, poll.failed, poll.per_second), (2, 1, 1.0));
        assert!((10.0..10.4).contains(&poll.p50_ms) && poll.max_ms == 20.0, "{poll:?}");
        let failed = Failed { request: "poll", error: "503".into(), count: 1 };
        assert_eq!(report.errors, [failed]);
        assert_eq!(report.states, BTreeMap::from([("idle", 1), ("stuck", 1)]));
        assert_eq!(report.runs, BTreeMap::from([("r1".to_owned(), 1), ("r2".to_owned(), 1)]));
        let text = report.to_string();
        assert!(
            text.contains("errors:   1 poll 503") && text.contains("fetched:  2.0 MB"),
            "{text}"
        );
        assert_eq!(
            report.line(),
            "2 s: 3 requests (1.5/s), 1 failed; devices: 1 idle, 1 stuck; running: 1 r1, 1 r2"
        );
    }
}
