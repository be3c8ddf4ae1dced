//! Simulated devices against a server in the same process.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::{
    auth::Preauthorization,
    ctx::Ctx,
    deployments::Instructions,
    env::Time,
    error::{Error, Kind, Result},
    id::DeviceId,
    inventory::How,
    mender::Mender,
    simulated::{Act, Answer, Logic, Simulated, Update},
    testing::{TestDevice, TestEnv},
};

/// Does what devices want of a server.
pub trait Carry {
    /// Returns what a user tells the server of a device with this identity beforehand.
    fn announcement(&self, identity: &str) -> Preauthorization;

    /// Does what a device wants, and returns what came of it.
    fn carry<D: Logic + Send>(
        &self,
        member: &mut Member<D>,
        act: Act,
    ) -> impl Future<Output = Answer> + Send;
}

/// Does what devices want by calls of the library. Bytes are not fetched: all are there at once.
#[derive(Clone, Debug)]
pub struct Courier {
    mender: Mender,
}

/// A device, and its token.
#[derive(Clone, Debug)]
pub struct Member<D = Simulated> {
    /// The device.
    pub device: D,
    /// Its token; empty where it has none.
    pub token: Box<str>,
}

impl<D> From<D> for Member<D> {
    fn from(device: D) -> Self {
        Self { device, token: "".into() }
    }
}

impl<D: Logic> Member<D> {
    /// Returns the device's identity with a key; all devices of a fleet have the same key.
    #[must_use]
    pub fn keyed(&self) -> TestDevice {
        keyed(&self.device.identity())
    }
}

fn keyed(identity: &str) -> TestDevice {
    TestDevice::new(identity, 1)
}

fn refusal(error: &Error) -> Answer {
    match error.kind {
        Kind::Unauthenticated => Answer::Unauthenticated,
        Kind::Conflict => Answer::Aborted,
        Kind::TooMany { wait } => Answer::Unavailable { after: Some(wait) },
        Kind::Unavailable | Kind::Internal => Answer::Unavailable { after: None },
        _ => Answer::Refused,
    }
}

impl Courier {
    /// Brings everything to this server.
    #[must_use]
    pub fn new(mender: Mender) -> Self {
        Self { mender }
    }

    async fn answer(&self, identity: &str, token: &mut Box<str>, act: Act) -> Result<Answer> {
        let auth = self.mender.auth();
        if act == Act::Authenticate {
            *token = auth.request("", &keyed(identity).request()).await?.into();
            return Ok(Answer::Done);
        }
        let verified = auth.verify(token, "").await?;
        self.as_device(&verified.ctx, &verified.device, act).await
    }

    async fn as_device(&self, ctx: &Ctx, device: &DeviceId, act: Act) -> Result<Answer> {
        let deployments = self.mender.deployments();
        match act {
            Act::Wait(_) | Act::Authenticate => {}
            Act::Inventory(new) => {
                self.mender.inventory().report(ctx, device, new, How::Replace).await?;
            }
            Act::Poll(request) => {
                let told = deployments.next(ctx, device, &request, "http://localhost").await?;
                // What devices are to be configured by, another program of theirs does.
                if let Some(Instructions::Install { deployment, artifact, link, .. }) = told {
                    let artifact_name = artifact.content.name.as_str().into();
                    let (uri, size) = (link.uri, Some(artifact.size));
                    let update = Update { deployment, artifact_name, uri, size };
                    return Ok(Answer::Update(update));
                }
            }
            Act::Download { from, size, breaks, .. } => {
                let size = size.unwrap_or_default();
                let got = if breaks { u64::midpoint(from, size) } else { size };
                return Ok(Answer::Downloaded { got, size });
            }
            Act::Report { deployment, status, substate } => {
                deployments.report(ctx, &deployment, device, status, substate).await?;
            }
            Act::Log { deployment, messages } => {
                deployments.put_log(ctx, &deployment, device, messages).await?;
            }
        }
        Ok(Answer::Done)
    }
}

impl Carry for Courier {
    fn announcement(&self, identity: &str) -> Preauthorization {
        keyed(identity).preauthorization(false)
    }

    async fn carry<D: Logic + Send>(&self, member: &mut Member<D>, act: Act) -> Answer {
        let identity = member.device.identity();
        match self.answer(&identity, &mut member.token, act).await {
            Ok(answer) => answer,
            Err(error) => refusal(&error),
        }
    }
}

/// What a device did.
#[derive(Clone, Debug)]
pub struct Step {
    /// The place of the device in the fleet.
    pub member: usize,
    /// What it wanted.
    pub act: Act,
    /// What came of it.
    pub answer: Answer,
}

/// A fleet on virtual time: of all devices, the one that is due first does what it wants, and time
/// passes until then. What devices are like is up to their [`Logic`], how their requests reach the
/// server to [`Carry`].
///
/// ```
/// use std::time::Duration;
///
/// use mender_core::{
///     Ctx, Mender,
///     inventory::AttributeName,
///     testing::{Fleet, Profile, Simulated, TestEnv},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let time = TestEnv::seeded(1);
/// let mender = Mender::in_memory().env(time.env()).build()?;
/// let mut fleet = Fleet::new(mender.clone(), time);
/// let profile = Profile::default().into();
/// let (ctx, now) = (Ctx::system(Default::default()), fleet.now());
/// let id = fleet.enlist(&ctx, Simulated::new(1, &profile, 1, now)).await?;
/// fleet.run(Duration::from_secs(3600)).await;
/// let known = mender.inventory().device(&ctx, &id).await?;
/// let runs = known.attributes.value(&AttributeName::inventory("artifact_name"));
/// assert_eq!(runs.and_then(|value| value.as_text()), Some("release-1"));
/// # Ok::<_, mender_core::Error>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fleet<D = Simulated, C = Courier> {
    mender: Mender,
    courier: C,
    clock: TestEnv,
    now: Time,
    /// Devices, and when each is due; none: it left.
    members: Vec<(Member<D>, Option<Time>)>,
    /// Who is due when. What differs from what the member says is out of date.
    due: BinaryHeap<Reverse<(Time, usize)>>,
}

impl<D: Logic + Send> Fleet<D> {
    /// An empty fleet of a server whose clock this is.
    #[must_use]
    pub fn new(mender: Mender, clock: TestEnv) -> Self {
        Self::over(mender.clone(), clock, Courier::new(mender))
    }

    /// Has devices reach another server from now on, for instance the same after a restart.
    pub fn connect(&mut self, mender: Mender) {
        self.courier = Courier::new(mender.clone());
        self.mender = mender;
    }
}

impl<D: Logic + Send, C: Carry> Fleet<D, C> {
    /// An empty fleet of a server whose clock this is, and which is reached like this.
    #[must_use]
    pub fn over(mender: Mender, clock: TestEnv, courier: C) -> Self {
        let now = mender.env().now();
        Self { mender, courier, clock, now, members: Vec::new(), due: BinaryHeap::new() }
    }

    /// Returns the time by the clocks of the devices: that of the server may be set while they run.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Takes in a device, which the server is told of, and returns the id that it gets there.
    ///
    /// # Errors
    /// Those of [`crate::auth::Service::preauthorize`].
    pub async fn enlist(&mut self, ctx: &Ctx, device: D) -> Result<DeviceId> {
        let member = Member::from(device);
        let announced = self.courier.announcement(&member.device.identity());
        let id = self.mender.auth().preauthorize(ctx, &announced).await?;
        self.members.push((member, None));
        self.wake(self.members.len() - 1, self.now);
        Ok(id)
    }

    /// Returns a device.
    #[must_use]
    pub fn device(&self, member: usize) -> &D {
        &self.members[member].0.device
    }

    /// Changes a device.
    pub fn change(&mut self, member: usize, change: impl FnOnce(&mut D, Time)) {
        change(&mut self.members[member].0.device, self.now);
        if self.members[member].1.is_some() {
            self.wake(member, self.now);
        }
    }

    /// Takes a device away for good.
    pub fn dismiss(&mut self, member: usize) {
        self.members[member].1 = None;
    }

    fn wake(&mut self, member: usize, at: Time) {
        self.members[member].1 = Some(at);
        self.due.push(Reverse((at, member)));
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.clock.advance(time);
    }

    /// Returns the place of the device that is due first, and when that is.
    pub fn due(&mut self) -> Option<(usize, Time)> {
        loop {
            let Reverse((at, member)) = *self.due.peek()?;
            if self.members[member].1 == Some(at) {
                return Some((member, at));
            }
            self.due.pop();
        }
    }

    /// Has the device that is due first do one thing, where it is due before `until`.
    pub async fn step(&mut self, until: Time) -> Option<Step> {
        loop {
            let (member, at) = self.due().filter(|(_, at)| *at < until)?;
            self.due.pop();
            self.pass(at.since(self.now));
            let known = &mut self.members[member].0;
            match known.device.next(self.now) {
                Act::Wait(until) => self.wake(member, until),
                act => {
                    let answer = self.courier.carry(known, act.clone()).await;
                    known.device.answered(self.now, answer.clone());
                    self.wake(member, self.now);
                    return Some(Step { member, act, answer });
                }
            }
        }
    }

    /// Has the devices do what they want for so long.
    pub async fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until).await.is_some() {}
        self.pass(until.since(self.now));
    }
}
