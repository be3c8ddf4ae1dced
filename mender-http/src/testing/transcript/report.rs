//! What came out of playing transcripts.

use std::fmt;

/// A step that did not answer as expected.
#[derive(Clone, Debug)]
pub struct Failure {
    /// File, number, name and request of the step.
    pub step: String,
    /// How the answer differs.
    pub differences: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAIL {}", self.step)?;
        let shown = self.differences.iter().take(8);
        shown.into_iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// The result of one or more transcripts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many steps answered as expected.
    pub passed: usize,
    /// The steps that did not.
    pub failed: Vec<Failure>,
    /// How many steps were not tried: their area or artifact is not built, or an earlier step
    /// failed.
    pub skipped: usize,
    /// Files left out as a whole, and artifacts that were not built, with the reason.
    pub left_out: Vec<String>,
}

impl Report {
    /// Adds another result.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped += other.skipped;
        self.left_out.extend(other.left_out);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failed {
            writeln!(f, "{failure}")?;
        }
        for file in &self.left_out {
            writeln!(f, "left out: {file}")?;
        }
        let (passed, failed, skipped) = (self.passed, self.failed.len(), self.skipped);
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
