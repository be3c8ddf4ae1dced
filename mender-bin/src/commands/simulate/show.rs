//! How a fleet stands, on standard error: a table that stays in its place, or plain lines.

use std::io::{IsTerminal as _, Write as _, stderr};

use mender_http::simulate::Report;

use crate::commands::drawing::Drawing;

const BOLD: u8 = 1;
const RED: u8 = 31;

pub(super) struct Screen(Drawing);

impl Screen {
    pub(super) fn new() -> Self {
        Self(Drawing::new(stderr().is_terminal()))
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }

    pub(super) fn show(&mut self, report: &Report) {
        let text = if self.is_terminal() { self.table(report) } else { report.line() + "\n" };
        // Nobody can be told that it could not be written.
        let _ = stderr().lock().write_all(text.as_bytes());
    }

    /// Takes the table away.
    pub(super) fn clear(&mut self) {
        let _ = stderr().lock().write_all(self.0.away().as_bytes());
    }

    fn table(&mut self, report: &Report) -> String {
        let table = report.to_string();
        let painted = |(n, line): (usize, &str)| match n {
            0 | 1 => self.0.painted(BOLD, line),
            _ if line.starts_with("errors:") && !report.errors.is_empty() => {
                self.0.painted(RED, line)
            }
            _ => line.to_owned(),
        };
        let lines: Vec<String> = table.lines().enumerate().map(painted).collect();
        self.0.over(&lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            server: "http://h".into(),
            devices: 1,
            seconds: 2.0,
            requests: 0,
            requests_per_second: 0.0,
            kinds: Default::default(),
            errors: Vec::new(),
            states: [("off", 1)].into(),
            runs: Default::default(),
            reports: Default::default(),
            downloaded_bytes: 0,
            wrong_checksums: 0,
        }
    }

    #[test]
    fn a_table_is_drawn_over_the_one_before() {
        let mut screen = Screen(Drawing::on_terminal(true));
        let first = screen.table(&report());
        assert!(first.contains("\x1b[1m") && !first.contains("\x1b[J"), "{first:?}");
        let lines = first.lines().count();
        assert!(screen.table(&report()).starts_with(&format!("\x1b[{lines}A\x1b[J")));
    }

    #[test]
    fn without_colour_there_is_none() {
        let table = Screen(Drawing::on_terminal(false)).table(&report());
        assert!(!table.contains("\x1b[1m") && !table.contains("\x1b[0m"), "{table:?}");
    }
}
