//! How many devices begin in a time.

use std::time::Duration;

use super::*;
use crate::deployments::{Burst, Config, Pace, Reason};

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    /// A server with a pace, at the beginning of a minute.
    async fn at_pace(per_tenant: Option<u64>, global: Option<u64>) -> Self {
        let burst = |devices| Burst { devices, interval: MINUTE };
        let pace = Pace { per_tenant: per_tenant.map(burst), global: global.map(burst) };
        let config = Config { pace, ..Config::default() };
        let w = Self::built(1, |builder| builder.deployments_config(config)).await;
        let now = w.mender.env().now().0.rem_euclid(60_000);
        w.time.advance(Duration::from_millis((60_000 - now).unsigned_abs()));
        w
    }

    /// Returns whether a pump is told something; else how long it is to wait.
    async fn tries(&self, n: usize) -> std::result::Result<bool, Duration> {
        let request = Request {
            artifact_name: "old".into(),
            device_type: "pump".into(),
            ..Request::default()
        };
        match self.service().next(&self.ctx, &device(n), &request, "http://x").await {
            Ok(told) => Ok(told.is_some()),
            Err(error) => match error.kind {
                Kind::TooMany { wait } => Err(wait),
                _ => panic!("{error}"),
            },
        }
    }
}

#[tokio::test]
async fn as_many_devices_begin_in_a_time_as_may() {
    let w = World::at_pace(Some(2), None).await;
    let id = w.create(&w.ctx, "paced", devices(4)).await.unwrap();
    assert_eq!((w.tries(0).await, w.tries(1).await), (Ok(true), Ok(true)));
    w.time.advance(Duration::from_millis(14_500));
    assert_eq!(w.tries(2).await, Err(Duration::from_millis(45_500)));
    // Who began is not held back, nor who has nothing to begin.
    assert_eq!((w.tries(0).await, w.tries(9).await), (Ok(true), Ok(false)));
    w.report(&id, 1, Status::Success).await.unwrap();
    assert_eq!(w.tries(1).await, Ok(false));
    // Nothing is stored of it, and nothing is lost.
    let row = w.service().store.device_deployment(&w.ctx.tenant, &id, &device(2)).await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.record.as_str(), row.outcome, row.request), ("", None, None));
    w.time.advance(Duration::from_millis(45_500));
    assert_eq!((w.tries(2).await, w.tries(3).await), (Ok(true), Ok(true)));
    for n in [0, 2, 3] {
        w.report(&id, n, Status::Success).await.unwrap();
    }
    assert_eq!(w.state(&id).await, (State::Closed, Progress::Finished));
}

#[tokio::test]
async fn tenants_are_counted_apart_and_all_together() {
    let w = World::at_pace(Some(2), Some(3)).await;
    let other = Ctx::system("other".parse().unwrap());
    let there = World { mender: w.mender.clone(), time: w.time.clone(), ctx: other };
    let files = vec![FileRecipe::new("file", 1)];
    let recipe = Recipe::module("script", "r", ["pump"], files, Some(&Software::default()));
    there.upload(recipe, b"x").await;
    for world in [&w, &there] {
        world.create(&world.ctx, "paced", devices(4)).await.unwrap();
    }
    assert_eq!((w.tries(0).await, w.tries(1).await), (Ok(true), Ok(true)));
    assert!(w.tries(2).await.is_err());
    assert_eq!(there.tries(0).await, Ok(true));
    assert!(there.tries(1).await.is_err());
    w.time.advance(MINUTE);
    assert_eq!((there.tries(1).await, there.tries(2).await), (Ok(true), Ok(true)));
    assert!(there.tries(3).await.is_err());
    assert_eq!(w.tries(2).await, Ok(true));
    assert!(w.tries(3).await.is_err());
}

#[tokio::test]
async fn a_device_that_comes_back_after_a_reset_begins_anew() {
    let w = World::at_pace(Some(1), None).await;
    let id = w.create(&w.ctx, "paced", devices(2)).await.unwrap();
    assert_eq!(w.tries(0).await, Ok(true));
    w.report(&id, 0, Status::Failure).await.unwrap();
    w.service().reset_history(&w.ctx, &device(0)).await.unwrap();
    assert!(w.tries(0).await.is_err());
    w.time.advance(MINUTE);
    assert_eq!(w.tries(0).await, Ok(true));
}

#[tokio::test]
async fn a_place_that_nobody_took_is_free_again() {
    let w = World::at_pace(Some(1), None).await;
    let id = w.create(&w.ctx, "paused", devices(2)).await.unwrap();
    w.service().pause(&w.ctx, &id, "").await.unwrap();
    assert_eq!((w.tries(0).await, w.tries(1).await), (Ok(false), Ok(false)));
    w.service().resume(&w.ctx, &id).await.unwrap();
    {
        let now = w.mender.env().now();
        let place = w.service().starts.take(&w.ctx.tenant, now).unwrap();
        assert!(w.tries(0).await.is_err());
        drop(place);
    }
    assert_eq!(w.tries(0).await, Ok(true));
    assert!(w.tries(1).await.is_err());
}

#[tokio::test]
async fn it_is_explained_while_it_lasts() {
    let w = World::at_pace(Some(1), None).await;
    w.create(&w.ctx, "paced", devices(2)).await.unwrap();
    assert_eq!(w.tries(0).await, Ok(true));
    let text = |name, text: &str| {
        let name = crate::inventory::AttributeName::inventory(name);
        crate::inventory::NewAttribute::new(name, crate::inventory::Value::Text(text.into()))
    };
    let new = vec![text("device_type", "pump"), text("artifact_name", "old")];
    w.mender.inventory().create(&w.ctx, &device(1), new).await.unwrap();
    let reason = async || {
        let explained = w.service().explain(&w.ctx, &device(1)).await.unwrap();
        explained.considered[0].reason
    };
    assert_eq!(reason().await, Reason::TooManyBegin);
    w.time.advance(MINUTE);
    assert_eq!(reason().await, Reason::Install);
    assert_eq!(w.tries(1).await, Ok(true));
}
