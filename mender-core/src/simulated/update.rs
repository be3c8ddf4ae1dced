//! The course of one update on a device.

use std::sync::Arc;

use super::{Act, Answer, Profile, State, TRIES};
use crate::{
    deployments::{DeploymentId, Message, Status},
    env::Time,
};

/// What a server tells a device to install.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The name of the artifact.
    pub artifact_name: Arc<str>,
    /// Where it is.
    pub uri: String,
    /// How many bytes it has, where the server says so.
    pub size: Option<u64>,
}

/// What a device does next for an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// It says that it downloads.
    Begin,
    Fetch,
    /// It says that it installs, and does.
    Install,
    /// It says that it reboots, and does.
    Reboot,
    /// It asks for the last time whether it may go on.
    Commit,
    /// It says how it ended.
    End,
    /// It sends its log.
    Log,
    Nothing,
}

impl Next {
    pub(super) const ALL: [Self; 4] = [Self::Fetch, Self::Install, Self::Reboot, Self::Commit];
}

/// What comes of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Succeeds,
    Fails,
    IsInstalled,
}

/// An update that a device is at.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) update: Update,
    pub(super) next: Next,
    /// How many bytes are there.
    pub(super) got: u64,
    /// Whether what comes next was done once, as though its answer was lost.
    pub(super) is_repeated: bool,
    fate: Fate,
    /// Where the device falls silent.
    sticks_at: Option<Next>,
}

impl Work {
    pub(super) fn new(
        update: Update,
        is_installed: bool,
        fails: bool,
        sticks_at: Option<Next>,
    ) -> Self {
        let (next, fate) = match (is_installed, fails) {
            (true, _) => (Next::End, Fate::IsInstalled),
            (false, true) => (Next::Begin, Fate::Fails),
            (false, false) => (Next::Begin, Fate::Succeeds),
        };
        Self { update, next, got: 0, is_repeated: false, fate, sticks_at }
    }

    /// Returns the status that belongs to what comes next.
    pub(super) fn status(&self) -> Status {
        match (self.next, self.fate) {
            (Next::Begin | Next::Fetch, _) => Status::Downloading,
            (Next::Install | Next::Commit, _) => Status::Installing,
            (Next::Reboot, _) => Status::Rebooting,
            (_, Fate::Succeeds) => Status::Success,
            (_, Fate::Fails) => Status::Failure,
            (_, Fate::IsInstalled) => Status::AlreadyInstalled,
        }
    }

    /// Returns what the device is at before what comes next.
    pub(super) fn state(&self, reboots: bool) -> State {
        match (self.next, self.fate) {
            (Next::Begin | Next::Fetch | Next::Install, _) => State::Downloading,
            (Next::Commit, _) if reboots => State::Rebooting,
            (Next::Reboot | Next::Commit, _) | (Next::End, Fate::Fails) => State::Installing,
            (Next::End | Next::Log | Next::Nothing, _) => State::Reporting,
        }
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.fate == Fate::Succeeds
    }

    pub(super) fn sticks(&self) -> bool {
        self.sticks_at == Some(self.next)
    }

    pub(super) fn act(&self, now: Time, breaks: bool) -> Act {
        let deployment = self.update.deployment.clone();
        match self.next {
            Next::Fetch => {
                let Update { uri, size, .. } = self.update.clone();
                Act::Download { uri, from: self.got, size, breaks }
            }
            Next::Log => {
                let line = |message: &str| Message {
                    timestamp: now.to_string(),
                    level: "error".into(),
                    message: message.into(),
                };
                let messages = vec![
                    line("ArtifactInstall: the module exited with status 1"),
                    line("the installation failed"),
                    line("rolled back"),
                ];
                Act::Log { deployment, messages }
            }
            next => {
                let substate = match next {
                    Next::Begin => "Download",
                    Next::Install => "ArtifactInstall",
                    Next::Reboot => "ArtifactReboot",
                    Next::Commit => "ArtifactCommit",
                    _ => "",
                };
                Act::Report { deployment, status: self.status(), substate }
            }
        }
    }

    /// Goes on after an answer; `tries` is how many in a row were none. Tells whether it did.
    pub(super) fn advance(&mut self, answer: &Answer, tries: u8, profile: &Profile) -> bool {
        let reboots = profile.reboots.is_some();
        let unanswered = matches!(answer, Answer::Unavailable { .. });
        // Of the first reports clients only note that nobody heard them.
        let insists = matches!(self.next, Next::Fetch | Next::Commit | Next::End | Next::Log);
        if unanswered && insists && tries < TRIES {
            return false;
        }
        let is_refused = match (self.next, answer) {
            (Next::End | Next::Log, _) => false,
            (Next::Fetch, Answer::Downloaded { got, size }) => {
                self.update.size = Some(*size);
                let is_whole = got >= size;
                self.got = if is_whole || profile.resumes { (*got).min(*size) } else { 0 };
                if !is_whole && tries < TRIES {
                    return false;
                }
                !is_whole
            }
            (Next::Fetch, _) | (_, Answer::Aborted) => true,
            (Next::Commit, _) => unanswered,
            _ => false,
        };
        if is_refused {
            (self.fate, self.next) = (Fate::Fails, Next::End);
            return true;
        }
        self.next = match (self.next, self.fate) {
            (Next::Begin, _) => Next::Fetch,
            (Next::Fetch, _) => Next::Install,
            (Next::Install, Fate::Fails) | (Next::Commit, _) => Next::End,
            (Next::Install, _) if reboots => Next::Reboot,
            (Next::Install | Next::Reboot, _) => Next::Commit,
            (Next::End, Fate::Fails) => Next::Log,
            (Next::End | Next::Log | Next::Nothing, _) => Next::Nothing,
        };
        true
    }

    /// What is left of it after the power was cut: nothing of one that nobody was told of; one
    /// that was in the middle of it is undone.
    pub(super) fn after_cut(mut self: Box<Self>, reboots: bool) -> Option<Box<Self>> {
        (self.got, self.sticks_at) = (0, None);
        match self.next {
            Next::Begin => return None,
            Next::Commit if reboots => {}
            Next::Fetch | Next::Install | Next::Reboot | Next::Commit => {
                (self.fate, self.next) = (Fate::Fails, Next::End);
            }
            Next::End | Next::Log | Next::Nothing => {}
        }
        Some(self)
    }
}
