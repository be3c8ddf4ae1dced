//! `backup` and `restore`.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use mender_core::{Env, blob::Blobs, secret::Secret};
use mender_store::{
    Backup, BackupFile, SqlStore,
    backup::{KeyFile, Summary},
};

use crate::{
    assemble::{self, Opener},
    commands::{print, progress::Progress},
    failure::Failure,
    keys,
    settings::Settings,
};

/// How many names of missing artifacts are printed.
const NAMED: usize = 5;

pub(crate) async fn back_up(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let failed = |failure: Failure| failure.during(format!("backup {}", file.display()));
    let (store, blobs) = open(settings, Opener::Look).await?;
    let keys = read_keys(settings).map_err(failed)?;
    let progress = Arc::new(Progress::of("MiB", None));
    let shown = progress.clone();
    let backup = Backup::of(&store, blobs).keys(keys).watch(move |bytes| shown.show(bytes >> 20));
    let written = backup.write(file, Env::system().now()).await;
    progress.end();
    let written = written.map_err(|error| failed(error.into()))?;
    print(&format!("{}: {}", file.display(), said(&written)))?;
    if written.missing.is_empty() {
        return Ok(());
    }
    let named = written.missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Err(failed(Failure::new(format!(
        "the rest is in it, but {} artifacts are not: the place for artifacts lacks them, or has \
         them in another size, such as {named}",
        written.missing.len()
    ))))
}

pub(crate) async fn restore(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let failed = |failure: Failure| failure.during(format!("restore {}", file.display()));
    let size = fs::metadata(file).map(|meta| meta.len() >> 20).ok();
    let progress = || Arc::new(Progress::of("MiB", size));
    let (checked, loaded) = (progress(), progress());
    let shown = checked.clone();
    let backup = BackupFile::open(file, move |bytes| shown.show(bytes >> 20)).await;
    checked.end();
    let backup = backup.map_err(|error| failed(error.into()))?;
    let created = backup.created();

    let places = places(settings, backup.keys());
    check_free(settings, &places).map_err(failed)?;
    let (store, blobs) = open(settings, Opener::Restore).await?;
    let mut made = Vec::new();
    let shown = loaded.clone();
    let restored = async {
        for (path, key) in places.iter().filter(|(path, _)| !path.exists()) {
            let failed = |e| Failure::new(format!("key {}: {e}", path.display()));
            keys::write_new(path, key.pem.expose()).map_err(failed)?;
            made.push(path);
        }
        let watch = move |bytes| shown.show(bytes >> 20);
        Ok(Box::pin(backup.restore(&store, &blobs, watch)).await?)
    };
    let restored: Result<Summary, Failure> = restored.await;
    loaded.end();
    if restored.is_err() {
        for path in made {
            // They are in the backup.
            let _ = fs::remove_file(path);
        }
    }
    let restored = restored.map_err(failed)?;
    print(&format!("restored what was there on {created}: {}", said(&restored)))?;
    for setting in lacking(settings, &places) {
        print(&setting)?;
    }
    print("start the server with the same settings, then run `mender-server doctor`")
}

fn said(done: &Summary) -> String {
    format!("rows: {}, artifacts: {}, bytes: {}", done.rows, done.blobs, done.bytes)
}

async fn open(settings: &Settings, opener: Opener) -> Result<(SqlStore, Arc<dyn Blobs>), Failure> {
    let url = settings.server.database_url();
    let place = settings.blobs_url().0;
    match url.scheme() {
        "mongodb" | "mongodb+srv" => {
            return Err(Failure::new(
                "backup and restore know SQLite and PostgreSQL only: use mongodump and \
                 mongorestore for the database, and copy the place for artifacts afterwards",
            ));
        }
        "memory" => {
            return Err(Failure::new(
                "a database in memory has no backup: it is gone when the server stops",
            ));
        }
        _ if place == "memory:" => {
            return Err(Failure::new(
                "artifacts in memory have no backup: they are gone when the server stops",
            ));
        }
        _ => {}
    }
    if opener == Opener::Look
        && let Some(path) = url.0.strip_prefix("sqlite://")
        && !Path::new(path).exists()
    {
        return Err(Failure::new(format!(
            "database: there is none at {path}: give the same settings as the server has, such as \
             --data-dir"
        )));
    }
    let opened = assemble::sql_store(&settings.server, &url.0, opener).await;
    let (store, schema) = opened.map_err(|failure| assemble::of_database(failure, &url.0))?;
    if opener == Opener::Look && schema.applied == 0 {
        return Err(Failure::new("database: it is empty, there is nothing to back up"));
    }
    let opened = assemble::blobs(&place, settings, opener).await;
    let (blobs, _) = opened.map_err(|failure| failure.during("blobs"))?;
    Ok((store, blobs))
}

/// Reads the keys that the server has.
fn read_keys(settings: &Settings) -> Result<Vec<KeyFile>, Failure> {
    let signer = keys::signing_key(settings);
    let mut read: Vec<KeyFile> = Vec::new();
    for path in keys::files(settings) {
        let failed = |e| Failure::new(format!("key {}: {e}", path.display()));
        let pem = Secret::new(fs::read_to_string(&path).map_err(failed)?);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = KeyFile { name, pem, signs: path == signer };
        match read.iter_mut().find(|known| known.name == key.name) {
            Some(known) if known.pem == key.pem => known.signs |= key.signs,
            Some(known) => {
                let why = format!("two keys are named {}: rename one of them", known.name);
                return Err(Failure::new(why));
            }
            None => read.push(key),
        }
    }
    Ok(read)
}

/// Returns where keys are restored: beside the one that signs.
fn places(settings: &Settings, keys: &[KeyFile]) -> Vec<(PathBuf, KeyFile)> {
    let signer = keys::signing_key(settings);
    keys.iter().map(|key| (signer.with_file_name(&key.name), key.clone())).collect()
}

/// Refuses where files would be overwritten, or mixed with what is restored.
fn check_free(settings: &Settings, places: &[(PathBuf, KeyFile)]) -> Result<(), Failure> {
    let occupied = |what: String| {
        Err(Failure::new(format!("{what}: a backup is restored into an empty place")))
    };
    for (path, key) in places {
        match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // One that an attempt left which was killed is the same.
            Ok(bytes) if bytes == key.pem.expose().as_bytes() => {}
            Ok(_) => return occupied(format!("the key {} is another one", path.display())),
            Err(error) => return occupied(format!("the key {}: {error}", path.display())),
        }
    }
    // Whoever has such a key could make tokens for what is restored.
    let is_restored = |path: &PathBuf| places.iter().any(|(place, _)| same_name(place, path));
    if let Some(path) = keys::in_folder(settings).iter().find(|path| !is_restored(path)) {
        return occupied(format!("the key {} is not in the backup", path.display()));
    }
    match settings.blobs_url().0.strip_prefix("file://") {
        Some(folder) if has_files(Path::new(folder)) => {
            occupied(format!("the folder {folder} has files"))
        }
        _ => Ok(()),
    }
}

/// Tells whether two files of one folder are the same.
fn same_name(one: &Path, other: &Path) -> bool {
    one.file_name() == other.file_name()
}

fn has_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| !path.is_dir() || has_files(&path))
}

/// Returns what to set so that the server finds its keys.
fn lacking(settings: &Settings, places: &[(PathBuf, KeyFile)]) -> Vec<String> {
    let loaded = keys::files(settings);
    let said = |(path, key): &(PathBuf, KeyFile)| {
        let path_shown = path.display();
        match key.signs {
            true if *path != keys::signing_key(settings) => {
                Some(format!("the key that signs is {path_shown}: name it in signing_key"))
            }
            false if !loaded.contains(path) => Some(format!(
                "the key {path_shown} verified tokens: name it in verification_keys or fallback_key"
            )),
            _ => None,
        }
    };
    places.iter().filter_map(said).collect()
}
