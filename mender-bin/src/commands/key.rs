//! `key generate`

use std::path::PathBuf;

use mender_core::{Env, token};

use crate::{cli::KeyKind, commands::print, failure::Failure, keys};

pub(crate) async fn generate(kind: KeyKind, out: Option<PathBuf>) -> Result<(), Failure> {
    let kind = match kind {
        KeyKind::Ed25519 => token::KeyKind::Ed25519,
        KeyKind::Rsa => token::KeyKind::Rsa,
    };
    let made = tokio::task::spawn_blocking(move || token::Key::generate(&Env::system(), kind));
    let pem = made.await.map_err(|e| Failure::new(format!("no key made: {e}")))??;
    match out {
        None => print(&pem),
        Some(path) => keys::write_new(&path, &pem)
            .map_err(|e| Failure::new(format!("key {}: {e}", path.display()))),
    }
}
