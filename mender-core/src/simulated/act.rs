use std::time::Duration;

use super::Update;
use crate::{
    deployments::{DeploymentId, Message, Request, Status},
    env::Time,
    inventory::NewAttribute,
};

/// What a device wants to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Nothing before then.
    Wait(Time),
    /// To ask for a token.
    Authenticate,
    /// To say what it has, in place of what it said before.
    Inventory(Vec<NewAttribute>),
    /// To ask for an update.
    Poll(Request),
    /// To fetch an artifact.
    Download {
        /// Where it is.
        uri: String,
        /// How many bytes are there already.
        from: u64,
        /// How many bytes it has, where that is known.
        size: Option<u64>,
        /// Whether the connection breaks off halfway through the rest.
        breaks: bool,
    },
    /// To say how far it is.
    Report {
        /// The deployment.
        deployment: DeploymentId,
        /// How far.
        status: Status,
        /// What else there is to say.
        substate: &'static str,
    },
    /// To send what it wrote down.
    Log {
        /// The deployment.
        deployment: DeploymentId,
        /// The lines.
        messages: Vec<Message>,
    },
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was done; of a poll: there is nothing to do.
    Done,
    /// There is something to install.
    Update(Update),
    /// Bytes of the artifact have come.
    Downloaded {
        /// How many are there, fewer than all where the connection broke.
        got: u64,
        /// How many it has.
        size: u64,
    },
    /// The token is not valid, or there is none for this device: 401.
    Unauthenticated,
    /// The deployment was aborted, or the device contradicts itself: 409.
    Aborted,
    /// Any other refusal.
    Refused,
    /// No answer, or one that promises that it goes better later: 429 and 5xx.
    Unavailable {
        /// How long the server wants to be left alone.
        after: Option<Duration>,
    },
}

/// What decides what a device does: [`super::Simulated`], or logic of your own.
pub trait Logic {
    /// Returns what the device is recognised by, as JSON; it never changes.
    fn identity(&self) -> String;

    /// Returns what it does now. Unless it waits, [`Logic::answered`] comes next.
    fn next(&mut self, now: Time) -> Act;

    /// Takes what came of what it did.
    fn answered(&mut self, now: Time, answer: Answer);
}

/// What a device is at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// It has not asked for a token since it was switched on.
    Off,
    /// It was not given a token, and tries again.
    Refused,
    /// It has nothing to do.
    Idle,
    /// It fetches an artifact.
    Downloading,
    /// It installs.
    Installing,
    /// It reboots.
    Rebooting,
    /// It says how an update ended.
    Reporting,
    /// It does nothing any more.
    Stuck,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Off,
        Self::Refused,
        Self::Idle,
        Self::Downloading,
        Self::Installing,
        Self::Rebooting,
        Self::Reporting,
        Self::Stuck,
    ];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Refused => "refused",
            Self::Idle => "idle",
            Self::Downloading => "downloading",
            Self::Installing => "installing",
            Self::Rebooting => "rebooting",
            Self::Reporting => "reporting",
            Self::Stuck => "stuck",
        }
    }
}
