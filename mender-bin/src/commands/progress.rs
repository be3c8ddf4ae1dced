//! How far a long command is, on standard error where a person may be reading.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often the line is written.
const PERIOD: Duration = Duration::from_millis(200);

/// How wide the bar is, in characters.
const WIDTH: u64 = 30;

pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    begun: Instant,
    shown: Mutex<Option<Instant>>,
    is_seen: bool,
}

impl Progress {
    /// The progress of a command that goes through so many things.
    pub(crate) fn of(what: &'static str, total: Option<u64>) -> Self {
        let is_seen = stderr().is_terminal();
        Self { what, total, begun: Instant::now(), shown: Mutex::default(), is_seen }
    }

    /// Says how many are done.
    pub(crate) fn show(&self, done: u64) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_seen || shown.is_some_and(|at| at.elapsed() < PERIOD) {
            return;
        }
        *shown = Some(Instant::now());
        // Nobody can be told that it could not be written.
        let _ = write!(stderr(), "\r{}", self.line(done));
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_some() {
            let _ = write!(stderr(), "\r{:80}\r", "");
        }
    }

    fn line(&self, done: u64) -> String {
        let seconds = self.begun.elapsed().as_secs().max(1);
        let speed = format!("{done} {} ({}/s)", self.what, done / seconds);
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{speed:80}");
        };
        let full = usize::try_from(WIDTH * done.min(total) / total).unwrap_or_default();
        let width = usize::try_from(WIDTH).unwrap_or_default();
        let bar = format!("[{:width$}] {:3}%", "#".repeat(full), 100 * done.min(total) / total);
        format!("{:80}", format!("{bar} {speed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        let progress = Progress::of("devices", Some(200));
        assert!(progress.line(0).starts_with(&format!("[{}]   0% 0 devices", " ".repeat(30))));
        assert!(progress.line(100).starts_with(&format!(
            "[{}{}]  50%",
            "#".repeat(15),
            " ".repeat(15)
        )));
        assert!(progress.line(999).contains("] 100%"));
        assert!(Progress::of("rows", None).line(7).starts_with("7 rows (7/s)"));
    }
}
