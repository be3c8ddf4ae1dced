use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use mender_core::{
    Env, Time,
    simulated::{Simulated, State},
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    courier::Courier,
    fault::Fault,
    kept::{Devices, Kept, Known},
    keys::Keyring,
    plan::{Plan, Storm},
    report::{Report, Tally},
    shard::{Beat, Order, Shard, Unit, Whom, lock},
    transport::{InProcess, Transport},
    user::{self, Among, LOOKS, LOOKS_FAR, Session},
    wire,
};

/// A fleet that can begin.
#[derive(Debug)]
pub struct Simulation<T = Client> {
    plan: Plan,
    courier: Courier<T>,
    session: Option<Session<T>>,
    kept: Option<Kept>,
    known: Devices,
    watch: Watch,
    inboxes: Vec<mpsc::UnboundedReceiver<Order>>,
    starts: Time,
}

/// Looks at a fleet while it runs, and does things to it.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: String,
    begun: OnceLock<Instant>,
    /// One for each part of the fleet, and one for its user.
    tallies: Vec<Arc<Mutex<Tally>>>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
}

impl Watch {
    fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.0.tallies.iter().for_each(|tally| all.merge(&lock(tally)));
        all
    }

    /// Returns what the fleet did so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let elapsed = self.0.begun.get().map_or(Duration::ZERO, Instant::elapsed);
        self.tally().report(&self.0.server, elapsed)
    }

    fn order(&self, order: Order) {
        for part in &self.0.orders {
            // A part that has ended needs nothing any more.
            let _ = part.send(order);
        }
    }

    /// Has so many devices of a thousand do at once what they wait for.
    pub fn hurry(&self, share: u16) {
        self.order(Order { whom: Whom::Share(share), what: Simulated::hurry });
    }

    /// Cuts the power of so many devices of a thousand, and gives it back.
    pub fn cut(&self, share: u16) {
        self.order(Order { whom: Whom::Share(share), what: Simulated::cut });
    }

    fn hurry_one(&self, number: u32) {
        self.order(Order { whom: Whom::One(number), what: Simulated::hurry });
    }

    fn awaits_acceptance(&self) -> bool {
        self.0.tallies.iter().any(|tally| lock(tally).count(State::Refused) > 0)
    }
}

/// Asks as a device that has nothing to say, which every server refuses as malformed.
async fn check(transport: &impl Transport, server: &str) -> Result<(), Fault> {
    let mut request = Request::new(Bytes::from_static(b"{}"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/api/devices/v1/authentication/auth_requests");
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let read = match transport.send(request).await {
        Ok(answer) => wire::read(answer).await,
        Err(lost) => Err(lost),
    };
    let (status, _, body) = read.map_err(|lost| user::unreachable(server, &lost))?;
    let is_json = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    // One that is too busy is one.
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if (status == StatusCode::BAD_REQUEST && is_json) || is_busy {
        return Ok(());
    }
    Err(Fault::Stranger { server: server.into(), status: status.as_u16() })
}

impl Simulation {
    /// Looks whether the server is there, logs in, and reads the file of keys.
    ///
    /// # Errors
    /// Whatever a [`Fault`] may be.
    pub async fn prepare(plan: Plan, env: &Env) -> Result<Self, Fault> {
        let client = Client::new(&plan.server, &plan.trust)?;
        let plan = Plan { server: client.server(), ..plan };
        Self::over(client, plan, env).await
    }
}

impl Simulation<InProcess> {
    /// As [`Simulation::prepare`], of a server in this process.
    ///
    /// # Errors
    /// Whatever a [`Fault`] may be.
    pub async fn in_process(server: InProcess, plan: Plan, env: &Env) -> Result<Self, Fault> {
        Self::over(server, plan, env).await
    }
}

impl<T: Transport + Clone + 'static> Simulation<T> {
    pub(super) async fn over(transport: T, plan: Plan, env: &Env) -> Result<Self, Fault> {
        if plan.devices > 0 && plan.first.checked_add(plan.devices - 1).is_none() {
            return Err(Fault::Numbers { first: plan.first, devices: plan.devices });
        }
        check(&transport, &plan.server).await?;
        let session = match &plan.user {
            Some(user) => {
                Some(Session::log_in(transport.clone(), user.clone(), &plan.server).await?)
            }
            None => None,
        };
        let opened = plan.kept.as_ref().map(|path| Kept::open(path, env)).transpose()?;
        let (kept, known) = opened.unzip();
        let keys = match &kept {
            Some(Kept { secret, .. }) => Keyring::secret(*secret),
            None => Keyring::seeded(plan.seed),
        };
        let mut courier = Courier::new(transport, keys.shares(plan.keys))
            .of_tenant(plan.tenant_token.clone())
            .old(plan.old);
        if plan.checksums {
            courier = courier.checking();
        }
        let parts = std::thread::available_parallelism().map_or(1, usize::from);
        // Each part needs a connection at least.
        let parts = parts.min(plan.connections).max(1);
        let (orders, inboxes) = (0..parts).map(|_| mpsc::unbounded_channel()).unzip();
        let tallies = (0..=parts).map(|_| Arc::default()).collect();
        let server = plan.server.clone();
        let watch = Watch(Arc::new(Inner { server, begun: OnceLock::new(), tallies, orders }));
        let (known, starts) = (known.unwrap_or_default(), env.now());
        Ok(Self { plan, courier, session, kept, known, watch, inboxes, starts })
    }

    /// Returns what looks at it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Has the devices do what they want until they are stopped, and returns what they did;
    /// [`Watch::report`] tells it where they ended by a fault as well.
    ///
    /// # Errors
    /// [`Fault::Kept`] where keys and tokens can't be written in the end, [`Fault::Broken`] where
    /// a part of the fleet panicked: the whole one is stopped then.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Report, Fault> {
        let begun = *self.watch.0.begun.get_or_init(Instant::now);
        let beat = Beat { begun, at: self.starts };
        let courier = Arc::new(self.courier);
        let mut parts = Vec::new();
        let (each, left) = {
            let (all, parts) = (self.plan.connections.max(1), self.inboxes.len().max(1));
            (all / parts, all % parts)
        };
        for (n, inbox) in self.inboxes.drain(..).enumerate() {
            let tally = &self.watch.0.tallies[n];
            let limit = each + usize::from(n < left);
            parts.push(Shard::new(courier.clone(), beat, limit, inbox, tally.clone()));
        }
        for (n, part) in (0..self.plan.devices).zip((0..parts.len()).cycle()) {
            let number = self.plan.first + n;
            let profile = self.plan.kind(n);
            let device = Simulated::new(number, &profile, self.plan.seed, self.starts);
            let device = device.within(self.starts, self.plan.ramp);
            match self.known.get(&number) {
                Some(Known { runs, token, .. }) => {
                    parts[part].enlist(device.resumed(runs, !token.is_empty()), token);
                }
                None => parts[part].enlist(device, ""),
            }
        }
        drop(self.known);
        let mut running = JoinSet::new();
        for part in parts {
            let stop = stop.clone();
            running.spawn(async move {
                let _stops_all = stop.clone().drop_guard();
                part.run(stop).await.collect::<Vec<Unit>>()
            });
        }
        let user = accept(self.session, &self.plan, &courier, &self.watch);
        let storms = storms(&self.plan.storms, &self.watch);
        tokio::select! {
            () = stop.cancelled() => {}
            ((), ()) = async { tokio::join!(Box::pin(user), storms) } => stop.cancelled().await,
        }
        let (mut units, mut broken) = (Vec::new(), None);
        while let Some(part) = running.join_next().await {
            match part {
                Ok(part) => units.extend(part),
                Err(error) => broken = Some(Fault::Broken(error.to_string())),
            }
        }
        if let Some(kept) = self.kept {
            kept.save(units.into_iter().map(|unit| Known {
                number: unit.device.number(),
                runs: unit.device.runs().to_owned(),
                token: unit.papers.token.into(),
            }))?;
        }
        broken.map_or_else(|| Ok(self.watch.report()), Err)
    }
}

/// The devices with the numbers of a plan.
struct Numbers<'a>(&'a Plan);

impl user::Known for Numbers<'_> {
    fn number(&self, identity: &serde_json::Value) -> Option<(u32, String)> {
        let mac = identity.get("mac")?.as_str()?;
        let digits: String = mac.strip_prefix("02:00:")?.split(':').collect();
        let number = u32::from_str_radix(&digits, 16).ok()?;
        let Plan { first, devices, .. } = self.0;
        let is_known = number.checked_sub(*first).is_some_and(|n| n < *devices);
        let device = Simulated::new(number, &self.0.kind(0), 0, Time(0));
        is_known.then(|| (number, device.identity()))
    }
}

/// Accepts devices as they come.
async fn accept<T: Transport>(
    session: Option<Session<T>>,
    plan: &Plan,
    courier: &Courier<T>,
    watch: &Watch,
) {
    let (Some(mut session), Some(tally)) = (session, watch.0.tallies.last()) else { return };
    let mut looked_far = Instant::now();
    loop {
        if watch.awaits_acceptance() {
            let is_time = looked_far.elapsed() >= LOOKS_FAR;
            let among = if is_time { Among::All } else { Among::Pending };
            let known = Numbers(plan);
            let done = session.accept(&plan.server, among, &known, courier.keys(), tally).await;
            if is_time || !done.is_empty() {
                looked_far = Instant::now();
            }
            done.iter().for_each(|number| watch.hurry_one(*number));
            if !done.is_empty() {
                continue;
            }
        }
        tokio::time::sleep(LOOKS).await;
    }
}

async fn storms(storms: &[Storm], watch: &Watch) {
    let mut storms = storms.to_vec();
    storms.sort_by_key(|storm| storm.at);
    let begun = Instant::now();
    for storm in storms {
        let Some(at) = begun.checked_add(storm.at) else { return };
        tokio::time::sleep_until(at).await;
        watch.cut(storm.share);
    }
}
