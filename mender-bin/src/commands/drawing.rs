//! Lines that stay in their place in a terminal.

use crate::telemetry;

/// What is drawn again and again.
#[derive(Debug)]
pub(super) struct Drawing {
    is_terminal: bool,
    is_coloured: bool,
    /// How many lines are there.
    lines: usize,
}

impl Drawing {
    /// Nothing yet.
    pub(super) fn new(is_terminal: bool) -> Self {
        Self { is_terminal, is_coloured: is_terminal && telemetry::wants_colours(), lines: 0 }
    }

    /// Nothing on a terminal.
    #[cfg(test)]
    pub(super) fn on_terminal(is_coloured: bool) -> Self {
        Self { is_terminal: true, is_coloured, lines: 0 }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Returns a text in a colour, or another kind of letters, by its number.
    pub(super) fn painted(&self, colour: u8, text: &str) -> String {
        match self.is_coloured && !text.is_empty() {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.into(),
        }
    }

    /// Returns what draws lines over those that are there.
    pub(super) fn over(&mut self, lines: &[String]) -> String {
        let mut text = self.away();
        self.lines = lines.len();
        for line in lines {
            // A long line would need two: the others would not stay where they are.
            text.push_str(&format!("\x1b[?7l{line}\x1b[?7h\n"));
        }
        text
    }

    /// Returns what deletes the lines that are there.
    pub(super) fn away(&mut self) -> String {
        match std::mem::take(&mut self.lines) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_those_before_however_long() {
        let mut drawing = Drawing::on_terminal(false);
        let long = "x".repeat(1000);
        let two = [long.clone(), "second".into()];
        let whole = |line: &str| format!("\x1b[?7l{line}\x1b[?7h\n");
        let drawn = whole(&long) + &whole("second");
        assert_eq!(drawing.over(&two), drawn);
        assert_eq!(drawing.over(&two[1..]), format!("\x1b[2A\x1b[J{}", whole("second")));
        assert_eq!(drawing.away(), "\x1b[1A\x1b[J");
        assert_eq!(drawing.away(), "");
    }

    #[test]
    fn without_colours_text_stays_as_it_is() {
        assert_eq!(Drawing::on_terminal(false).painted(31, "x"), "x");
        assert_eq!(Drawing::on_terminal(true).painted(31, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Drawing::on_terminal(true).painted(31, ""), "");
    }
}
