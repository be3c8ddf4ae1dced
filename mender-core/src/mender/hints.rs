//! Reading the feed in time. Over a bus that nodes share they hint at what is new in it; nothing
//! depends on that: a node that hears nothing reads it a moment later.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::background::log_failure;
use crate::{
    bus::{Bus, Message},
    feed,
    id::TenantId,
    mender::Mender,
};

/// The subject of hints, of the default tenant. The content is the node that changed something.
const SUBJECT: &str = "feed";

/// What changes within this time is hinted at once and read once.
const BURST: Duration = Duration::from_millis(20);

/// How long a bus that fails is left alone.
const REST: Duration = Duration::from_secs(1);

impl Mender {
    /// Reads the feed until told to stop, each time its period has passed or another node hints.
    pub(super) fn follow_feed(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let until_stopped = |work: Work| {
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    never = work => match never {},
                }
            });
        };
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move { mender.read_feed(&stopped).await });
        if let Some(bus) = &self.0.shared_bus {
            until_stopped(Box::pin(self.clone().hint(bus.clone())));
            until_stopped(Box::pin(self.clone().hear_hints(bus.clone())));
        }
    }

    async fn read_feed(&self, stop: &CancellationToken) {
        let freshness = &self.0.kernel.freshness;
        loop {
            log_failure(freshness.look().await);
            let hinted = async {
                tokio::time::sleep(BURST).await;
                freshness.hinted.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(feed::PERIOD) => {}
                () = hinted => {}
            }
        }
    }

    /// Tells other nodes when this one has changed something.
    async fn hint(self, bus: Arc<dyn Bus>) -> Infallible {
        let kernel = &self.0.kernel;
        loop {
            kernel.freshness.changed.notified().await;
            let (tenant, subject) = (TenantId::default(), SUBJECT.to_owned());
            let payload = Bytes::copy_from_slice(kernel.node.as_str().as_bytes());
            if let Err(error) = bus.publish(Message { tenant, subject, payload }).await {
                tracing::debug!(%error, "other nodes were not told to read the feed");
            }
            tokio::time::sleep(BURST).await;
        }
    }

    /// Has the feed read when another node has changed something.
    async fn hear_hints(self, bus: Arc<dyn Bus>) -> Infallible {
        let kernel = &self.0.kernel;
        loop {
            match bus.listen(&TenantId::default(), SUBJECT).await {
                Ok(mut hints) => {
                    while let Some(hint) = hints.next().await {
                        if hint.payload != kernel.node.as_str() {
                            kernel.freshness.hinted.notify_one();
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "nobody tells when to read the feed"),
            }
            tokio::time::sleep(REST).await;
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Infallible> + Send>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{AuthSetId, Status},
        bus::LocalBus,
        ctx::Ctx,
        kit::MemoryStores,
        testing::{Faults, Faulty, TestDevice, TestEnv},
    };

    /// More than often enough for everything that needs no time to happen.
    const TURNS: usize = 2000;

    /// Lets others work. Time stands still meanwhile: it passes only when nobody has anything to
    /// do.
    async fn let_others_work() {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Has a device accepted; returns its token, and its set of keys.
    async fn device(mender: &Mender) -> (String, AuthSetId) {
        let ask = TestDevice::new(r#"{"mac":"1"}"#, 1).request();
        let (auth, ctx) = (mender.auth(), Ctx::system(TenantId::default()));
        auth.request("", &ask).await.unwrap_err();
        let devices = auth.devices(&ctx, Default::default(), Default::default()).await.unwrap();
        let device = &devices.items[0].device;
        let set = &device.sets[0].id;
        auth.decide(&ctx, &device.id, set, Status::Accepted).await.unwrap();
        (auth.request("", &ask).await.unwrap(), set.clone())
    }

    /// Tells whether a node refuses a token at once that the other one has revoked.
    async fn is_heard_of(own: LocalBus, others: LocalBus) -> bool {
        let time = TestEnv::seeded(1);
        let stores = MemoryStores::default();
        let node = |bus| {
            let node = Mender::in_memory().stores(stores.clone()).env(time.env()).bus(bus);
            node.build().unwrap()
        };
        let (here, there) = (node(own), node(others));
        let stop = CancellationToken::new();
        let course = async {
            let (token, set) = device(&here).await;
            // What comes too soon after a look waits.
            tokio::time::sleep(BURST).await;
            let begun = tokio::time::Instant::now();
            assert!(here.auth().verify(&token, "").await.is_ok());
            there.auth().revoke_token(&Ctx::system(TenantId::default()), &set).await.unwrap();
            let_others_work().await;
            let refused = here.auth().verify(&token, "").await.is_err();
            assert_eq!(begun.elapsed(), Duration::ZERO);
            stop.cancel();
            refused
        };
        let (refused, ..) = tokio::join!(course, here.run(stop.clone()), there.run(stop.clone()));
        refused
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_node_changed_is_taken_over_by_the_bus_alone() {
        let bus = LocalBus::default();
        assert!(is_heard_of(bus.clone(), bus).await);
        assert!(!is_heard_of(LocalBus::default(), LocalBus::default()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn many_hints_are_one_look_and_ones_own_are_none() {
        let (bus, faults) = (LocalBus::default(), Faults::default());
        let stores = Faulty::new(MemoryStores::default(), faults.clone());
        let mender = Mender::in_memory().stores(stores).bus(bus.clone()).build().unwrap();
        let hint = async |node: &str| {
            let (tenant, payload) = (TenantId::default(), Bytes::from(node.to_owned()));
            bus.publish(Message { tenant, subject: SUBJECT.into(), payload }).await.unwrap();
        };
        let stop = CancellationToken::new();
        let course = async {
            let_others_work().await;
            tokio::time::sleep(BURST).await;
            faults.heal();
            hint(mender.0.kernel.node.as_str()).await;
            let_others_work().await;
            assert_eq!(faults.calls(), 0);
            for _ in 0..100 {
                hint("another").await;
            }
            let_others_work().await;
            assert_eq!(faults.calls(), 1);
            hint("another").await;
            let_others_work().await;
            assert_eq!(faults.calls(), 1);
            tokio::time::sleep(BURST).await;
            let_others_work().await;
            assert_eq!(faults.calls(), 2);
            stop.cancel();
        };
        tokio::join!(course, mender.run(stop.clone()));
    }
}
