use std::{fs, path::Path};

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
