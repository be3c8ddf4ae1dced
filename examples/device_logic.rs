//! A property test of device logic of your own, against a server in memory on virtual time:
//! `cargo run --example device_logic`.
//!
//! The product is a pump with two slots for software: the boot loader tries an update once, and
//! goes back where it does not come up. Power fails at any moment. A thousand pumps live through
//! seven days over the whole HTTP stack, without a socket. An argument is another seed. Claims:
//!
//! - no pump ever runs a slot that was not written to its end;
//! - before the second phase begins, no more pumps are updated than the first one has;
//! - in the end the server counts as many successes as pumps run the new release.

use std::time::Duration;

use mender::{
    Ctx, Mender, Time,
    artifacts::{
        NewArtifact,
        format::{FileRecipe, Recipe, Software},
    },
    deployments::{Batch, Course, NewDeployment, NewPhase, Phases, Request, Status, Whom},
    http::simulate::{Courier, InProcess, Keyring},
    simulated::{Act, Answer, Logic, Update},
    testing::{Fleet, TestEnv},
};

const PUMPS: u32 = 1000;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Idle,
    Begin,
    Fetch,
    Write,
    Boot,
    End(Status),
}

/// What runs on the product; here a simplified copy of its state machine.
struct Pump {
    number: u32,
    /// What is in the slots; none: it was not written to its end.
    slots: [Option<String>; 2],
    runs: usize,
    update: Option<Update>,
    step: Step,
    has_token: bool,
    wakes: Time,
    dice: u64,
}

impl Pump {
    fn new(number: u32, seed: u64, now: Time) -> Self {
        let (slots, runs) = ([Some("release-1".to_owned()), None], 0);
        let (update, step, has_token) = (None, Step::Idle, false);
        let dice = seed << 32 | u64::from(number) << 1 | 1;
        let wakes = now + Duration::from_secs(u64::from(number % 3600));
        Self { number, slots, runs, update, step, has_token, wakes, dice }
    }

    fn software(&self) -> &str {
        self.slots[self.runs].as_deref().unwrap_or("nothing that was written to its end")
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) % bound
    }

    /// The boot loader: it tries the new slot, and stays there if that comes up.
    fn boot(&mut self) -> Status {
        let other = 1 - self.runs;
        let comes_up = self.slots[other].is_some() && self.below(20) > 0;
        self.runs = if comes_up { other } else { self.runs };
        if comes_up { Status::Success } else { Status::Failure }
    }

    fn advance(&mut self, answer: Answer) -> Step {
        let power_fails = self.below(50) == 0;
        self.has_token &= !power_fails;
        match (self.step, answer) {
            (Step::Idle, Answer::Update(update)) => {
                self.update = Some(update);
                Step::Begin
            }
            (Step::Idle | Step::End(_), _) => Step::Idle,
            (_, Answer::Aborted | Answer::Refused) => Step::End(Status::Failure),
            (Step::Fetch, Answer::Downloaded { got, size }) if got == size => Step::Write,
            (Step::Begin | Step::Fetch, _) => Step::Fetch,
            (Step::Write, _) => {
                let new = self.update.as_ref().map(|update| update.artifact_name.to_string());
                self.slots[1 - self.runs] = new.filter(|_| !power_fails);
                if power_fails { Step::End(Status::Failure) } else { Step::Boot }
            }
            (Step::Boot, _) => Step::End(self.boot()),
        }
    }
}

impl Logic for Pump {
    fn identity(&self) -> String {
        format!(r#"{{"serial":"{}"}}"#, self.number)
    }

    fn next(&mut self, now: Time) -> Act {
        if now < self.wakes {
            return Act::Wait(self.wakes);
        }
        if !self.has_token {
            return Act::Authenticate;
        }
        let status = match (self.step, &self.update) {
            (Step::Fetch, Some(update)) => {
                let uri = update.uri.clone();
                return Act::Download { uri, from: 0, size: None, breaks: false };
            }
            (Step::Begin, _) => Status::Downloading,
            (Step::Write, _) => Status::Installing,
            (Step::Boot, _) => Status::Rebooting,
            (Step::End(status), _) => status,
            (Step::Idle | Step::Fetch, _) => {
                let (artifact_name, device_type) = (self.software().to_owned(), "pump".to_owned());
                return Act::Poll(Request { artifact_name, device_type, ..Request::default() });
            }
        };
        self.update.as_ref().map_or(Act::Wait(now + HOUR), |update| {
            let deployment = update.deployment.clone();
            Act::Report { deployment, status, substate: "" }
        })
    }

    fn answered(&mut self, now: Time, answer: Answer) {
        match answer {
            Answer::Unavailable { after } => self.wakes = now + after.unwrap_or(HOUR / 12),
            Answer::Unauthenticated => (self.has_token, self.wakes) = (false, now + HOUR / 60),
            _ if !self.has_token => self.has_token = true,
            answer => {
                self.step = self.advance(answer);
                let wait = if self.step == Step::Idle { 12 * 3600 + self.below(600) } else { 20 };
                self.wakes = now + Duration::from_secs(wait);
            }
        }
    }
}

async fn week(seed: u64) -> Result<(u64, u64), Box<dyn std::error::Error>> {
    let time = TestEnv::seeded(seed);
    let mender = Mender::in_memory().env(time.env()).public_url("http://localhost").build()?;
    let ctx = Ctx::system(Default::default());
    let files = vec![FileRecipe::new("pump.bin", 5)];
    let recipe = Recipe::module("pump", "release-2", ["pump"], files, Some(&Software::default()));
    let bytes = futures_util::stream::iter([Ok(recipe.build(&[b"bytes"], None)?.into())]);
    mender.artifacts().upload(&ctx, NewArtifact::default(), bytes).await?;

    let server = InProcess::from(mender::http::router(mender.clone()));
    let mut fleet = Fleet::over(mender.clone(), time, Courier::new(server, Keyring::seeded(seed)));
    let (start, mut pumps) = (fleet.now(), Vec::new());
    for number in 0..PUMPS {
        pumps.push(fleet.enlist(&ctx, Pump::new(number, seed, start)).await?);
    }
    let first = NewPhase { batch: Some(Batch::Percent(10)), ..NewPhase::default() };
    let later = NewPhase { starts: Some(start + HOUR * 48), ..NewPhase::default() };
    let course = Course { phases: Some(Phases::Each(vec![first, later])), ..Course::default() };
    let (name, artifact_name) = ("week".into(), "release-2".into());
    let (force_installation, whom) = (false, Whom::Devices(pumps));
    let new = NewDeployment { name, artifact_name, force_installation, whom, course };
    let id = mender.deployments().create(&ctx, new).await?;

    let updated = |fleet: &Fleet<Pump, _>| {
        let all = (0..PUMPS as usize).map(|n| fleet.device(n).software());
        let is_new = |runs: &&str| {
            assert!(["release-1", "release-2"].contains(runs), "a pump runs {runs}");
            *runs == "release-2"
        };
        all.filter(is_new).count() as u64
    };
    for hour in 0..7 * 24 {
        fleet.run(HOUR).await;
        mender.drain().await?;
        let count = updated(&fleet);
        assert!(hour >= 48 || count <= u64::from(PUMPS / 10), "{count} pumps after {hour} h");
    }
    let shown = mender.deployments().deployment(&ctx, &id).await?;
    assert!(shown.deployment.is_finished(), "some pump never came to an end");
    let of = |status| shown.tally.count(status);
    assert_eq!(of(Status::Success), updated(&fleet));
    assert_eq!(of(Status::Success) + of(Status::Failure), u64::from(PUMPS));
    Ok((of(Status::Success), of(Status::Failure)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    let (success, failure) = Box::pin(week(seed)).await?;
    println!("{success} pumps were updated, {failure} went back, and all is as it must be");
    Ok(())
}
