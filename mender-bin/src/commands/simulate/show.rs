//! How a fleet stands, on standard error: a table that stays in its place, or plain lines.

use std::io::{Write as _, stderr};

use mender_http::simulate::Report;

pub(super) struct Screen {
    is_terminal: bool,
    is_coloured: bool,
    /// How many lines the table has that is there.
    lines: usize,
}

impl Screen {
    pub(super) fn new(is_terminal: bool, is_coloured: bool) -> Self {
        Self { is_terminal, is_coloured, lines: 0 }
    }

    pub(super) fn show(&mut self, report: &Report) {
        let text = if self.is_terminal { self.table(report) } else { report.line() + "\n" };
        // Nobody can be told that it could not be written.
        let _ = stderr().lock().write_all(text.as_bytes());
    }

    /// Takes the table away.
    pub(super) fn clear(&mut self) {
        let _ = stderr().lock().write_all(self.back().as_bytes());
        self.lines = 0;
    }

    /// Returns what deletes the table that is there.
    fn back(&self) -> String {
        if self.lines == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines) }
    }

    fn table(&mut self, report: &Report) -> String {
        let mut text = self.back();
        let table = report.to_string();
        self.lines = table.lines().count();
        for (n, line) in table.lines().enumerate() {
            let colour = match n {
                _ if !self.is_coloured => "",
                0 | 1 => "\x1b[1m",
                _ if line.starts_with("errors:") && !report.errors.is_empty() => "\x1b[31m",
                _ => "",
            };
            let plain = if colour.is_empty() { "" } else { "\x1b[0m" };
            // A long line would need two: the table would not stay where it is.
            text.push_str(&format!("\x1b[?7l{colour}{line}{plain}\x1b[?7h\n"));
        }
        text
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
        let mut screen = Screen::new(true, true);
        let first = screen.table(&report());
        assert!(first.contains("\x1b[1m") && !first.contains("\x1b[J"), "{first:?}");
        let lines = first.lines().count();
        assert!(screen.table(&report()).starts_with(&format!("\x1b[{lines}A\x1b[J")));
    }

    #[test]
    fn without_colour_there_is_none() {
        let table = Screen::new(true, false).table(&report());
        assert!(!table.contains("\x1b[1m") && !table.contains("\x1b[0m"), "{table:?}");
    }
}
