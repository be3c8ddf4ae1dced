//! What the subcommands do. They work beside a running server.

pub(crate) mod artifact;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod backup;
#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
#[path = "no_backup.rs"]
pub(crate) mod backup;
pub(crate) mod demo;
pub(crate) mod doctor;
mod drawing;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod inventory;
pub(crate) mod key;
mod progress;
pub(crate) mod search;
pub(crate) mod simulate;
pub(crate) mod tenant;
pub(crate) mod user;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use mender_core::{Env, Mender, TenantId};
use serde_json::json;

use crate::{
    Distribution,
    assemble::{self, Opener},
    cli::Output,
    failure::Failure,
    settings::Settings,
};

/// After this time no server trusts what it knew before.
const HEARD: Duration = Duration::from_secs(1);

/// How long subscribers may take; the server does the rest.
const DELIVERY: Duration = Duration::from_secs(10);

/// Writes a result to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let written = writeln!(io::stdout().lock(), "{}", text.trim_end());
    written.map_err(|e| Failure::new(format!("the result was not written: {e}")))
}

/// Builds a server that does not run, to call its use cases.
async fn mender(parts: &Distribution, settings: &Settings) -> Result<Mender, Failure> {
    let opened = assemble::stores(&settings.server, Opener::Command).await?;
    // Commands make no tokens, and may run as a user who may not read the keys.
    let builder = opened.builder.env(Env::system()).ephemeral_keys();
    let builder = assemble::with_blobs(builder, settings, Opener::Command).await?;
    let builder = assemble::configured(builder, settings)?;
    Ok((parts.extend)(builder).build()?)
}

/// Has subscribers hear of a change, and waits until every server has.
async fn settle(mender: &Mender) {
    match tokio::time::timeout(DELIVERY, mender.drain()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the server delivers the events later"),
        Err(_) => tracing::warn!("delivery takes long: the server does the rest"),
    }
    tokio::time::sleep(HEARD).await;
}

fn tenant_id(text: &str) -> Result<TenantId, Failure> {
    let wrong = |_| Failure::new(format!("{text:?} is no id of a tenant"));
    text.parse().map_err(wrong)
}

/// `migrate`
pub(crate) async fn migrate(settings: &Settings) -> Result<(), Failure> {
    let opened = assemble::stores(&settings.server, Opener::Migrate).await?;
    match opened.schema {
        Some(schema) => print(&format!("the schema has version {}", schema.applied)),
        None => print("this kind of database has no schema"),
    }
}

/// `version`
pub(crate) fn version(output: Output) -> Result<(), Failure> {
    let (version, os, arch) =
        (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    match output {
        Output::Text => print(&format!("Version:\t{version}\nOs/Arch:\t{os}/{arch}")),
        Output::Json => print(&json!({ "Version": version, "OS": os, "Arch": arch }).to_string()),
    }
}
