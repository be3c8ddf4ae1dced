//! Two servers over one fleet, and the calls that are measured.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mender::{
    Mender,
    auth::{AuthRequest, Config},
    http::{
        self, Gateway, Settings,
        serve::{Listener, Stop},
    },
    store::SqlStore,
};
use mender_core::testing::TestDevice;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    identity, is_pending,
    support::{
        Fault,
        client::{Client, auth_request},
        load::scattered,
        rounds::Call,
    },
};

/// The most devices that are asked for; those of a large fleet are everywhere in the tables.
pub(crate) const CALLS: usize = 10_000;

/// So few devices are remembered that a token is never in memory when it comes again.
const FORGETFUL: usize = 64;

/// A server that runs.
struct Server {
    mender: Mender,
    public: SocketAddr,
    internal: SocketAddr,
    tokens: Vec<String>,
}

/// A fleet with its servers.
pub(crate) struct Fleet {
    pub(crate) size: usize,
    pub(crate) failed: Arc<AtomicUsize>,
    known: Arc<Vec<Vec<u8>>>,
    usual: Server,
    forgetful: Server,
    stop: CancellationToken,
    running: TaskTracker,
}

pub(crate) fn requests(numbers: &[usize], seed: u64) -> Vec<AuthRequest> {
    let request = |n: &usize| TestDevice::new(&identity(*n), seed).request();
    numbers.iter().map(request).collect()
}

/// The requests of these devices as they go over the wire.
fn on_the_wire(numbers: &[usize]) -> Vec<Vec<u8>> {
    let request = |request: AuthRequest| {
        auth_request(&String::from_utf8_lossy(&request.body), &request.signature)
    };
    requests(numbers, 1).into_iter().map(request).collect()
}

/// Has every device ask for a token.
async fn tokens(client: &Client, known: &[Vec<u8>]) -> Result<Vec<String>, Fault> {
    let ask = |request: &'_ Vec<u8>| {
        let request = request.clone();
        async move { client.ask(&request).await.map(|(_, token)| token) }
    };
    Ok(stream::iter(known).map(ask).buffer_unordered(64).try_collect().await?)
}

impl Fleet {
    pub(crate) async fn new(store: &SqlStore, size: usize) -> Result<Self, Fault> {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let accepted = scattered(size, CALLS, |n| !is_pending(n));
        let known = Arc::new(on_the_wire(&accepted));
        let server = async |auth: Config| {
            let builder = Mender::builder().stores(store.clone()).ephemeral_keys();
            let mender = builder.auth_config(auth).build()?;
            let (runs, until) = (mender.clone(), stop.clone());
            running.spawn(async move { runs.run(until).await });
            let routers =
                http::server(&mender, &Settings::new(mender.env().clone()), Gateway::None);
            let listen = |router| {
                let listener = Listener::bind("127.0.0.1:0")?;
                let address = listener.address()?;
                let stop = Stop { soft: stop.clone(), hard: stop.clone() };
                running.spawn(async move {
                    if let Err(error) = listener.serve(router, stop).await {
                        eprintln!("{error}");
                    }
                });
                Ok::<_, Fault>(address)
            };
            let (public, internal) = (listen(routers.public)?, listen(routers.internal)?);
            let tokens = tokens(&Client::new(public), &known).await?;
            Ok::<_, Fault>(Server { mender, public, internal, tokens })
        };
        let usual = server(Config::default()).await?;
        let forgetful = server(Config { remembered: FORGETFUL, ..Config::default() }).await?;
        let failed = Arc::default();
        let fleet = Self { size, failed, known: known.clone(), usual, forgetful, stop, running };
        // Their first contact is recorded, and the tokens of the usual server are remembered.
        for server in [&fleet.usual, &fleet.forgetful] {
            let verify = fleet.verify(server);
            stream::iter(0..known.len()).for_each(|n| verify(n)).await;
            server.mender.auth().record_contacts().await?;
        }
        Ok(fleet)
    }

    pub(crate) fn mender(&self) -> &Mender {
        &self.usual.mender
    }

    /// Requests in turn, each of which is answered with this status.
    fn call(&self, to: SocketAddr, requests: Arc<Vec<Vec<u8>>>, status: &'static str) -> Call {
        let (client, failed) = (Arc::new(Client::new(to)), self.failed.clone());
        Arc::new(move |n| {
            let (client, requests, failed) = (client.clone(), requests.clone(), failed.clone());
            async move {
                let answer = client.ask(&requests[n % requests.len()]).await;
                let good = answer.is_ok_and(|(line, _)| line.contains(status));
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
            }
            .boxed()
        })
    }

    fn verify(&self, server: &Server) -> Call {
        let requests = server.tokens.iter().map(|token| verification(token)).collect();
        self.call(server.internal, Arc::new(requests), " 200 ")
    }

    /// The paths that cost the same with every fleet.
    pub(crate) fn paths(&self) -> [(&'static str, Call); 3] {
        [
            // A device that has a token asks for another one.
            ("auth request, known key", self.call(self.usual.public, self.known.clone(), " 200 ")),
            ("token not in memory", self.verify(&self.forgetful)),
            ("token in memory", self.verify(&self.usual)),
        ]
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

/// A gateway's question whether a token is good.
fn verification(token: &str) -> Vec<u8> {
    format!(
        "GET /api/internal/v1/devauth/tokens/verify HTTP/1.1\r\nHost: bench\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
    .into_bytes()
}
