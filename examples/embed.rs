//! Device management inside an application of your own: `cargo run --example embed`.
//!
//! The application serves its own pages, mounts the device API under `/ota`, and hears what
//! happens to devices through a subscriber. It stops by itself once the subscriber has heard
//! of a device.

use std::sync::Arc;

use axum::{Router, routing::get};
use mender::{
    Ctx, Event, Mender, TenantId, async_trait,
    auth::{Identity, Preauthorization, Tier},
    event::{Kinds, Outcome, Subscriber},
    signature::PublicKey,
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

/// Keeps the customer database up to date with what devices do.
struct CrmSync {
    heard: Arc<Notify>,
}

#[async_trait]
impl Subscriber for CrmSync {
    fn name(&self) -> &'static str {
        "crm-sync"
    }

    fn kinds(&self) -> Kinds {
        Kinds::Only(&["device.recorded", "device.removed"])
    }

    /// Every event arrives at least once: remember `event.id` where repeating does harm.
    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        for event in events {
            println!("crm: {} {}", event.kind, event.key);
            self.heard.notify_one();
        }
        events.iter().map(|_| Outcome::Done).collect()
    }
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the host spawns and awaits its own tasks")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heard = Arc::new(Notify::new());
    // `Mender::builder().stores(…).keys(…)` keeps everything; this one forgets with the process.
    let mender = Mender::in_memory()
        .public_url("https://example.com/ota")
        .subscriber(CrmSync { heard: heard.clone() })
        .build()?;

    let app = Router::new()
        .route("/", get(async || "our product"))
        .nest("/ota", mender::http::router(mender.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let background = tokio::spawn({
        let (mender, stop) = (mender.clone(), stop.clone());
        async move { mender.run(stop).await }
    });
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    announce(&mender).await?;
    heard.notified().await;

    stop.cancel();
    background.await?;
    server.abort();
    Ok(())
}

/// A device is announced, as a production line would do it.
async fn announce(mender: &Mender) -> Result<(), Box<dyn std::error::Error>> {
    let key = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
               -----END PUBLIC KEY-----\n";
    let device = Preauthorization {
        identity: Identity::parse(r#"{"serial": "0001"}"#)?,
        key: PublicKey::from_pem(key)?,
        tier: Tier::Standard,
        force: false,
    };
    let ctx = Ctx::system(TenantId::default());
    let id = mender.auth().preauthorize(&ctx, &device).await?;
    println!("announced device {id}");
    Ok(())
}
