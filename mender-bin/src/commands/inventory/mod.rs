//! `inventory export`, `inventory import`

mod cell;
mod export;
mod import;

use crate::{Distribution, cli::Inventory, failure::Failure, settings::Settings};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: Inventory,
) -> Result<(), Failure> {
    match command {
        Inventory::Export(wanted) => export::run(parts, settings, wanted).await,
        Inventory::Import(wanted) => import::run(parts, settings, wanted).await,
    }
}

/// A failure to read or write a file.
fn file_failed(path: &std::path::Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
