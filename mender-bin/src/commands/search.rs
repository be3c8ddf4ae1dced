//! `search reindex`

use crate::{
    Distribution,
    cli::Search,
    commands::{mender, print, progress::Progress},
    failure::Failure,
    settings::Settings,
};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: Search,
) -> Result<(), Failure> {
    let mender = mender(parts, settings).await?;
    match command {
        Search::Reindex => {
            let progress = Progress::of("devices", None);
            let count = mender.search().rebuild(|done| progress.show(done)).await?;
            progress.end();
            print(&format!("devices in the index: {count}"))
        }
    }
}
