//! A simulated device: what a client does, as a state machine without input or output.
//!
//! Time comes in by the calls, randomness by a seed, answers by whoever carries requests to a
//! server. A device is about a hundred bytes, and has neither thread nor task: one process may hold
//! a large fleet. `testing::Fleet` drives one against a server in the same process, on virtual time;
//! `mender_http::simulate` drives one over the network. Both drive any other [`Logic`] as well.
//!
//! ```
//! use mender_core::{
//!     Time,
//!     deployments::Status,
//!     simulated::{Act, Answer, Profile, Simulated, Update},
//! };
//!
//! let mut device = Simulated::new(7, &Profile::default().into(), 1, Time(0));
//! let mut now = Time(0);
//! let mut reported = Vec::new();
//! while device.runs() != "release-2" {
//!     let answer = match device.next(now) {
//!         Act::Wait(until) => {
//!             now = until;
//!             continue;
//!         }
//!         Act::Poll(request) => {
//!             assert_eq!(request.artifact_name, "release-1");
//!             Answer::Update(Update {
//!                 deployment: "d1".parse()?,
//!                 artifact_name: "release-2".into(),
//!                 uri: "http://localhost/artifact".into(),
//!                 size: Some(10_000),
//!             })
//!         }
//!         Act::Download { .. } => Answer::Downloaded { got: 10_000, size: 10_000 },
//!         Act::Report { status, .. } => {
//!             reported.push(status);
//!             Answer::Done
//!         }
//!         Act::Authenticate | Act::Inventory(_) | Act::Log { .. } => Answer::Done,
//!     };
//!     device.answered(now, answer);
//! }
//! use Status::{Downloading, Installing, Rebooting, Success};
//! assert_eq!(reported, [Downloading, Installing, Rebooting, Installing, Success]);
//! # Ok::<_, mender_core::id::InvalidId>(())
//! ```

mod act;
mod profile;
#[cfg(test)]
mod tests;
mod update;

use std::{sync::Arc, time::Duration};

use crate::{
    deployments::{DeploymentId, Request, Status},
    env::Time,
    inventory::{AttributeName, NewAttribute, Value},
};

pub use act::{Act, Answer, Logic, State};
pub use profile::{Chances, Profile};
pub use update::Update;
use update::{Next, Work};

/// What the answer that comes is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doing {
    Nothing,
    Token,
    Inventory,
    Poll,
    Work,
    Echo,
}

/// A report that arrives once more, long after.
#[derive(Clone, Debug)]
struct Echo {
    at: Time,
    deployment: DeploymentId,
    status: Status,
}

/// The device.
#[derive(Clone, Debug)]
pub struct Simulated {
    profile: Arc<Profile>,
    /// What it runs.
    runs: Arc<str>,
    /// The state of its randomness.
    dice: u64,
    number: u32,
    /// It does nothing before then.
    wakes: Time,
    polls: Time,
    tells: Time,
    /// The update that it is at: it outlives a power cut.
    work: Option<Box<Work>>,
    echo: Option<Box<Echo>>,
    doing: Doing,
    has_token: bool,
    is_stuck: bool,
    /// How often in a row it was not answered.
    tries: u8,
}

/// How often a device repeats what must not be lost.
const TRIES: u8 = 10;

/// How long a device takes to boot.
const BOOT: Duration = Duration::from_secs(20);

impl Simulated {
    /// The device of a fleet that has this number; its dice fall by that and the seed. It is
    /// switched on within one interval of polls from `starts` on.
    #[must_use]
    pub fn new(number: u32, profile: &Arc<Profile>, seed: u64, starts: Time) -> Self {
        let mut device = Self {
            runs: profile.artifact_name.as_str().into(),
            profile: profile.clone(),
            dice: seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ u64::from(number) << 32,
            number,
            wakes: starts,
            polls: starts,
            tells: starts,
            work: None,
            echo: None,
            doing: Doing::Nothing,
            has_token: false,
            is_stuck: false,
            tries: 0,
        };
        device.wakes = starts + device.part_of(profile.polls);
        device
    }

    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns what it is recognised by, as JSON.
    #[must_use]
    pub fn identity(&self) -> String {
        let [a, b, c, d] = self.number.to_be_bytes();
        format!(r#"{{"mac":"02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"}}"#)
    }

    /// Returns the name of what it runs.
    #[must_use]
    pub fn runs(&self) -> &str {
        &self.runs
    }

    /// Returns what its type is.
    #[must_use]
    pub fn device_type(&self) -> &str {
        &self.profile.device_type
    }

    /// Returns the deployment that it is at.
    #[must_use]
    pub fn is_at(&self) -> Option<&DeploymentId> {
        self.work.as_ref().map(|work| &work.update.deployment)
    }

    /// Tells whether it does nothing any more, until somebody cuts the power.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Has it be switched on within so long from `starts` on.
    #[must_use]
    pub fn within(mut self, starts: Time, ramp: Duration) -> Self {
        self.wakes = starts + self.part_of(ramp);
        self
    }

    /// Has it be one that was there before: it runs this, and may have a token.
    #[must_use]
    pub fn resumed(mut self, runs: &str, has_token: bool) -> Self {
        self.runs = runs.into();
        self.has_token = has_token;
        self
    }

    /// Returns what it is at, in one word.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.work {
            _ if self.is_stuck => State::Stuck,
            Some(work) => work.state(self.profile.reboots.is_some()),
            None if self.has_token => State::Idle,
            None if self.tries > 0 => State::Refused,
            None => State::Off,
        }
    }

    /// Has it behave otherwise from now on; an update that has begun ends as it was to.
    pub fn behave(&mut self, profile: &Arc<Profile>) {
        self.profile = profile.clone();
    }

    /// Has it do at once what it waits for.
    pub fn hurry(&mut self, now: Time) {
        (self.wakes, self.polls) = (now, now);
    }

    /// Cuts the power, and gives it back. What is in memory is lost: the token, bytes that were
    /// fetched, and what it was about to do. An update that has begun is known, and undone, unless
    /// it was at its reboot anyway or had ended.
    pub fn cut(&mut self, now: Time) {
        let boots = self.profile.reboots.is_some();
        self.work = self.work.take().and_then(|work| work.after_cut(boots));
        self.doing = Doing::Nothing;
        (self.has_token, self.is_stuck, self.tries) = (false, false, 0);
        (self.tells, self.polls) = (now, now);
        self.wakes = now + BOOT + self.part_of(BOOT);
    }

    /// Returns what it does now. Unless it waits, [`Simulated::answered`] comes next; asked again
    /// before that, it begins anew.
    pub fn next(&mut self, now: Time) -> Act {
        self.doing = Doing::Nothing;
        if self.is_stuck {
            return Act::Wait(Time(i64::MAX));
        }
        if now < self.wakes {
            return Act::Wait(self.wakes);
        }
        if !self.has_token {
            self.doing = Doing::Token;
            return Act::Authenticate;
        }
        if let Some(echo) = self.echo.as_ref().filter(|echo| echo.at <= now) {
            self.doing = Doing::Echo;
            let (deployment, status) = (echo.deployment.clone(), echo.status);
            return Act::Report { deployment, status, substate: "" };
        }
        if let Some(work) = self.work.take() {
            self.doing = Doing::Work;
            let breaks = work.next == Next::Fetch && self.chance(self.profile.chances.broken);
            let act = work.act(now, breaks);
            self.work = Some(work);
            return act;
        }
        if self.tells <= now {
            self.doing = Doing::Inventory;
            return Act::Inventory(self.inventory());
        }
        if self.polls <= now {
            self.doing = Doing::Poll;
            return Act::Poll(self.request());
        }
        let echo = self.echo.as_ref().map_or(self.polls, |echo| echo.at);
        Act::Wait(self.tells.min(self.polls).min(echo))
    }

    /// Takes what came of what it did.
    pub fn answered(&mut self, now: Time, answer: Answer) {
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        let mut has_failed = match answer {
            Answer::Unauthenticated => {
                self.has_token = false;
                if doing == Doing::Token {
                    self.retry(now, None);
                }
                return;
            }
            Answer::Unavailable { after } => {
                self.retry(now, after);
                self.tries < TRIES
            }
            _ => false,
        };
        match doing {
            Doing::Nothing => {}
            Doing::Token => self.has_token = !has_failed && answer == Answer::Done,
            Doing::Work => has_failed |= self.is_held_up(now, &answer),
            _ if has_failed => {}
            Doing::Inventory => self.tells = now + self.about(self.profile.inventories),
            Doing::Echo => self.echo = None,
            Doing::Poll => match answer {
                Answer::Update(update) => self.begin(update),
                _ => self.polls = now + self.about(self.profile.polls),
            },
        }
        if !has_failed {
            self.tries = 0;
        }
        if doing == Doing::Work && self.chance(self.profile.chances.cut) {
            self.cut(now);
        }
    }

    fn begin(&mut self, update: Update) {
        let Chances { failure, stuck, .. } = self.profile.chances;
        let (fails, sticks) = (self.chance(failure), self.chance(stuck));
        // Some get stuck before they say anything.
        let sticks_at = sticks.then(|| Next::ALL[self.below(4)]);
        let is_installed = *update.artifact_name == *self.runs;
        self.work = Some(Box::new(Work::new(update, is_installed, fails, sticks_at)));
    }

    /// Goes on with an update after an answer. Tells whether it does the same once more.
    fn is_held_up(&mut self, now: Time, answer: &Answer) -> bool {
        let Some(mut work) = self.work.take() else { return false };
        let repeat = self.profile.chances.repeat;
        let (was, done) = (work.next, work.status());
        let repeats = *answer == Answer::Done && !work.is_repeated && self.chance(repeat);
        work.is_repeated |= repeats;
        if repeats || !work.advance(answer, self.tries, &self.profile) {
            self.work = Some(work);
            // Bytes that stopped coming may come after a while.
            if matches!(answer, Answer::Downloaded { .. }) {
                self.retry(now, None);
            }
            return !repeats;
        }
        work.is_repeated = false;
        let deployment = work.update.deployment.clone();
        self.wakes = now;
        match was {
            Next::Install => self.wakes = now + self.about(self.profile.installs),
            Next::Reboot => {
                self.wakes = now + self.about(self.profile.reboots.unwrap_or_default());
                self.has_token = false;
            }
            _ => {}
        }
        if was == Next::End {
            self.echo_later(now, deployment, done);
        }
        if work.next == Next::Nothing {
            if work.has_succeeded() {
                self.runs = work.update.artifact_name;
            }
            (self.tells, self.polls) = (now, now);
        } else {
            self.is_stuck = work.sticks();
            self.work = Some(work);
        }
        false
    }

    /// Has a report of an update that ended arrive once more, much later.
    fn echo_later(&mut self, now: Time, deployment: DeploymentId, last: Status) {
        if self.chance(self.profile.chances.late) {
            let said = [Status::Downloading, Status::Installing, last];
            let status = said[self.below(said.len())];
            let at = now + self.part_of(self.profile.polls.saturating_mul(4));
            self.echo = Some(Box::new(Echo { at, deployment, status }));
        }
    }

    /// Waits until it tries again, the longer the more often it tried.
    fn retry(&mut self, now: Time, after: Option<Duration>) {
        let times = 2_u32.pow(u32::from(self.tries / 3).min(8));
        let doubled = self.profile.retry.saturating_mul(times);
        let wait = after.unwrap_or(doubled.min(self.profile.retries));
        self.tries = self.tries.saturating_add(1);
        self.wakes = now + wait + self.part_of(wait / 4);
    }

    fn request(&self) -> Request {
        Request {
            artifact_name: self.runs.as_ref().to_owned(),
            device_type: self.profile.device_type.clone(),
            ..Request::default()
        }
    }

    fn inventory(&self) -> Vec<NewAttribute> {
        let text = |name: &str, value: &str| {
            let name = AttributeName::inventory(name);
            NewAttribute::new(name, Value::Text(value.to_owned()))
        };
        let mut all = vec![
            text("artifact_name", &self.runs),
            text("device_type", &self.profile.device_type),
            text("hostname", &format!("device-{}", self.number)),
        ];
        all.extend(self.profile.attributes.iter().map(|(name, value)| text(name, value)));
        all
    }

    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.roll().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    /// Tells whether something happens that happens so often of a thousand times.
    fn chance(&mut self, of_thousand: u16) -> bool {
        of_thousand > 0 && self.roll() % 1000 < u64::from(of_thousand)
    }

    /// A part of a time.
    fn part_of(&mut self, whole: Duration) -> Duration {
        let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.roll().checked_rem(millis).unwrap_or(0))
    }

    /// A time, a tenth longer at most: devices that began together drift apart.
    fn about(&mut self, time: Duration) -> Duration {
        time.saturating_add(self.part_of(time / 10))
    }
}

impl Logic for Simulated {
    fn identity(&self) -> String {
        self.identity()
    }

    fn next(&mut self, now: Time) -> Act {
        self.next(now)
    }

    fn answered(&mut self, now: Time, answer: Answer) {
        self.answered(now, answer);
    }
}
