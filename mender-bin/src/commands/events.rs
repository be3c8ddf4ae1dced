//! `events list`, `events redrive`

use mender_core::Env;

use crate::{
    Distribution,
    cli::Events,
    commands::{mender, print},
    failure::Failure,
    settings::Settings,
};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: Events,
) -> Result<(), Failure> {
    let mender = mender(parts, settings).await?;
    match command {
        Events::List { limit } => {
            for dead in mender.jobs().dead_jobs(limit).await? {
                let (at, kind, key) = (dead.at, &dead.kind, &dead.key);
                let (attempt, error) = (dead.attempt, &dead.error);
                print(&format!("{at}\t{kind}\t{key}\t{attempt} attempts\t{error:?}"))?;
            }
            let waiting = mender.undelivered().await?;
            tracing::info!(waiting, "events not yet delivered");
            Ok(())
        }
        Events::Redrive { kind } => {
            let now = Env::system().now();
            let count = mender.jobs().redrive_jobs(kind.as_deref(), now).await?;
            print(&format!("tried again: {count}"))
        }
    }
}
