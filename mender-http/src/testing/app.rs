use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use mender_core::{
    Builder, Ctx, Mender,
    secret::HashCost,
    testing::TestEnv,
    users::{self, Login, NewUser},
};
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    app::{self, Gateway},
    router::{Routers, Settings},
    testing::transcript::{InProcess, Settle},
};

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery";

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
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    pub async fn with(builder: Builder) -> Self {
        let time = TestEnv::seeded(1);
        let cheap = users::Config {
            hash_cost: HashCost::CHEAPEST,
            ..users::Config::default()
        };
        let builder = builder.env(time.env()).users_config(cheap);
        let mender = builder.build().expect("the server is built");
        let new = NewUser {
            email: EMAIL.parse().expect("an address"),
            password: PASSWORD.into(),
            id: None,
            roles: Vec::new(),
        };
        let ctx = Ctx::system(Default::default());
        mender
            .users()
            .create(&ctx, &new)
            .await
            .expect("the user is made");
        let login = Login {
            email: EMAIL.into(),
            password: mender_core::secret::Secret::new(PASSWORD),
            forever: true,
        };
        let token = mender
            .users()
            .log_in("", &login)
            .await
            .expect("the user logs in");
        mender.drain().await.expect("nothing fails yet");
        let routers = app::server(&mender, &Settings::new(time.env()), Gateway::None);
        Self {
            mender,
            time,
            routers,
            token,
        }
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
        let clock = Clock {
            mender: self.mender.clone(),
            time: self.time.clone(),
        };
        InProcess::new(self.routers.clone(), clock)
    }

    /// Begins a request.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> TestRequest<'_> {
        let request = Request::builder().method(method).uri(path);
        TestRequest {
            app: self,
            request,
            body: Bytes::new(),
        }
    }

    /// Begins a GET.
    #[must_use]
    pub fn get(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::GET, path)
    }

    /// Begins a POST.
    #[must_use]
    pub fn post(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::POST, path)
    }

    /// Begins a PUT.
    #[must_use]
    pub fn put(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::PUT, path)
    }

    /// Begins a DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, path)
    }
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

/// A request to a [`TestApp`].
#[derive(Debug)]
pub struct TestRequest<'a> {
    app: &'a TestApp,
    request: http::request::Builder,
    body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct TestAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestRequest<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends this token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends the user's token.
    #[must_use]
    pub fn admin(self) -> Self {
        let token = self.app.token.clone();
        self.bearer(&token)
    }

    /// Sends these bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("content-length", &length)
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sends the request, to the internal listener where the path is one of its own.
    ///
    /// # Panics
    /// Where the request is malformed.
    #[expect(
        clippy::expect_used,
        reason = "a malformed request is a mistake in the test"
    )]
    pub async fn send(self) -> TestAnswer {
        let request = self
            .request
            .body(axum::body::Body::from(self.body))
            .expect("a request");
        let routers = &self.app.routers;
        let internal = request.uri().path().starts_with("/api/internal/");
        let router = if internal {
            &routers.internal
        } else {
            &routers.public
        };
        let response = match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is read").to_bytes();
        TestAnswer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}

impl TestAnswer {
    /// Returns the body as text.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the claim of the test fails")]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Checks the status.
    ///
    /// # Panics
    /// Where it is another, with the body.
    #[track_caller]
    #[must_use]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
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
