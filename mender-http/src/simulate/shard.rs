//! A part of a fleet: one task that holds its devices, and does what is due.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use mender_core::{
    Time,
    deployments::Status,
    simulated::{Act, Simulated, State},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    courier::{Courier, Outcome, Papers},
    report::Tally,
    transport::Transport,
};

/// How long a part of a fleet sleeps at most.
const NAP: Duration = Duration::from_secs(3600);

/// Tells the time of a fleet, which never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) begun: Instant,
    pub(super) at: Time,
}

impl Beat {
    fn now(&self) -> Time {
        self.at + self.begun.elapsed()
    }
}

/// A device.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) device: Simulated,
    pub(super) papers: Papers,
    state: State,
    due: Time,
    /// Whether a request of it is under way.
    is_away: bool,
}

/// Something that happens to a device.
type Event = fn(&mut Simulated, Time);

/// What befalls devices from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) whom: Whom,
    pub(super) what: Event,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    /// The one with this number.
    One(u32),
    /// So many of a thousand.
    Share(u16),
}

impl Whom {
    fn is(self, number: u32) -> bool {
        match self {
            Self::One(one) => one == number,
            // A prime scatters those that are meant.
            Self::Share(share) => number.wrapping_mul(2_654_435_761) % 1000 < u32::from(share),
        }
    }
}

/// A request that came back.
struct Done {
    place: usize,
    papers: Papers,
    outcome: Outcome,
    took: Duration,
    reported: Option<Status>,
}

#[derive(Debug)]
pub(super) struct Shard<T> {
    courier: Arc<Courier<T>>,
    beat: Beat,
    /// The devices, by place.
    units: Vec<Unit>,
    /// The places of devices, by number.
    places: HashMap<u32, usize>,
    /// Who is due when. What differs from what the device says is out of date.
    due: BinaryHeap<Reverse<(Time, usize)>>,
    /// How many requests are under way at a time.
    limit: usize,
    orders: mpsc::UnboundedReceiver<Order>,
    /// What befell devices while a request of theirs was under way.
    later: Vec<(u32, Event)>,
    tally: Arc<Mutex<Tally>>,
}

pub(super) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Transport> Shard<T> {
    pub(super) fn new(
        courier: Arc<Courier<T>>,
        beat: Beat,
        limit: usize,
        orders: mpsc::UnboundedReceiver<Order>,
        tally: Arc<Mutex<Tally>>,
    ) -> Self {
        let (units, places, later) = (Vec::new(), HashMap::new(), Vec::new());
        let due = BinaryHeap::new();
        Self { courier, beat, units, places, due, limit, orders, later, tally }
    }

    pub(super) fn enlist(&mut self, device: Simulated, token: &str) {
        let papers = Papers { token: token.into(), hashing: None };
        let state = device.state();
        let mut tally = lock(&self.tally);
        tally.state(None, state);
        tally.runs(None, device.runs());
        drop(tally);
        let place = self.units.len();
        self.places.insert(device.number(), place);
        self.due.push(Reverse((self.beat.at, place)));
        self.units.push(Unit { device, papers, state, due: self.beat.at, is_away: false });
    }

    fn wake(&mut self, place: usize, at: Time) {
        self.units[place].due = at;
        self.due.push(Reverse((at, place)));
    }

    /// Finds a device that wants to send a request now.
    fn ready(&mut self, now: Time) -> Option<(usize, Act)> {
        while let Some(Reverse((at, place))) = self.due.peek().copied().filter(|due| due.0.0 <= now)
        {
            self.due.pop();
            let unit = &mut self.units[place];
            if unit.is_away || unit.due != at {
                continue;
            }
            match unit.device.next(now) {
                // What waits for ever is woken by an order alone.
                Act::Wait(Time(i64::MAX)) => {}
                Act::Wait(until) => self.wake(place, until),
                act => return Some((place, act)),
            }
        }
        None
    }

    fn pause(&self, now: Time) -> Duration {
        let due = self.due.peek().map(|Reverse((at, _))| at.since(now));
        due.unwrap_or(NAP).clamp(Duration::from_millis(1), NAP)
    }

    /// Has a device send a request. The device stays: what comes of it may never be known.
    fn send(&mut self, place: usize, act: Act) -> impl Future<Output = Done> + use<T> {
        let (courier, unit) = (self.courier.clone(), &mut self.units[place]);
        unit.is_away = true;
        let (identity, token) = (unit.device.identity(), unit.papers.token.clone());
        let mut papers = Papers { token, hashing: unit.papers.hashing.take() };
        async move {
            let reported = match &act {
                Act::Report { status, .. } => Some(*status),
                _ => None,
            };
            let begun = Instant::now();
            let outcome = courier.perform(&identity, &mut papers, act).await;
            Done { place, papers, outcome, took: begun.elapsed(), reported }
        }
    }

    fn finish(&mut self, done: Done) {
        let Done { place, papers, outcome, took, reported } = done;
        let Outcome { answer, kind, error, bytes, is_corrupt } = outcome;
        let (now, unit) = (self.beat.now(), &mut self.units[place]);
        (unit.papers, unit.is_away) = (papers, false);
        let number = unit.device.number();
        let has_succeeded = reported == Some(Status::Success);
        let ran = has_succeeded.then(|| unit.device.runs().to_owned());
        let is_taken = error.is_none();
        unit.device.answered(now, answer);
        self.later.retain(|(whom, what)| {
            if *whom == number {
                what(&mut unit.device, now);
            }
            *whom != number
        });
        let mut tally = lock(&self.tally);
        tally.request(kind, took, error);
        tally.download(bytes, is_corrupt);
        if let Some(status) = reported.filter(|_| is_taken) {
            tally.reported(status);
        }
        let state = unit.device.state();
        tally.state(Some(unit.state), state);
        if let Some(ran) = ran {
            tally.runs(Some(&ran), unit.device.runs());
        }
        drop(tally);
        unit.state = state;
        self.wake(place, now);
    }

    fn befall(&mut self, Order { whom, what }: Order) {
        let now = self.beat.now();
        let places: Vec<(u32, usize)> = match whom {
            Whom::One(number) => {
                self.places.get(&number).map(|place| (number, *place)).into_iter().collect()
            }
            Whom::Share(_) => self
                .places
                .iter()
                .map(|(n, place)| (*n, *place))
                .filter(|(n, _)| whom.is(*n))
                .collect(),
        };
        for (number, place) in places {
            let unit = &mut self.units[place];
            if unit.is_away {
                self.later.push((number, what));
                continue;
            }
            what(&mut unit.device, now);
            let state = unit.device.state();
            lock(&self.tally).state(Some(unit.state), state);
            unit.state = state;
            self.wake(place, now);
        }
    }

    /// Has the devices do what they want, and returns them at the end.
    pub(super) async fn run(mut self, stop: CancellationToken) -> impl Iterator<Item = Unit> {
        let mut going = FuturesUnordered::new();
        loop {
            let now = self.beat.now();
            while going.len() < self.limit
                && let Some((place, act)) = self.ready(now)
            {
                going.push(self.send(place, act));
            }
            let pause = if going.len() < self.limit { self.pause(now) } else { NAP };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = going.next(), if !going.is_empty() => self.finish(done),
                Some(order) = self.orders.recv() => self.befall(order),
                () = tokio::time::sleep(pause) => {}
            }
        }
        // A request that takes longer is lost, as with a power cut; its device is not.
        let end = tokio::time::sleep(Duration::from_secs(2));
        tokio::pin!(end);
        while !going.is_empty() {
            tokio::select! {
                Some(done) = going.next() => self.finish(done),
                () = &mut end => break,
            }
        }
        drop(going);
        self.units.into_iter()
    }
}
