//! What all devices of a tenant may fetch at once.

use std::time::Duration;

use super::*;
use crate::deployments::{Budget, Reason};

const MINUTE: Duration = Duration::from_secs(60);

fn parallel(devices: u64) -> Option<Budget> {
    Some(Budget { parallel: Some(devices), bytes_per_second: None })
}

impl World {
    async fn shares(&self, budget: Option<Budget>) {
        self.service().set_download_budget(&self.ctx, budget).await.unwrap();
        assert_eq!(self.service().download_budget(&self.ctx).await.unwrap(), budget);
    }

    /// Two deployments: of the first five devices, and of the next five.
    async fn two(&self, course: Course) -> [DeploymentId; 2] {
        let first = self.create_as(&self.ctx, "first", devices(5), course).await.unwrap();
        let others = (5..10).map(device).collect();
        [first, self.create(&self.ctx, "second", others).await.unwrap()]
    }

    async fn slots(&self) -> (i64, i64) {
        let name = logic::TENANT_SLOTS;
        let slots = self.service().quotas.quota(&self.ctx.tenant, name).await.unwrap();
        (slots.free, slots.used)
    }

    async fn last_reason(&self, id: &DeploymentId, n: usize) -> Option<Reason> {
        let row = self.service().store.device_deployment(&self.ctx.tenant, id, &device(n)).await;
        row.unwrap().unwrap().outcome.map(|outcome| outcome.reason)
    }
}

#[tokio::test]
async fn as_many_devices_of_a_tenant_fetch_at_once_as_may() {
    let w = World::new().await;
    w.shares(parallel(2)).await;
    let [first, second] = w.two(Course::default()).await;
    let asks = async |n| w.told(n).await.is_some();
    assert_eq!((asks(0).await, asks(5).await, asks(1).await), (true, true, false));
    assert!(asks(0).await && asks(5).await);
    assert_eq!(w.last_reason(&first, 1).await, Some(Reason::TenantBudgetUsed));
    w.report(&first, 0, Status::Downloading).await.unwrap();
    assert!(!asks(6).await);
    w.report(&first, 0, Status::Installing).await.unwrap();
    assert_eq!((asks(6).await, asks(1).await), (true, false));
    w.service().abort(&w.ctx, &second).await.unwrap();
    assert_eq!(w.slots().await, (2, 0));
    assert!(asks(1).await && asks(2).await && !asks(3).await);
    // Whoever fetches when it is lowered goes on.
    w.shares(parallel(1)).await;
    w.report(&first, 1, Status::Success).await.unwrap();
    assert!(!asks(3).await);
    w.report(&first, 2, Status::Success).await.unwrap();
    assert!(asks(3).await && !asks(4).await);
    w.shares(None).await;
    assert!(asks(4).await);
    w.report(&first, 3, Status::Success).await.unwrap();
    w.report(&first, 4, Status::Success).await.unwrap();
    let (_, used) = w.slots().await;
    assert_eq!(used, 0);
    w.mender.drain().await.unwrap();
}

#[tokio::test]
async fn both_budgets_are_kept() {
    let w = World::new().await;
    w.shares(parallel(2)).await;
    let [first, second] = w.two(Course { budget: parallel(1), ..Course::default() }).await;
    assert!(w.told(0).await.is_some());
    assert_eq!((w.told(1).await, w.last_reason(&first, 1).await), (None, Some(Reason::BudgetUsed)));
    assert!(w.told(5).await.is_some());
    assert_eq!(w.told(6).await, None);
    assert_eq!(w.last_reason(&second, 6).await, Some(Reason::TenantBudgetUsed));
    w.report(&first, 0, Status::Failure).await.unwrap();
    // A place of the tenant is free, and that of the deployment.
    assert!(w.told(6).await.is_some());
    assert_eq!(w.told(1).await, None);
    assert_eq!(w.last_reason(&first, 1).await, Some(Reason::TenantBudgetUsed));
    w.report(&second, 6, Status::Success).await.unwrap();
    assert_eq!(w.told(1).await, Some(first));
    assert_eq!(w.slots().await, (0, 2));
}

#[tokio::test]
async fn a_device_that_never_comes_back_loses_its_place() {
    let w = World::new().await;
    w.shares(parallel(1)).await;
    let [first, second] = w.two(Course::default()).await;
    assert_eq!((w.told(0).await, w.told(5).await), (Some(first.clone()), None));
    w.time.advance(12 * MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!(w.slots().await, (1, 0));
    assert_eq!((w.told(5).await, w.told(0).await), (Some(second.clone()), None));
    // Its update is not lost.
    w.report(&second, 5, Status::Success).await.unwrap();
    assert_eq!(w.told(0).await, Some(first.clone()));
    w.report(&first, 0, Status::Downloading).await.unwrap();
    w.time.advance(12 * MINUTE);
    w.mender.drain().await.unwrap();
    // It may download for as long as its link is valid.
    assert_eq!(w.slots().await, (0, 1));
    // The budget is gone, what was taken is given back all the same.
    w.shares(None).await;
    w.time.advance(25 * 60 * MINUTE);
    w.mender.drain().await.unwrap();
    assert_eq!(w.slots().await.1, 0);
}

#[tokio::test]
async fn as_many_bytes_are_handed_out_to_a_tenant_as_time_gives() {
    let w = World::new().await;
    let size = {
        let plain = w.create(&w.ctx, "plain", devices(1)).await.unwrap();
        assert!(w.told(0).await.is_some());
        w.report(&plain, 0, Status::Success).await.unwrap();
        w.service().deployment(&w.ctx, &plain).await.unwrap().tally.bytes
    };
    // In a minute a tenth of what a device fetches: the first one makes debts.
    w.shares(Some(Budget { parallel: None, bytes_per_second: Some(size / 600) })).await;
    let [_, second] = w.two(Course::default()).await;
    assert!(w.told(1).await.is_some());
    let mut minutes = 0;
    while w.told(5).await.is_none() {
        w.time.advance(MINUTE);
        minutes += 1;
    }
    assert!((9..=10).contains(&minutes), "{minutes} minutes");
    assert_eq!(w.told(6).await, None);
    assert_eq!(w.last_reason(&second, 6).await, Some(Reason::TenantBudgetUsed));
    // Time with nobody there is not saved up for ever.
    w.time.advance(10_000 * MINUTE);
    assert!(w.told(6).await.is_some());
    assert_eq!(w.told(7).await, None);
    w.shares(None).await;
    assert!(w.told(7).await.is_some());
}

#[tokio::test]
async fn bytes_of_a_tenant_are_handed_out_after_a_clock_was_ahead() {
    let rate = |rate| Some(Budget { parallel: None, bytes_per_second: Some(rate) });
    // Whether the budget is set anew, or only waited for.
    for sets in [false, true] {
        let w = World::new().await;
        let start = w.mender.env().now();
        w.time.set(start + 365 * 24 * 60 * MINUTE);
        w.shares(rate(1)).await;
        let [first, _] = w.two(Course::default()).await;
        assert_eq!(w.told(0).await.as_ref(), Some(&first));
        let bytes = w.service().deployment(&w.ctx, &first).await.unwrap().tally.bytes;
        w.time.set(start);
        if sets {
            w.shares(rate(2)).await;
        }
        for minutes in [1, 2] {
            assert_eq!(w.told(1).await, None, "{minutes} minutes");
            w.time.advance(MINUTE);
        }
        w.time.advance(Duration::from_secs(bytes));
        assert_eq!(w.told(1).await, Some(first));
    }
}

#[tokio::test]
async fn only_users_who_may_reach_everything_set_it() {
    let w = World::new().await;
    let limited = |groups, tags| {
        let scope = Scope::Only { groups, tags };
        Ctx::new(w.ctx.tenant.clone(), Actor::System, scope)
    };
    let some = || Some(vec!["a".to_owned()]);
    for ctx in [limited(some(), None), limited(None, some())] {
        let set = w.service().set_download_budget(&ctx, parallel(1)).await;
        assert_eq!(refusal(set).0, Kind::Forbidden);
        assert_eq!(refusal(w.service().download_budget(&ctx).await).0, Kind::Forbidden);
    }
    let nothing = w.service().set_download_budget(&w.ctx, parallel(0)).await;
    assert_eq!(refusal(nothing).0, Kind::Invalid { field: "download_budget" });
    w.shares(None).await;
    let bare = Some(Budget::default());
    w.service().set_download_budget(&w.ctx, bare).await.unwrap();
    assert_eq!(w.service().download_budget(&w.ctx).await.unwrap(), None);
}

#[tokio::test]
async fn the_limits_of_a_tenant_leave_with_it() {
    let w = World::new().await;
    w.shares(parallel(2)).await;
    w.service().forget_all(&w.ctx).await.unwrap();
    assert_eq!(w.slots().await, (crate::quota::UNLIMITED, 0));
    w.shares(parallel(1)).await;
    assert_eq!(w.slots().await, (1, 0));
}

#[tokio::test]
async fn configurations_are_not_counted() {
    let w = World::new().await;
    w.shares(parallel(1)).await;
    w.two(Course::default()).await;
    assert!(w.told(0).await.is_some());
    let configuration = crate::deployments::NewConfiguration {
        id: "c".parse().unwrap(),
        device: device(20),
        name: "c".into(),
        configuration: "{}".into(),
        retries: 0,
        control_map: None,
    };
    w.service().configure(&w.ctx, configuration).await.unwrap();
    assert_eq!(w.told(20).await.unwrap().as_str(), "c");
    assert_eq!(w.told(5).await, None);
}
