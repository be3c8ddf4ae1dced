//! The files with the server's keys.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use mender_core::{
    Env,
    token::{Key, KeyKind, Keyring},
};
use mender_store::files::name_new;

use crate::{failure::Failure, settings::Settings};

/// Returns the file with the key that signs.
pub(crate) fn signing_key(settings: &Settings) -> PathBuf {
    let default = || settings.server.data_dir.join("keys/private.pem");
    settings.keys.signing_key.clone().unwrap_or_else(default)
}

/// Loads the keys; makes the one that signs, where no setting names it and there is none.
pub(crate) fn load_or_create(env: &Env, settings: &Settings) -> Result<Keyring, Failure> {
    let path = signing_key(settings);
    if settings.keys.signing_key.is_none() && !path.exists() {
        let pem = Key::generate(env, KeyKind::Ed25519)?;
        match write_new(&path, &pem) {
            Ok(()) => tracing::info!(path = %path.display(), "made a key to sign tokens with"),
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::of_file(&path, &error).during("key")),
        }
    }
    load(settings)
}

/// Loads the keys: the one that signs, those beside it, and those that settings name.
pub(crate) fn load(settings: &Settings) -> Result<Keyring, Failure> {
    let signer = signing_key(settings);
    let mut ring = Keyring::new(read(&signer)?);
    for path in beside(&signer).iter().chain(&settings.keys.verification_keys) {
        ring = ring.with_verifier(read(path)?);
    }
    if let Some(path) = &settings.keys.fallback_key {
        ring = ring.with_verifier(read(path)?);
    }
    Ok(ring)
}

/// Returns every file that is loaded.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let signer = signing_key(settings);
    let mut files = beside(&signer);
    files.push(signer);
    files.extend(settings.keys.verification_keys.iter().cloned());
    files.extend(settings.keys.fallback_key.clone());
    files
}

/// Returns those that are loaded for lying in the folder of the one that signs, itself included.
pub(crate) fn in_folder(settings: &Settings) -> Vec<PathBuf> {
    let signer = signing_key(settings);
    let mut files = beside(&signer);
    if signer.symlink_metadata().is_ok() {
        files.push(signer);
    }
    files
}

/// Tells whether everybody on the machine may read the file, or others may change it.
pub(crate) fn is_exposed(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o026 != 0)
}

/// Tells whether the group of the file may read it.
pub(crate) fn is_shared(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o040 != 0)
}

/// Writes a new file that only its owner may read, whole or not at all.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let partial = PathBuf::from(name);
    let write = || {
        let options = OpenOptions::new().create_new(true).write(true).mode(0o600).clone();
        let mut file = options.open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        name_new(&partial, path)?;
        File::open(dir)?.sync_all()
    };
    let written = write();
    // Where it was not made there is nothing to remove.
    let _ = fs::remove_file(&partial);
    written
}

fn read(path: &Path) -> Result<Key, Failure> {
    let text = fs::read_to_string(path).map_err(|e| failed(path, &e))?;
    Key::from_pem(&text, number(path).unwrap_or(0)).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("key {}: {error}", path.display()))
}

/// Returns N of `private.id.N.pem`.
fn number(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_prefix("private.id.")?.strip_suffix(".pem")?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Returns the other keys in the directory of the one that signs.
fn beside(signer: &Path) -> Vec<PathBuf> {
    let dir = signer.parent().filter(|dir| !dir.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(dir.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let main = |path: &Path| path.file_name().is_some_and(|name| name == "private.pem");
    let mut keys: Vec<_> = paths
        .filter(|path| path.file_name() != signer.file_name())
        .filter(|path| main(path) || number(path).is_some())
        .collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use mender_core::token::Numbered;
    use serde_json::{Value, json};

    use super::*;
    use crate::settings;

    fn settings(args: &[&str]) -> Settings {
        let flags = settings::flags(Command::new("x")).get_matches_from([&["x"], args].concat());
        Settings::load(&flags, [], &[]).unwrap().0
    }

    #[test]
    fn the_first_start_makes_a_key_that_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&["--data-dir", dir.path().to_str().unwrap()]);
        let ring = load_or_create(&Env::system(), &settings).unwrap();
        let token = ring.sign(Numbered::Yes, &json!({})).unwrap();
        let again = load_or_create(&Env::system(), &settings).unwrap();
        assert!(again.verify::<Value>(Numbered::Yes, &token).is_some());
        let mode = fs::metadata(signing_key(&settings)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn keys_beside_the_one_that_signs_verify_under_their_number() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) =
            (dir.path().join("private.id.3.pem"), dir.path().join("private.id.12.pem"));
        for path in [&old, &new, &dir.path().join("private.pem")] {
            let pem = Key::generate(&Env::system(), KeyKind::Ed25519).unwrap();
            write_new(path, &pem).unwrap();
        }
        let sign_with = |path: &Path| settings(&["--signing-key", path.to_str().unwrap()]);
        let before = load(&sign_with(&old)).unwrap();
        let token = before.sign(Numbered::Yes, &json!({})).unwrap();
        let after = load(&sign_with(&new)).unwrap();
        assert!(after.verify::<Value>(Numbered::Yes, &token).is_some());
        assert_eq!(files(&sign_with(&new)).len(), 3);
        fs::remove_file(&old).unwrap();
        let gone = load(&sign_with(&new)).unwrap();
        assert!(gone.verify::<Value>(Numbered::Yes, &token).is_none());
    }

    #[test]
    fn a_named_key_is_never_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        let named = settings(&["--signing-key", path.to_str().unwrap()]);
        let said = load_or_create(&Env::system(), &named).unwrap_err().to_string();
        assert!(said.contains("a.pem: No such file"), "{said}");
        fs::write(&path, "x").unwrap();
        let said = load(&named).unwrap_err().to_string();
        assert!(said.ends_with("failed to read private key: not PEM"), "{said}");
    }
}
