//! NATS, against a real server.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::Duration;

use libtest_mimic::Trial;
use mender_core::{
    Env, StoreError, StoreResult, TenantId,
    bus::{Bus as _, Listener, Message},
    testing::bus::{Adapter, Harness},
};
use mender_store::NatsBus;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    proxy::Proxy,
    server::{done, server},
};

/// What all tests wait for at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the server is, and who may use it: `nats://LOGIN@HOST:PORT`.
#[derive(Clone)]
struct Server {
    login: String,
    host: String,
}

impl Server {
    fn parse(url: &str) -> Self {
        let parts = url.strip_prefix("nats://").and_then(|rest| rest.split_once('@'));
        let (login, host) = parts.unwrap();
        Self { login: login.into(), host: host.into() }
    }

    fn url(&self) -> String {
        format!("nats://{}@{}", self.login, self.host)
    }

    /// A bus that reaches the server by this proxy.
    fn by(&self, proxy: &Proxy) -> NatsBus {
        done(NatsBus::open(&format!("nats://{}@127.0.0.1:{}", self.login, proxy.port)))
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let Some(url) = server("nats") else { return vec![] };
    let server = Server::parse(&url);
    let url = server.url();
    let adapter = Adapter::new("nats", move || {
        let url = url.clone();
        async move { Harness::new(connected(&url).await, connected(&url).await) }
    });
    let mut trials = adapter.into_trials();
    let mut add = |name: &str, run: fn(Server) -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let server = server.clone();
        trials.push(Trial::test(format!("nats::{name}"), move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async { tokio::time::timeout(PATIENCE, run(server)).await })?;
            Ok(())
        }));
    };
    add("the_server_may_be_away_at_the_start", |s| Box::pin(away_at_the_start(s)));
    add("a_cut_connection_is_told_and_made_anew", |s| Box::pin(cut_and_made_anew(s)));
    add("who_hears_everything_is_in_nobodys_way", |s| Box::pin(hears_everything(s)));
    add("what_is_wrong_is_said_without_secrets", |s| Box::pin(what_is_wrong(s)));
    add("what_the_server_would_refuse_is_too_large", |s| Box::pin(too_large(s)));
    trials
}

async fn connected(url: &str) -> NatsBus {
    let bus = done(NatsBus::open(url));
    drop(ear(&bus, "connected").await);
    bus
}

fn message(subject: &str, payload: &'static str) -> Message {
    Message { tenant: TenantId::default(), subject: subject.into(), payload: payload.into() }
}

fn fresh() -> String {
    format!("test.{}", Env::system().uuid())
}

/// Waits for a connection, which nobody announces.
async fn ear(bus: &NatsBus, subject: &str) -> Box<dyn Listener> {
    loop {
        match bus.listen(&TenantId::default(), subject).await {
            Ok(ear) => return ear,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Returns what must fail at once.
async fn refused<T>(answer: impl Future<Output = StoreResult<T>>) -> String {
    let answer = tokio::time::timeout(Duration::from_secs(1), answer).await.unwrap();
    match answer.map(drop).unwrap_err() {
        StoreError::Unavailable(why) => why.to_string(),
        other => panic!("{other}"),
    }
}

/// A server that is away takes nothing, at once, however much it is.
async fn takes_nothing(bus: &NatsBus) {
    while bus.publish(message("x", "1")).await.is_ok() {
        // That the connection was cut is not known yet.
        tokio::task::yield_now().await;
    }
    for _ in 0..10_000 {
        let said = refused(bus.publish(message("x", "1"))).await;
        assert!(said.contains("can't be reached"), "{said}");
    }
    refused(bus.listen(&TenantId::default(), "x")).await;
}

async fn away_at_the_start(server: Server) {
    let proxy = Proxy::start(&server.host).await;
    let bus = server.by(&proxy);
    takes_nothing(&bus).await;
    let error = bus.check_bus().await.unwrap_err().to_string();
    assert!(error.contains(&format!("NATS at 127.0.0.1:{} can't be reached", proxy.port)));
    proxy.set_up(true);
    let subject = fresh();
    let mut ear = ear(&bus, &subject).await;
    done(bus.check_bus().await);
    done(bus.publish(message(&subject, "hi")).await);
    assert_eq!(ear.next().await.unwrap().payload, "hi");
}

async fn cut_and_made_anew(server: Server) {
    let proxy = Proxy::start(&server.host).await;
    proxy.set_up(true);
    let (bus, other, subject) = (server.by(&proxy), connected(&server.url()).await, fresh());
    for round in 0..3 {
        let (mut ours, mut theirs) = (ear(&bus, &subject).await, ear(&other, &subject).await);
        done(bus.publish(message(&subject, "before")).await);
        assert_eq!(ours.next().await.unwrap().payload, "before");
        assert_eq!(theirs.next().await.unwrap().payload, "before");
        proxy.set_up(false);
        assert_eq!(ours.next().await, None);
        assert_eq!(ours.next().await, None, "until it listens anew");
        if round > 0 {
            takes_nothing(&bus).await;
        }
        done(other.publish(message(&subject, "missed")).await);
        assert_eq!(theirs.next().await.unwrap().payload, "missed");
        proxy.set_up(true);
        let mut anew = ear(&bus, &subject).await;
        done(other.publish(message(&subject, "after")).await);
        assert_eq!(anew.next().await.unwrap().payload, "after");
        assert_eq!(theirs.next().await.unwrap().payload, "after");
        assert_eq!(ours.next().await, None);
    }
}

async fn what_is_wrong(server: Server) {
    let check = async |url: &str| {
        let bus = done(NatsBus::open(url));
        assert!(!format!("{bus:?}").contains("hunter2"), "{bus:?}");
        refused(bus.publish(message("x", "1"))).await;
        bus.check_bus().await.unwrap_err().to_string()
    };
    let host = &server.host;
    for login in ["hunter2", "hunter2:hunter2"] {
        let said = check(&format!("nats://{login}@{host}")).await;
        assert!(said.ends_with(&format!("NATS at {host} refuses the login of the URL")), "{said}");
    }
    let said = check(&format!("nats://{host}")).await;
    assert!(said.ends_with("wants a login, and the URL has none"), "{said}");
    let said = check("nats://hunter2@127.0.0.1:9").await;
    assert!(said.contains("NATS at 127.0.0.1:9 can't be reached: Connection refused"), "{said}");
    // It goes on with the next host.
    done(
        done(NatsBus::open(&format!("nats://{}@127.0.0.1:9,{host}", server.login)))
            .check_bus()
            .await,
    );
    let said = check(&format!("tls://hunter2@{host}")).await;
    assert!(said.contains("can't be reached") && !said.contains("hunter2"), "{said}");
}

/// Such as a tool that shows all messages.
async fn hears_everything(server: Server) {
    let mut tool = BufReader::new(TcpStream::connect(&server.host).await.unwrap());
    let login = format!("CONNECT {{\"auth_token\":\"{}\"}}\r\n", server.login);
    tool.write_all(format!("{login}SUB > 1\r\nPING\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        assert_ne!(tool.read_line(&mut line).await.unwrap(), 0);
    }
    let (bus, subject) = (connected(&server.url()).await, fresh());
    done(bus.check_bus().await);
    let mut ear = ear(&bus, &subject).await;
    done(bus.publish(message(&subject, "hi")).await);
    assert_eq!(ear.next().await.unwrap().payload, "hi");
}

async fn too_large(server: Server) {
    let bus = connected(&server.url()).await;
    let payload = vec![0; 2 << 20].into();
    let refused = bus.publish(Message { payload, ..message("x", "") }).await;
    assert!(matches!(refused, Err(StoreError::TooLarge)), "{refused:?}");
}
