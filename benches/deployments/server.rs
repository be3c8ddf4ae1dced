//! The server that is measured, and beside it a route that does nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mender::{
    Ctx, DeviceId, Mender,
    artifacts::{
        NewArtifact,
        format::{FileRecipe, Recipe, Software},
    },
    deployments::{Course, DeploymentId, NewDeployment, State, Whom},
    http::{
        self, Gateway, Settings,
        serve::{Listener, Stop},
    },
    store::{SqlStore, sql::Stmt, vals},
    users::{Login, NewUser},
};
use mender_core::{blob::MemoryBlobs, secret::Secret, testing::Member};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    simulated,
    support::{
        Fault,
        client::{Client, auth_request},
        load::device_id,
        rounds::Call,
    },
};

/// The file, or all tables with their indexes.
const SIZE: Stmt = Stmt::each(
    "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
    "SELECT CAST(SUM(pg_total_relation_size(oid)) AS BIGINT) AS bytes FROM pg_class
        WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)",
);

/// A server that runs.
pub(crate) struct Server {
    pub(crate) mender: Mender,
    pub(crate) store: SqlStore,
    pub(crate) ctx: Ctx,
    pub(crate) user: String,
    public: Arc<Client>,
    empty: Arc<Client>,
    failed: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: TaskTracker,
}

/// The id of the device of this number.
pub(crate) fn id(n: usize) -> Result<DeviceId, Fault> {
    Ok(device_id(n).parse()?)
}

/// A request with a token and a body of JSON.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn user(mender: &Mender, ctx: &Ctx) -> Result<String, Fault> {
    let (email, password) = ("user@example.com", "correct horse battery");
    let new =
        NewUser { email: email.parse()?, password: password.into(), id: None, roles: Vec::new() };
    mender.users().create(ctx, &new).await?;
    let login = Login { email: email.into(), password: Secret::new(password), forever: true };
    Ok(mender.users().log_in("", &login).await?)
}

impl Server {
    pub(crate) async fn new(store: SqlStore) -> Result<Self, Fault> {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let builder = Mender::builder().stores(store.clone()).blobs(MemoryBlobs::default());
        let mender = builder.ephemeral_keys().build()?;
        let (runs, until) = (mender.clone(), stop.clone());
        running.spawn(async move { runs.run(until).await });
        let listen = |router: Router| {
            let listener = Listener::bind("127.0.0.1:0")?;
            let address: SocketAddr = listener.address()?;
            let stop = Stop { soft: stop.clone(), hard: stop.clone() };
            running.spawn(async move {
                if let Err(error) = listener.serve(router, stop).await {
                    eprintln!("{error}");
                }
            });
            Ok::<_, Fault>(Arc::new(Client::new(address)))
        };
        let settings = Settings::new(mender.env().clone());
        let public = listen(http::server(&mender, &settings, Gateway::None).public)?;
        let empty = listen(Router::new().fallback(async || StatusCode::NO_CONTENT))?;
        let ctx = Ctx::system(Default::default());
        let user = user(&mender, &ctx).await?;
        let failed = Arc::default();
        let server = Self { mender, store, ctx, user, public, empty, failed, stop, running };
        for release in ["release-2", "release-3"] {
            server.upload(release).await?;
        }
        Ok(server)
    }

    async fn upload(&self, release: &str) -> Result<(), Fault> {
        let files = vec![FileRecipe::new("file", 1)];
        let software = Software::default();
        let recipe = Recipe::module("script", release, ["pump"], files, Some(&software));
        let bytes = stream::iter([Ok(recipe.build(&[b"x"], None)?.into())]);
        self.mender.artifacts().upload(&self.ctx, NewArtifact::default(), bytes).await?;
        Ok(())
    }

    /// Creates a deployment.
    pub(crate) async fn order(
        &self,
        name: &str,
        release: &str,
        devices: impl Iterator<Item = usize>,
    ) -> Result<DeploymentId, Fault> {
        let new = NewDeployment {
            name: name.into(),
            artifact_name: release.into(),
            force_installation: false,
            whom: Whom::Devices(devices.map(id).collect::<Result<_, _>>()?),
            course: Course::default(),
        };
        Ok(self.mender.deployments().create(&self.ctx, new).await?)
    }

    /// Creates a deployment, and waits until devices get it.
    pub(crate) async fn create(
        &self,
        name: &str,
        release: &str,
        devices: impl Iterator<Item = usize>,
    ) -> Result<DeploymentId, Fault> {
        let id = self.order(name, release, devices).await?;
        let deployments = self.mender.deployments();
        while deployments.deployment(&self.ctx, &id).await?.deployment.state == State::Filling {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(id)
    }

    /// Has devices ask for tokens.
    pub(crate) async fn tokens(&self, devices: &[usize]) -> Result<Vec<String>, Fault> {
        let ask = |n: usize| async move {
            let request = Member::from(simulated(n)).keyed().request();
            let body = String::from_utf8_lossy(&request.body);
            let request = auth_request(&body, &request.signature);
            self.public.ask(&request).await.map(|(_, token)| token)
        };
        Ok(stream::iter(devices.to_vec()).map(ask).buffered(64).try_collect().await?)
    }

    /// Sends a request to the server, and returns the answer's status line and body.
    pub(crate) async fn ask(&self, request: &[u8]) -> Result<(String, String), Fault> {
        Ok(self.public.ask(request).await?)
    }

    /// Sends a request that is answered with this status.
    pub(crate) fn sender(
        &self,
        status: &'static str,
    ) -> impl Fn(Vec<u8>) -> futures_util::future::BoxFuture<'static, ()> + Clone + Send + use<>
    {
        let (client, failed) = (self.public.clone(), self.failed.clone());
        move |request| {
            let (client, failed) = (client.clone(), failed.clone());
            async move {
                let answer = client.ask(&request).await;
                let good = answer.is_ok_and(|(line, _)| line.contains(status));
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
            }
            .boxed()
        }
    }

    /// Requests in turn, to the server or to the route that does nothing.
    pub(crate) fn call(&self, is_empty: bool, requests: Arc<Vec<Vec<u8>>>) -> Call {
        let client = if is_empty { &self.empty } else { &self.public };
        let (client, failed) = (client.clone(), self.failed.clone());
        Arc::new(move |n| {
            let (client, requests, failed) = (client.clone(), requests.clone(), failed.clone());
            async move {
                let answer = client.ask(&requests[n % requests.len()]).await;
                let good = answer.is_ok_and(|(line, _)| line.contains(" 204 "));
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
            }
            .boxed()
        })
    }

    /// How many requests were not answered as they should have been.
    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns how large the database is, in MB.
    pub(crate) async fn megabytes(&self) -> Result<i64, Fault> {
        let row = self.store.sql().read_one(SIZE, vals![]).await?;
        Ok(row.map_or(Ok(0), |row| row.int("bytes"))? >> 20)
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
