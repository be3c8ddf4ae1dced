//! `artifact`

mod create;
mod delta;
mod files;
mod show;

use std::{fs, path::Path};

use mender_core::{
    artifacts::format::{Limits, Parsed, Parser, Replace, Resigner, SigningKey, verify},
    signature::PublicKey,
};

use crate::{cli::Artifact, commands::print, failure::Failure};

use files::{NewFile, about, read};

pub(crate) async fn run(command: Artifact) -> Result<(), Failure> {
    let done = tokio::task::spawn_blocking(move || match command {
        Artifact::Inspect { json: true, file } => print(&show::json(&parse(&file)?)),
        Artifact::Inspect { json: false, file } => print(&show::text(&parse(&file)?)),
        Artifact::Validate { key, file } => validate(&file, key.as_deref()),
        Artifact::Sign { key, output, force, file } => {
            let replace = if force { Replace::Yes } else { Replace::No };
            sign(&file, &key, output.as_deref().unwrap_or(&file), replace)
        }
        Artifact::Create(create) => create::run(*create),
        Artifact::Delta { output, key, sizes, source, target } => {
            delta::run(&source, &target, &output, key.as_deref(), &sizes)
        }
    });
    done.await.map_err(|e| Failure::new(format!("the command broke off: {e}")))?
}

/// Reads and verifies a whole artifact.
fn parse(path: &Path) -> Result<Parsed, Failure> {
    let mut parser = Parser::new(Limits::default());
    read(path, &mut |piece| parser.push(piece).map_err(|e| about(path, e)))?;
    parser.finish().map_err(|e| about(path, e))
}

fn validate(path: &Path, key: Option<&Path>) -> Result<(), Failure> {
    let parsed = parse(path)?;
    if let Some(key) = key {
        let text = fs::read_to_string(key).map_err(|e| about(key, e))?;
        let public = PublicKey::from_pem(&text).map_err(|e| about(key, e))?;
        let signature =
            parsed.signature.as_ref().ok_or_else(|| about(path, "missing signature"))?;
        verify(&parsed.manifest, signature, &public).map_err(|e| about(path, e))?;
    }
    print(&format!("Artifact file '{}' validated successfully", path.display()))
}

fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = fs::read_to_string(path).map_err(|e| about(path, e))?;
    SigningKey::from_pem(&text).map_err(|e| about(path, e))
}

fn sign(path: &Path, key: &Path, output: &Path, replace: Replace) -> Result<(), Failure> {
    let mut resigner = Resigner::new(signing_key(key)?, replace, Limits::default());
    // What is no artifact shall not look like a signed one.
    let mut parser = Parser::new(Limits::default());
    let mut to = NewFile::beside(output)?;
    let mut bytes = Vec::new();
    read(path, &mut |piece| {
        parser.push(piece).map_err(|e| about(path, e))?;
        resigner.push(piece, &mut bytes).map_err(|e| about(path, e))?;
        to.write(&mut bytes)
    })?;
    parser.finish().map_err(|e| about(path, e))?;
    resigner.finish().map_err(|e| about(path, e))?;
    to.keep()
}
