//! `kill -9` under a load of authentication requests and acceptances, again and again; then every
//! answered request must be there, every event heard, and the store sound.
//!
//! The executable is its own server: with `MENDER_CRASH_CHILD` set it serves until it is killed.

#![expect(clippy::unwrap_used, reason = "a test can't go on without it")]

mod load;
mod server;
mod verdict;

use std::{env, path::Path, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use mender_core::Env;

use server::Place;

/// How often the server is killed.
const ROUNDS: u64 = 5;

/// Where a test finds its database; an error where it must be there and is not.
fn postgres() -> Result<Option<String>, Failed> {
    let url = env::var("MENDER_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    let required = env::var("MENDER_TEST_REQUIRE").unwrap_or_default();
    if url.is_none() {
        if required.split(',').any(|one| one == "postgres") {
            return Err("MENDER_TEST_POSTGRES is not set".into());
        }
        println!("skipped: MENDER_TEST_POSTGRES is not set");
    }
    Ok(url)
}

/// Kills the server `ROUNDS` times under load, then looks at what is left.
fn survives(database: impl FnOnce(&Path) -> String) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let place = Place {
        database: database(dir.path()),
        schema: format!("t{}", Env::system().uuid().replace('-', "")),
        dir: dir.path().to_owned(),
    };
    server::prepare(&place)?;
    let journal = Arc::new(load::Journal::default());
    for round in 0..ROUNDS {
        let mut server = server::Killable::start(&place)?;
        let run = load::Load::start(&server.address, round, &journal)?;
        run.until_busy(&journal);
        server.kill()?;
        run.join();
    }
    let summary = verdict::check(&place, &journal)?;
    println!("{summary}");
    Ok(())
}

fn main() -> ExitCode {
    if let Some(child) = server::Child::from_env() {
        return child.serve();
    }
    let on_sqlite = || survives(|dir| format!("sqlite://{}", dir.join("mender.db").display()));
    let on_postgres = || match postgres()? {
        Some(url) => survives(|_| url),
        None => Ok(()),
    };
    let trials = vec![
        Trial::test("sqlite::nothing_answered_is_lost", on_sqlite),
        Trial::test("postgres::nothing_answered_is_lost", on_postgres),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
