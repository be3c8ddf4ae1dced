//! Deployments to a whole fleet that come to nothing: how long users wait who order and abort them,
//! and when all of it is done.

use mender::deployments::{DeploymentId, State};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    polls::poll,
    server::Server,
    support::{Fault, load::scattered, rounds::measure},
};

/// The most devices that have asked when it is aborted.
const ASKED: usize = 1000;

const TASKS: usize = 64;

async fn is_in(server: &Server, id: &DeploymentId, state: State) -> Result<bool, Fault> {
    let shown = server.mender.deployments().deployment(&server.ctx, id).await?;
    Ok(shown.deployment.state == state)
}

/// Waits until a deployment is in a state; that it is asked so rarely takes from nobody.
async fn until(server: &Server, id: &DeploymentId, state: State) -> Result<(), Fault> {
    while !is_in(server, id, state).await? {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Has some devices ask for a deployment to all, and aborts it.
pub(crate) async fn measure_all(server: &Server, size: usize) -> Result<(), Fault> {
    let begun = Instant::now();
    let id = server.order("large", "release-3", 0..size).await?;
    let answered = begun.elapsed();
    until(server, &id, State::Open).await?;
    println!(
        "  create, for {size} devices: answered after {answered:.1?}, offered after {:.1?}",
        begun.elapsed()
    );
    let tokens = server.tokens(&scattered(size, ASKED, |_| true)).await?;
    let polls: Vec<_> = tokens.iter().map(|token| poll(token, "release-2")).collect();
    let asked = polls.len();
    measure("poll, first of it", TASKS, polls, server.sender(" 200 ")).await;
    let begun = Instant::now();
    server.mender.deployments().abort(&server.ctx, &id).await?;
    let answered = begun.elapsed();
    until(server, &id, State::Closed).await?;
    println!(
        "  abort, of {size} devices, of which {asked} had asked: answered after {answered:.1?}, \
         done after {:.1?}; {} MB stored; {} requests failed",
        begun.elapsed(),
        server.megabytes().await?,
        server.failed()
    );
    Ok(())
}
