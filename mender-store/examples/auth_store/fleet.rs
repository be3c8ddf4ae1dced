//! Two servers over one fleet, and the calls that are measured.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mender_core::{
    Mender,
    auth::{AuthRequest, Config},
    testing::TestDevice,
};
use mender_store::SqlStore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Fault,
    load::{identity, is_pending, scattered},
    rounds::Call,
};

/// The most devices that are asked for; those of a large fleet are everywhere in the tables.
pub(crate) const CALLS: usize = 10_000;

/// So few devices are remembered that a token is never in memory when it comes again.
const FORGETFUL: usize = 64;

/// A server that runs.
struct Server {
    mender: Mender,
    tokens: Arc<Vec<String>>,
}

/// A fleet with its servers.
pub(crate) struct Fleet {
    pub(crate) size: usize,
    pub(crate) known: Arc<Vec<AuthRequest>>,
    pub(crate) failed: Arc<AtomicUsize>,
    usual: Server,
    forgetful: Server,
    stop: CancellationToken,
    running: TaskTracker,
}

pub(crate) fn requests(numbers: &[usize], seed: u64) -> Vec<AuthRequest> {
    let request = |n: &usize| TestDevice::new(&identity(*n), seed).request();
    numbers.iter().map(request).collect()
}

/// Has every device ask for a token.
async fn tokens(mender: &Mender, known: &[AuthRequest]) -> Result<Arc<Vec<String>>, Fault> {
    let ask = |request| async move { mender.auth().request("", request).await };
    let tokens = stream::iter(known).map(ask).buffer_unordered(64);
    Ok(Arc::new(tokens.try_collect().await?))
}

impl Fleet {
    pub(crate) async fn new(store: &SqlStore, size: usize) -> Result<Self, Fault> {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let accepted = scattered(size, CALLS, |n| !is_pending(n));
        let known = Arc::new(requests(&accepted, 1));
        let server = async |auth: Config| {
            let builder = Mender::builder().stores(store.clone()).ephemeral_keys();
            let mender = builder.auth_config(auth).build()?;
            let (runs, stop) = (mender.clone(), stop.clone());
            running.spawn(async move { runs.run(stop).await });
            let tokens = tokens(&mender, &known).await?;
            Ok::<_, Fault>(Server { mender, tokens })
        };
        let usual = server(Config::default()).await?;
        let forgetful = server(Config { remembered: FORGETFUL, ..Config::default() }).await?;
        let failed = Arc::default();
        let fleet = Self { size, known: known.clone(), failed, usual, forgetful, stop, running };
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

    fn verify(&self, server: &Server) -> Call {
        let (mender, tokens) = (server.mender.clone(), server.tokens.clone());
        let failed = self.failed.clone();
        Arc::new(move |n| {
            let (mender, tokens, failed) = (mender.clone(), tokens.clone(), failed.clone());
            async move {
                let answer = mender.auth().verify(&tokens[n % tokens.len()], "").await;
                failed.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
            }
            .boxed()
        })
    }

    /// A device that has a token asks for another one.
    fn ask(&self) -> Call {
        let (mender, known) = (self.usual.mender.clone(), self.known.clone());
        let failed = self.failed.clone();
        Arc::new(move |n| {
            let (mender, known, failed) = (mender.clone(), known.clone(), failed.clone());
            async move {
                let answer = mender.auth().request("", &known[n % known.len()]).await;
                failed.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
            }
            .boxed()
        })
    }

    /// The paths that cost the same with every fleet.
    pub(crate) fn paths(&self) -> [(&'static str, Call); 3] {
        [
            ("auth request, known key", self.ask()),
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
