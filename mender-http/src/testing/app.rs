use std::time::Duration;

use async_trait::async_trait;
use mender_core::{
    Builder, Ctx, Mender, TenantId, artifacts, auth, deployments,
    secret::{HashCost, Secret},
    tenants::{Addon, NewTenant, Plan},
    testing::TestEnv,
    users::{self, Login, NewUser},
};

use crate::{
    app::{self, Gateway},
    router::{Routers, Settings},
    testing::transcript::{InProcess, Settle},
};

mod request;

pub use request::{TestAnswer, TestRequest};

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery";

/// How a [`TestApp`] differs from the open edition.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Whether there are tenants: two then, with a user each.
    pub tenants: bool,
    /// Whether devices have tiers, flags and external ids.
    pub tiers: bool,
    /// The tenant token for devices without a valid one of their own.
    pub default_tenant_token: Option<String>,
    /// How artifacts are kept; as the builder says where absent.
    pub artifacts: Option<artifacts::Config>,
    /// How deployments behave; as the builder says where absent.
    pub deployments: Option<deployments::Config>,
    /// Changes what the gateway does.
    pub settings: Option<fn(&mut Settings)>,
}

/// A tenant of a [`TestApp`].
#[derive(Clone, Debug)]
pub struct TestTenant {
    /// The id.
    pub id: TenantId,
    /// What its devices present.
    pub token: String,
    /// A session token of its user.
    pub user: String,
}

/// A server in this process, on virtual time, with one user.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use mender_http::testing::TestApp;
///
/// let app = TestApp::new().await;
/// let answer = app.get("/api/management/v2/devauth/devices").admin().send().await;
/// assert_eq!((answer.status.as_u16(), answer.text()), (200, "[]"));
/// # }
/// ```
///
/// Dropping it panics where effects are left undone: call [`TestApp::drain`] first.
#[derive(Debug)]
pub struct TestApp {
    /// The server.
    pub mender: Mender,
    /// Its time and randomness.
    pub time: TestEnv,
    /// Its tenants, where there are any.
    pub tenants: Vec<TestTenant>,
    routers: Routers,
    token: String,
}

impl TestApp {
    /// Starts a server on memory.
    pub async fn new() -> Self {
        Self::with(Mender::in_memory()).await
    }

    /// Starts a server of these parts.
    ///
    /// # Panics
    /// Where a part is missing or does not work.
    pub async fn with(builder: Builder) -> Self {
        Self::set_up(builder, Setup::default()).await
    }

    /// Starts a server of these parts that is set up like this. With tenants, its user is that
    /// of the first one.
    ///
    /// # Panics
    /// Where a part is missing or does not work.
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    pub async fn set_up(builder: Builder, setup: Setup) -> Self {
        let time = TestEnv::seeded(1);
        let cheap = users::Config {
            hash_cost: HashCost::CHEAPEST,
            tenants: setup.tenants,
            ..users::Config::default()
        };
        let devices = auth::Config {
            tenants: setup.tenants,
            tiers: setup.tiers,
            default_tenant_token: setup.default_tenant_token,
            ..auth::Config::default()
        };
        let mut builder = builder.env(time.env()).users_config(cheap);
        if let Some(config) = setup.artifacts {
            builder = builder.artifacts_config(config);
        }
        if let Some(config) = setup.deployments {
            builder = builder.deployments_config(config);
        }
        let mender = builder.auth_config(devices).build();
        let mender = mender.expect("the server is built");
        let mut tenants = Vec::new();
        if setup.tenants {
            for name in ["a", "b"] {
                tenants.push(tenant(&mender, name).await);
            }
        }
        let token = match tenants.first() {
            Some(tenant) => tenant.user.clone(),
            None => user(&mender, TenantId::default(), EMAIL).await,
        };
        mender.schedule().await.expect("the store works");
        mender.drain().await.expect("nothing fails yet");
        let mut settings = Settings::new(time.env());
        if let Some(change) = setup.settings {
            change(&mut settings);
        }
        let routers = app::server(&mender, &settings, Gateway::None);
        Self { mender, time, tenants, routers, token }
    }

    /// Returns a session token of the user.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Delivers events and runs jobs until nothing is left.
    ///
    /// # Panics
    /// Where the store fails.
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    pub async fn drain(&self) {
        self.mender.drain().await.expect("everything due is done");
    }

    /// Lets time pass, and does what is due then.
    pub async fn advance(&self, by: Duration) {
        self.time.advance(by);
        self.drain().await;
    }

    /// Returns what transcripts are played against.
    #[must_use]
    pub fn transport(&self) -> InProcess {
        let clock = Clock { mender: self.mender.clone(), time: self.time.clone() };
        InProcess::new(self.routers.clone(), clock)
    }
}

#[expect(clippy::expect_used, reason = "a test can't go on without its server")]
async fn tenant(mender: &Mender, name: &str) -> TestTenant {
    let new = NewTenant {
        name: name.into(),
        plan: Plan::Enterprise,
        addons: Addon::NAMES.map(str::to_owned).into(),
    };
    let system = Ctx::system(TenantId::default());
    let made = mender.tenants().create(&system, &new).await;
    let made = made.expect("the tenant is made");
    let email = format!("{name}@example.com");
    TestTenant { user: user(mender, made.id.clone(), &email).await, id: made.id, token: made.token }
}

/// Makes a user and returns a token that never expires.
#[expect(clippy::expect_used, reason = "a test can't go on without its server")]
async fn user(mender: &Mender, tenant: TenantId, email: &str) -> String {
    let new = NewUser {
        email: email.parse().expect("an address"),
        password: PASSWORD.into(),
        id: None,
        roles: Vec::new(),
    };
    let ctx = Ctx::system(tenant);
    let made = mender.users().create(&ctx, &new).await;
    made.expect("the user is made");
    let login = Login { email: email.into(), password: Secret::new(PASSWORD), forever: true };
    let token = mender.users().log_in("", &login).await;
    token.expect("the user logs in")
}

/// The clock of a [`TestApp`], for transcripts that wait.
#[derive(Clone, Debug)]
pub struct Clock {
    mender: Mender,
    time: TestEnv,
}

#[async_trait]
impl Settle for Clock {
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    async fn settle(&self, wait: Duration) {
        self.time.advance(wait);
        self.mender.drain().await.expect("everything due is done");
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // The stores of a test answer without waiting, or have been drained.
        let left = futures_util::FutureExt::now_or_never(self.mender.undelivered());
        if let Some(Ok(left)) = left {
            assert_eq!(left, 0, "events are left undelivered: drain first");
        }
    }
}
