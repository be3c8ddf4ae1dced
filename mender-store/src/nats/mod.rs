//! Fleeting messages over NATS.

mod address;
mod subject;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_nats::{
    Client, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, PublishErrorKind,
    Subscriber, connection::State,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use mender_core::{
    StoreError, StoreResult, TenantId,
    bus::{Bus, Listener, Message},
};
use tokio::{
    sync::{OnceCell, mpsc, watch},
    task::unconstrained,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use address::Address;

/// How many messages a listener may be behind.
const BEHIND: usize = 1024;

/// How many messages may wait for their turn to be sent.
const WAITING: usize = 1024;

/// How long the server may take for a connection, or for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the server is asked for a sign of life; two are missed before it counts as gone.
const PULSE: Duration = Duration::from_secs(5);

/// What is known of the connection.
struct Link {
    /// Changes when messages may have been lost.
    losses: watch::Sender<u64>,
    /// Why there is no connection.
    trouble: Mutex<String>,
}

impl Link {
    fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers why there is no connection; tells whether that is another reason than before.
    fn remember(&self, trouble: &str) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != trouble;
        trouble.clone_into(&mut known);
        is_new
    }

    fn note(&self, event: &Event) {
        let lost = || self.losses.send_modify(|losses| *losses += 1);
        match event {
            Event::Connected => {
                self.remember("");
                tracing::info!("connected to NATS");
            }
            Event::Disconnected => {
                lost();
                self.remember("the connection was lost");
                tracing::warn!("the connection to NATS was lost");
            }
            // They do not say which listener it was.
            Event::SlowConsumer(_) | Event::Closed => lost(),
            // Of each attempt: told once.
            Event::ClientError(error) => {
                let trouble = match error {
                    ClientError::Other(text) => text.clone(),
                    error => error.to_string(),
                };
                if self.remember(&trouble) {
                    tracing::warn!(trouble, "NATS can't be reached: it is tried again and again");
                }
            }
            Event::ServerError(error) => tracing::warn!(%error, "NATS refuses something"),
            Event::LameDuckMode | Event::Draining => {}
        }
    }
}

/// A bus over NATS.
///
/// The subject of a message is `mender.TENANT.SUBJECT`, with `_` for the default tenant; who logs
/// in needs to publish and to subscribe below `mender.`. The server may be away when this begins
/// and at any time later, and is looked for until it is back; meanwhile nothing is taken or kept.
///
/// ```
/// use mender_store::NatsBus;
///
/// // Connects when it is first used, and as often as it takes.
/// let bus = NatsBus::open("nats://token@127.0.0.1:4222")?;
/// assert!(!format!("{bus:?}").contains("token"));
/// # Ok::<_, mender_core::StoreError>(())
/// ```
pub struct NatsBus {
    address: Address,
    link: Arc<Link>,
    client: OnceCell<Client>,
    tasks: TaskTracker,
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus").field("hosts", &self.address.to_string()).finish_non_exhaustive()
    }
}

impl NatsBus {
    /// Prepares for servers at `nats://[USER:PASSWORD@|TOKEN@]HOST:PORT[,HOST…]`, or `tls://…` for
    /// those whose certificate an authority of this machine vouches for. None need run yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the URL can't be used.
    pub fn open(url: &str) -> StoreResult<Self> {
        let link = Link { losses: watch::Sender::new(0), trouble: Mutex::default() };
        Ok(Self {
            address: Address::parse(url)?,
            link: Arc::new(link),
            client: OnceCell::new(),
            tasks: TaskTracker::new(),
        })
    }

    fn options(&self) -> ConnectOptions {
        let options = self.address.options().name("mender").connection_timeout(PATIENCE);
        options.custom_inbox_prefix(subject::OWN)
    }

    /// Begins to connect, in the background.
    async fn begin(&self) -> StoreResult<Client> {
        let (heard, alive) = (Arc::downgrade(&self.link), Arc::downgrade(&self.link));
        let options = self
            .options()
            .client_capacity(WAITING)
            .ping_interval(PULSE)
            .retry_on_initial_connect()
            // Only those that the URL names are known to be reachable, and by the right name.
            .ignore_discovered_servers()
            .reconnect_delay_callback(move |attempts| pause(&alive, attempts))
            .event_callback(move |event| {
                if let Some(link) = heard.upgrade() {
                    link.note(&event);
                }
                std::future::ready(())
            });
        options.connect(self.address.servers.clone()).await.map_err(|e| self.trouble(&e))
    }

    /// Returns the connection, where there is one.
    async fn connected(&self) -> StoreResult<&Client> {
        let client = self.client.get_or_try_init(|| self.begin()).await?;
        if client.connection_state() == State::Connected {
            return Ok(client);
        }
        let trouble = self.link.trouble();
        let why = if trouble.is_empty() { "no connection yet" } else { &trouble };
        Err(self.unreachable(why))
    }

    fn unreachable(&self, why: impl fmt::Display) -> StoreError {
        StoreError::unavailable(format!("NATS at {} can't be reached: {why}", self.address))
    }

    /// Says why a connection could not be made.
    fn trouble(&self, error: &ConnectError) -> StoreError {
        let why = match error.kind() {
            ConnectErrorKind::AuthorizationViolation if self.address.has_login() => {
                format!("NATS at {} refuses the login of the URL", self.address)
            }
            ConnectErrorKind::AuthorizationViolation => {
                format!("NATS at {} wants a login, and the URL has none", self.address)
            }
            _ => {
                let source = std::error::Error::source(error);
                return self
                    .unreachable(source.map_or_else(|| error.to_string(), ToString::to_string));
            }
        };
        StoreError::unavailable(why)
    }

    /// Waits until the server has done everything that it was told before. Whoever listens to all
    /// subjects is in nobody's way: what comes back is a message of ours.
    async fn round_trip(&self, client: &Client) -> StoreResult<()> {
        let sent = async {
            let inbox = client.new_inbox();
            let mut back = client.subscribe(inbox.clone()).await.ok()?;
            client.publish(inbox, Bytes::new()).await.ok()?;
            back.next().await
        };
        match timeout(PATIENCE, sent).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(StoreError::unavailable(format!(
                "what is sent to NATS at {} does not come back: may the login publish and \
                 subscribe below mender.?",
                self.address
            ))),
        }
    }
}

/// Returns how long to wait before the next attempt to connect; for ever, where nobody needs the
/// connection any more: the library does not end by itself while it has none.
fn pause(link: &Weak<Link>, attempts: usize) -> Duration {
    const LONGEST: Duration = Duration::from_secs(4);
    if link.strong_count() == 0 {
        return Duration::MAX;
    }
    match u32::try_from(attempts).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        attempts => Duration::from_millis(2_u64.saturating_pow(attempts - 1)).min(LONGEST),
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, message: Message) -> StoreResult<()> {
        let client = self.connected().await?;
        let subject = subject::of(&message.tenant, &message.subject);
        // Not even for room in the queue: who publishes never waits.
        match unconstrained(client.publish(subject, message.payload)).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(e)) if e.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(StoreError::TooLarge)
            }
            Some(Err(e)) => Err(self.unreachable(e)),
            None => Err(StoreError::unavailable("more is published than NATS takes")),
        }
    }

    async fn listen(&self, tenant: &TenantId, subject: &str) -> StoreResult<Box<dyn Listener>> {
        let mut losses = self.link.losses.subscribe();
        let client = self.connected().await?;
        let heard = client.subscribe(subject::of(tenant, subject));
        let heard = timeout(PATIENCE, heard).await;
        let heard = heard.map_err(|_| self.unreachable("it takes too long"))?;
        let heard = heard.map_err(|e| self.unreachable(e))?;
        tokio::select! {
            // Only from then on is it certain that nothing is missed.
            done = self.round_trip(client) => done?,
            _ = losses.changed() => return Err(self.unreachable("the connection was lost")),
        }
        let (queue, messages) = mpsc::channel(BEHIND);
        self.tasks.spawn(pass_on(heard, queue, losses));
        Ok(Box::new(NatsListener { messages, tenant: tenant.clone(), subject: subject.to_owned() }))
    }

    async fn check_bus(&self) -> StoreResult<()> {
        // A connection of its own, because its failure says more.
        let servers = self.address.servers.clone();
        let patience = PATIENCE.saturating_mul(u32::try_from(servers.len()).unwrap_or(u32::MAX));
        let connected = timeout(patience, self.options().connect(servers)).await;
        let connected = connected.map_err(|_| self.unreachable("it does not answer"))?;
        self.round_trip(&connected.map_err(|e| self.trouble(&e))?).await
    }
}

/// Passes messages on until some may be lost, or nobody listens any more. A listener that is too
/// slow loses only its own: the library's queue is always emptied.
async fn pass_on(mut from: Subscriber, to: mpsc::Sender<Bytes>, mut losses: watch::Receiver<u64>) {
    loop {
        let message = tokio::select! {
            biased;
            _ = losses.changed() => return,
            () = to.closed() => return,
            message = from.next() => message,
        };
        let Some(message) = message else { return };
        if to.try_send(message.payload).is_err() {
            return;
        }
    }
}

struct NatsListener {
    messages: mpsc::Receiver<Bytes>,
    tenant: TenantId,
    subject: String,
}

#[async_trait]
impl Listener for NatsListener {
    async fn next(&mut self) -> Option<Message> {
        let payload = self.messages.recv().await?;
        let (tenant, subject) = (self.tenant.clone(), self.subject.clone());
        Some(Message { tenant, subject, payload })
    }
}
