//! Why a device gets something, or nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::env::Time;

/// What decided about a deployment when a device asked. Phases are numbered from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Reason {
    /// The device is told to install it.
    Install,
    /// Its rows are still being written.
    Filling,
    /// It has ended.
    Ended,
    /// The device has ended it.
    Done,
    /// The device has ended a newer one since.
    Older,
    /// A newer one of higher priority came first.
    Superseded,
    /// Its first phase has yet to begin.
    Scheduled {
        /// When it does.
        starts: Time,
    },
    /// As many devices as the phase has are at it, or were.
    PhaseFull {
        /// The phase.
        phase: usize,
        /// When the next one begins.
        next: Option<Time>,
    },
    /// The phase has yet to be approved.
    Unapproved {
        /// The phase.
        phase: usize,
    },
    /// It is paused.
    Paused,
    /// No maintenance window is open.
    OutsideWindow {
        /// When the next one opens.
        opens: Time,
    },
    /// As much is being fetched as may be.
    BudgetUsed,
    /// As many devices have joined as may.
    DevicesReached,
    /// The device is not accepted, or does not fit the filter.
    NoMatch,
    /// The delta for the device is being made.
    MakingDelta,
    /// Nothing of the release fits the device.
    NoArtifact,
    /// The device has it.
    AlreadyInstalled,
    /// The device says something else than before.
    Contradiction,
    /// Another one comes first.
    Later,
}

/// What was decided about a row when its device asked, and since when it is so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What decided.
    #[serde(flatten)]
    pub reason: Reason,
    /// When the device first got this answer.
    pub since: Time,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install => f.write_str("the device is told to install it"),
            Self::Filling => f.write_str("it is still being created"),
            Self::Ended => f.write_str("it has ended"),
            Self::Done => f.write_str("the device has ended it"),
            Self::Older => f.write_str("the device has ended a newer one since"),
            Self::Superseded => f.write_str("a newer one of higher priority came first"),
            Self::Scheduled { starts } => write!(f, "it begins at {starts}"),
            Self::PhaseFull { phase, next: Some(next) } => {
                write!(f, "phase {phase} is full; the next one begins at {next}")
            }
            Self::PhaseFull { phase, next: None } => write!(f, "phase {phase} is full"),
            Self::Unapproved { phase } => write!(f, "phase {phase} has yet to be approved"),
            Self::Paused => f.write_str("it is paused"),
            Self::OutsideWindow { opens } => {
                write!(f, "no maintenance window is open; the next one opens at {opens}")
            }
            Self::BudgetUsed => f.write_str("as much is being fetched as may be"),
            Self::DevicesReached => f.write_str("as many devices have joined as may"),
            Self::NoMatch => f.write_str("the device is not accepted, or does not fit the filter"),
            Self::MakingDelta => f.write_str("a delta is being made for the device"),
            Self::NoArtifact => f.write_str("no artifact of the release fits the device"),
            Self::AlreadyInstalled => f.write_str("the device has it already"),
            Self::Contradiction => {
                f.write_str("the device said something else than when it first asked")
            }
            Self::Later => f.write_str("another one comes first"),
        }
    }
}

impl Reason {
    /// Returns its name, as it is stored and on the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Filling => "filling",
            Self::Ended => "ended",
            Self::Done => "done",
            Self::Older => "older",
            Self::Superseded => "superseded",
            Self::Scheduled { .. } => "scheduled",
            Self::PhaseFull { .. } => "phase_full",
            Self::Unapproved { .. } => "unapproved",
            Self::Paused => "paused",
            Self::OutsideWindow { .. } => "outside_window",
            Self::BudgetUsed => "budget_used",
            Self::DevicesReached => "devices_reached",
            Self::NoMatch => "no_match",
            Self::MakingDelta => "making_delta",
            Self::NoArtifact => "no_artifact",
            Self::AlreadyInstalled => "already_installed",
            Self::Contradiction => "contradiction",
            Self::Later => "later",
        }
    }

    /// Returns what would have to change for the device to get it; nothing where it gets it.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Install => return None,
            Self::Filling => "it opens by itself, soon",
            Self::Ended => "a new deployment has to be created",
            Self::Done | Self::Older | Self::Superseded => {
                "a new deployment has to be created, or the history of the device reset"
            }
            Self::Scheduled { .. } => "its first phase has to begin",
            Self::PhaseFull { .. } => "the next phase has to begin",
            Self::Unapproved { .. } => "another user than its creator has to approve the phase",
            Self::Paused => "a user has to resume it",
            Self::OutsideWindow { .. } => "a maintenance window has to open",
            Self::BudgetUsed => "other devices have to fetch what they were told to",
            Self::DevicesReached => "a new deployment has to be created, for more devices",
            Self::NoMatch => "the device has to be accepted and to fit the filter",
            Self::MakingDelta => "the delta has to be made",
            Self::NoArtifact => "the release needs an artifact that fits what the device provides",
            Self::AlreadyInstalled => "nothing: the device has what it would get",
            Self::Contradiction => "the device has to say what it did when it first asked",
            Self::Later => "the one that comes first has to end",
        })
    }
}
