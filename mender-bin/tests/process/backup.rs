use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    fleet::{Device, User},
    support::{Server, program, run, text},
};

/// Runs `backup` or `restore`, which must succeed; returns what it printed.
fn succeeds(data: &Path, command: &str, file: &Path) -> String {
    let output = run(data, &[command, file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs `backup` or `restore`, which must be refused; returns why.
fn refused(data: &Path, command: &str, file: &Path) -> String {
    let output = run(data, &[command, file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn a_server_goes_on_from_a_backup_that_was_taken_while_it_served() {
    let server = Server::start(&[]);
    let files = tempfile::tempdir().unwrap();
    let user = User::of(&server);
    let devices: Vec<_> = (0..5).map(|n| Device::join(&server, &user, n)).collect();
    let artifacts = ["r1", "r2"].map(|name| user.upload(&server, files.path(), name));
    let [first, others @ ..] = &devices[..] else { panic!() };
    let ids: Vec<_> = devices.iter().map(|device| &device.id).collect();
    let order = json!({ "name": "d1", "artifact_name": "r1", "devices": ids });
    let (status, _) = user.call(&server, "POST /api/management/v1/deployments/deployments", &order);
    assert_eq!(status, 201);
    let (status, told) = first.poll(&server.public);
    assert_eq!((status, Device::download(&server.public, &told)), (200, artifacts[0].clone()));

    // Others go on asking meanwhile.
    let public = server.public.as_str();
    let (stop, file) = (AtomicBool::new(false), files.path().join("backup"));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for device in others {
                    assert_eq!(device.poll(public).0, 200);
                }
            }
        });
        let said = succeeds(server.data.path(), "backup", &file);
        assert!(said.contains("artifacts: 2, "), "{said}");
        stop.store(true, Ordering::Relaxed);
    });
    drop(server);

    let data = tempfile::tempdir().unwrap();
    let said = succeeds(data.path(), "restore", &file);
    assert!(said.contains("artifacts: 2, "), "{said}");
    let again = refused(data.path(), "restore", &file);
    assert!(again.contains("a backup is restored into an empty place"), "{again}");

    let server = Server::start_in(data, &[]);
    let healthy = run(server.data.path(), &["doctor", "--deep", "--max-connections=1"]);
    assert!(healthy.status.success(), "{}", text(&healthy.stdout));
    // The tokens of users and devices are those from before.
    let (_, known) =
        user.call(&server, "GET /api/management/v2/devauth/devices?status=accepted", &Value::Null);
    assert_eq!(known.as_array().unwrap().len(), devices.len());
    let (status, told_again) = first.poll(&server.public);
    assert_eq!((status, &told_again["id"]), (200, &told["id"]));
    for device in &devices {
        let (status, told) = device.poll(&server.public);
        assert_eq!((status, Device::download(&server.public, &told)), (200, artifacts[0].clone()));
    }
    Device::join(&server, &user, 99);
    user.upload(&server, files.path(), "r3");
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_made() {
    let server = Server::start(&[]);
    User::of(&server);
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("backup"), folder.path().join("data"));
    succeeds(server.data.path(), "backup", &file);
    let there = refused(server.data.path(), "backup", &file);
    assert!(there.ends_with("backup exists: name another file\n"), "{there}");

    let whole = fs::read(&file).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for (bytes, why) in [
        (&whole[..whole.len() - 512], "it is damaged or incomplete (its end is missing)"),
        (&altered[..], "(its checksum is not that of its content); nothing was restored"),
        (b"something else", "it is no backup of a Mender server"),
    ] {
        fs::write(&file, bytes).unwrap();
        let said = refused(&data, "restore", &file);
        assert!(said.contains(why), "{said}");
        assert!(!data.exists());
    }
    let none = refused(&data, "restore", &folder.path().join("none"));
    assert!(none.contains("none: No such file"), "{none}");

    fs::write(&file, &whole).unwrap();
    let said = refused(server.data.path(), "restore", &file);
    assert!(said.contains("another server uses the database"), "{said}");
    succeeds(&data, "restore", &file);
}

#[test]
fn keys_are_restored_where_the_settings_say() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("backup"), folder.path().join("data"));
    succeeds(server.data.path(), "backup", &file);
    let key = fs::read(server.data.path().join("keys/private.pem")).unwrap();
    fs::create_dir_all(data.join("keys")).unwrap();
    fs::write(data.join("keys/private.pem"), "another").unwrap();
    let said = refused(&data, "restore", &file);
    assert!(said.contains("private.pem is another one"), "{said}");
    assert_eq!(fs::read(data.join("keys/private.pem")).unwrap(), b"another");
    assert!(!data.join("mender.db").exists());

    let place = folder.path().join("secrets/private.id.7.pem");
    let mut command = program(&data);
    command.env("MENDER_SIGNING_KEY", &place).arg("restore").arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read(place.with_file_name("private.pem")).unwrap(), key);
    let said = text(&output.stdout);
    assert!(said.contains("name it in signing_key"), "{said}");
}

#[test]
fn nothing_is_restored_beside_keys_that_the_backup_lacks() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("backup"), folder.path().join("data"));
    succeeds(server.data.path(), "backup", &file);
    let keys = data.join("keys");
    fs::create_dir_all(&keys).unwrap();
    // Its owner could make tokens for what is restored.
    fs::write(keys.join("private.id.7.pem"), "anybody's").unwrap();
    let said = refused(&data, "restore", &file);
    assert!(said.contains("private.id.7.pem is not in the backup: a backup is restored"), "{said}");
    fs::remove_file(keys.join("private.id.7.pem")).unwrap();

    fs::write(keys.join("private.pem"), b"\xff is no text").unwrap();
    let said = refused(&data, "restore", &file);
    assert!(said.contains("private.pem is another one"), "{said}");
    fs::remove_file(keys.join("private.pem")).unwrap();

    // It can't be read, whoever asks.
    fs::create_dir(keys.join("private.pem")).unwrap();
    let said = refused(&data, "restore", &file);
    assert!(said.contains("private.pem: Is a directory"), "{said}");
    fs::remove_dir(keys.join("private.pem")).unwrap();
    assert!(!data.join("mender.db").exists());
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 0);

    // What an attempt left that was killed is no other key.
    fs::copy(server.data.path().join("keys/private.pem"), keys.join("private.pem")).unwrap();
    succeeds(&data, "restore", &file);
}

#[test]
fn what_cannot_be_backed_up_is_said() {
    let data = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = run(data.path(), &[&["backup", "x"], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(said(&["--database-url=mongodb://127.0.0.1:1/x"]).contains("use mongodump"));
    assert!(said(&["--database-url=memory:"]).contains("a database in memory has no backup"));
    assert!(said(&[]).contains("give the same settings as the server has"));
    assert!(fs::read_dir(data.path()).unwrap().next().is_none());
}
