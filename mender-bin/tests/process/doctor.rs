use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    fleet::User,
    support::{Server, run, text},
};

/// Runs `doctor`; tells whether all is well, and returns what it printed.
fn doctor(data: &Path, arguments: &[&str]) -> (bool, String) {
    // However few files may be open where tests run.
    let output = run(data, &[&["doctor", "--max-connections=1"], arguments].concat());
    (output.status.success(), text(&output.stdout))
}

#[test]
fn artifacts_whose_bytes_are_gone_are_found() {
    let server = Server::start(&[]);
    let (data, files) = (server.data.path(), tempfile::tempdir().unwrap());
    let user = User::of(&server);
    let bytes = user.upload(&server, files.path(), "r1");
    let (is_well, said) = doctor(data, &["--deep"]);
    assert!(is_well && said.contains("ok     stored data"), "{said}");
    let blobs = fs::read_dir(data.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    let [blob] = &blobs.filter(|path| path.is_file()).collect::<Vec<_>>()[..] else { panic!() };
    fs::write(blob, "").unwrap();
    let (is_well, said) = doctor(data, &["--deep"]);
    let flaw = format!("of r1 has {} bytes, and 0 are there", bytes.len());
    assert!(!is_well && said.contains(&flaw), "{said}");
    assert!(doctor(data, &[]).0);
    fs::remove_file(blob).unwrap();
    let (is_well, said) = doctor(data, &["--deep"]);
    let flaw = format!("of r1: its {} bytes are gone", bytes.len());
    assert!(!is_well && said.contains("WRONG  stored data") && said.contains(&flaw), "{said}");
}

#[test]
fn a_database_is_its_owners_alone_whatever_folder_it_is_in() {
    let (folder, mode) = (tempfile::tempdir().unwrap(), |mode| fs::Permissions::from_mode(mode));
    let data = folder.path();
    fs::set_permissions(data, mode(0o755)).unwrap();
    let server = Server::start_in(folder, &[]);
    User::of(&server);
    let data = server.data.path();
    let files = ["mender.db", "mender.db-wal", "mender.db-shm"].map(|name| data.join(name));
    for file in &files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    assert!(doctor(data, &[]).0);

    let exposed = "WRONG  database files: others can read or change";
    for (file, bad) in [(0, 0o644), (1, 0o604), (2, 0o620)] {
        fs::set_permissions(&files[file], mode(bad)).unwrap();
        let (is_well, said) = doctor(data, &[]);
        let flaw = format!("{exposed} {}\n", files[file].display());
        assert!(!is_well && said.contains(&flaw), "{said}");
        assert!(said.contains(&format!("chmod 600 {}\n", files[file].display())), "{said}");
        // Where nobody else enters, nobody else reads.
        fs::set_permissions(data, mode(0o700)).unwrap();
        assert!(doctor(data, &[]).0);
        fs::set_permissions(data, mode(0o755)).unwrap();
        fs::set_permissions(&files[file], mode(0o600)).unwrap();
    }
    fs::set_permissions(data, mode(0o777)).unwrap();
    let (is_well, said) = doctor(data, &[]);
    assert!(!is_well && said.contains("everybody can replace what is in the folder"), "{said}");
    fs::set_permissions(data, mode(0o755)).unwrap();

    let key = data.join("keys/private.pem");
    assert!(doctor(data, &[]).1.contains("ok     keys: 1 readable by nobody else\n"));
    fs::set_permissions(&key, mode(0o640)).unwrap();
    let (is_well, said) = doctor(data, &[]);
    assert!(is_well && said.contains("keys: 1, of which 1 may be read by their group\n"), "{said}");
    fs::set_permissions(&key, mode(0o644)).unwrap();
    let (is_well, said) = doctor(data, &[]);
    assert!(!is_well && said.contains("WRONG  keys: others can read or change"), "{said}");
}
