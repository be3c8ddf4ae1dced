//! How a deployment stands: bars that fill up in a terminal, or plain lines.

use std::io::{Write as _, stdout};

use mender_core::{
    Env, Mender, Time,
    deployments::{Deployment, ShownDevice, Status},
};

use crate::{commands::drawing::Drawing, failure::Failure};

/// How wide a bar is, in characters.
const WIDTH: u64 = 24;

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

/// How far a phase is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Part {
    size: u64,
    success: u64,
    failure: u64,
    running: u64,
    /// In how many seconds it begins.
    begins: u64,
}

pub(super) struct Bars {
    env: Env,
    drawing: Drawing,
    shown: Vec<Part>,
}

impl Bars {
    pub(super) fn new(is_terminal: bool, mender: &Mender) -> Self {
        Self { env: mender.env().clone(), drawing: Drawing::new(is_terminal), shown: Vec::new() }
    }

    /// Shows how it stands, where that is not what is shown.
    pub(super) fn show(
        &mut self,
        deployment: &Deployment,
        devices: &[ShownDevice],
    ) -> Result<(), Failure> {
        let mut parts = parts(deployment, devices, self.env.now());
        if !self.drawing.is_terminal() {
            // A line for every second would be all that is read.
            parts.iter_mut().for_each(|part| part.begins = part.begins.min(1));
        }
        if parts == self.shown {
            return Ok(());
        }
        let text = match self.drawing.is_terminal() {
            true => self.drawn(&parts),
            false => self.changed(&parts),
        };
        self.shown = parts;
        let written = stdout().lock().write_all(text.as_bytes());
        written.map_err(|e| Failure::new(format!("standard output: {e}")))
    }

    /// Draws bars over those before.
    fn drawn(&mut self, parts: &[Part]) -> String {
        let line = |(n, part)| format!("phase {}  {}", n + 1, self.bar(part));
        let lines: Vec<String> = parts.iter().enumerate().map(line).collect();
        self.drawing.over(&lines)
    }

    /// Writes a line for each phase that is not as it was.
    fn changed(&self, parts: &[Part]) -> String {
        let mut text = String::new();
        for (n, part) in
            parts.iter().enumerate().filter(|(n, part)| self.shown.get(*n) != Some(part))
        {
            match part.begins {
                0 => text.push_str(&format!("phase {}: {}\n", n + 1, numbers(part))),
                _ => text.push_str(&format!("phase {}: later\n", n + 1)),
            }
        }
        text
    }

    fn bar(&self, part: &Part) -> String {
        let Part { size, success, failure, running, begins } = *part;
        let width = |upto: u64| {
            let width = WIDTH * upto.min(size) / size.max(1);
            usize::try_from(width).unwrap_or_default()
        };
        let (ok, bad) = (width(success), width(success + failure) - width(success));
        let at = width(success + failure + running) - width(success + failure);
        let left = width(size) - ok - bad - at;
        let painted = |colour, text: &str, times| self.drawing.painted(colour, &text.repeat(times));
        let bar = [
            painted(GREEN, "#", ok),
            painted(RED, "x", bad),
            painted(YELLOW, "=", at),
            ".".repeat(left),
        ];
        // All numbers of a phase that has not begun are 0.
        let numbers = match begins {
            0 => numbers(part),
            _ => format!("{size:2} devices, begins in {begins} s"),
        };
        format!("[{}] {numbers}", bar.concat())
    }
}

fn numbers(part: &Part) -> String {
    let Part { size, success, failure, running, .. } = part;
    format!("{success:2} success {failure:2} failure {running:2} running, of {size:2}")
}

fn parts(deployment: &Deployment, devices: &[ShownDevice], now: Time) -> Vec<Part> {
    let phases = &deployment.rollout.phases;
    let before: u64 = phases.iter().filter_map(|phase| phase.devices).sum();
    let part = |phase: &mender_core::deployments::Phase| {
        let size = phase.devices.unwrap_or(deployment.max_devices.saturating_sub(before));
        let mut part = Part { size, ..Part::default() };
        let wait = phase.starts.map_or(0, |starts| starts.since(now).as_millis().div_ceil(1000));
        part.begins = u64::try_from(wait).unwrap_or(u64::MAX);
        for device in devices.iter().filter(|device| device.phase.as_ref() == Some(&phase.id)) {
            match device.row.status {
                Status::Success => part.success += 1,
                status if status.is_final() => part.failure += 1,
                _ => part.running += 1,
            }
        }
        part
    };
    phases.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(is_coloured: bool) -> Bars {
        let drawing = Drawing::on_terminal(is_coloured);
        Bars { env: Env::system(), drawing, shown: Vec::new() }
    }

    #[test]
    fn a_bar_is_as_full_as_its_phase() {
        let part = Part { size: 12, success: 6, failure: 1, running: 2, begins: 0 };
        let bar = bars(false).bar(&part);
        let drawn = format!("[{}xx===={}]", "#".repeat(12), ".".repeat(6));
        assert_eq!(bar, format!("{drawn}  6 success  1 failure  2 running, of 12"));
        let later = Part { size: 5, begins: 7, ..Part::default() };
        assert!(bars(false).bar(&later).ends_with("]  5 devices, begins in 7 s"));
        assert!(!bar.contains('\x1b') && bars(true).bar(&part).contains("\x1b[31mxx\x1b[0m"));
    }

    #[test]
    fn lines_tell_what_changed() {
        let was = [
            Part { size: 5, running: 1, ..Part::default() },
            Part { begins: 1, ..Part::default() },
        ];
        let bars = Bars { shown: was.to_vec(), ..bars(false) };
        assert_eq!(bars.changed(&was), "");
        let now = [Part { success: 1, running: 0, ..was[0] }, was[1]];
        assert_eq!(bars.changed(&now), "phase 1:  1 success  0 failure  0 running, of  5\n");
    }

    #[test]
    fn bars_are_drawn_over_those_before() {
        let (parts, mut bars) = ([Part::default(); 3], bars(false));
        assert!(!bars.drawn(&parts).contains("\x1b[J"));
        assert!(bars.drawn(&parts).starts_with("\x1b[3A\x1b[J"));
    }

    #[test]
    fn a_bar_fits_into_a_terminal() {
        let many = Part { size: 999, success: 500, failure: 100, running: 100, begins: 0 };
        for part in [many, Part { size: 999, begins: 86_400, ..Part::default() }] {
            let line = format!("phase 9  {}", bars(false).bar(&part));
            assert!(line.len() < 80, "{line}");
        }
    }
}
