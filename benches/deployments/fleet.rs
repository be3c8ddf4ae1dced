//! A deployment to all devices of a fleet, from the first poll to its end, through the library.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mender::{
    Time,
    deployments::{DeploymentId, Status},
};
use mender_core::testing::{Act, Carry as _, Chances, Courier, Member, Profile};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    server::Server,
    simulated,
    support::{Fault, memory},
};

/// Devices that are at it at the same time.
const TASKS: usize = 64;

/// How the devices are: one update of twenty fails.
pub(crate) fn profile() -> Arc<Profile> {
    static PROFILE: OnceLock<Arc<Profile>> = OnceLock::new();
    let chances = Chances { failure: 50, ..Chances::default() };
    let profile = || Profile { chances, ..Profile::default() };
    PROFILE.get_or_init(|| profile().into()).clone()
}

/// Has a device do everything from when it is switched on to the end of the update. It waits for
/// nothing: its clock leaps. Returns how many requests it made.
async fn course(courier: &Courier, n: usize) -> usize {
    let (mut member, mut now) = (Member::from(simulated(n)), Time(0));
    let (mut requests, mut has_begun) = (0, false);
    loop {
        let act = match member.device.next(now) {
            Act::Wait(until) => {
                now = until;
                continue;
            }
            Act::Poll(_) if has_begun => return requests,
            act => act,
        };
        let answer = courier.carry(&mut member, act).await;
        member.device.answered(now, answer);
        has_begun |= member.device.is_at().is_some();
        requests += 1;
    }
}

/// Brings an update to all devices, and returns the deployment.
pub(crate) async fn update(server: &Server, size: usize) -> Result<DeploymentId, Fault> {
    let begun = Instant::now();
    let id = server.create("all", "release-2", 0..size).await?;
    println!("  a deployment to {size} devices: offered after {:.1?}", begun.elapsed());
    let (next, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tracker = TaskTracker::new();
    let begun = Instant::now();
    for _ in 0..TASKS {
        let (next, requests) = (next.clone(), requests.clone());
        let courier = Courier::new(server.mender.clone());
        tracker.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= size {
                    break;
                }
                requests.fetch_add(course(&courier, n).await, Ordering::Relaxed);
            }
        });
    }
    tracker.close();
    tracker.wait().await;
    let took = begun.elapsed();
    let backlog = server.mender.undelivered().await?;
    while server.mender.undelivered().await? > 0 {
        // To count them is work, too.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let shown = server.mender.deployments().deployment(&server.ctx, &id).await?;
    let of = |status| shown.tally.count(status);
    println!(
        "    {took:.1?}: {:.0} updates/s, {:.0} requests/s; {backlog} events settled after {:.1?} more",
        size as f64 / took.as_secs_f64(),
        requests.load(Ordering::Relaxed) as f64 / took.as_secs_f64(),
        begun.elapsed() - took,
    );
    println!(
        "    {} succeeded, {} failed, has {}ended; {} MB stored; {}",
        of(Status::Success),
        of(Status::Failure),
        if shown.deployment.is_finished() { "" } else { "not " },
        server.megabytes().await?,
        memory()
    );
    Ok(id)
}
