//! What keeps the server from starting is said in one sentence, with what to do.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use crate::support::{Server, program, run, text};

const FREE: [&str; 2] = ["--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"];

/// Returns what a server says that does not start.
fn sentence(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let sentences: Vec<_> = said.lines().filter(|l| l.starts_with("mender-server: ")).collect();
    let [sentence] = sentences[..] else { panic!("{said}") };
    assert_eq!(said.lines().last(), Some(sentence));
    sentence.strip_prefix("mender-server: ").unwrap().into()
}

/// Starts a server on a folder of a file system of its own, mounted with these options: unlike
/// permissions, that binds the superuser too. `None` where nobody may mount.
fn on_disk(options: &str) -> Option<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!("mount -t tmpfs -o {options} none \"$1\" || exit 77; shift; exec \"$@\"");
    let program = program(&disk.join("data"));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(&disk).arg(program.get_program()).args(FREE);
    command.env("MENDER_DATA_DIR", disk.join("data"));
    let output = command.output().unwrap();
    if output.status.code() != Some(1) || text(&output.stderr).starts_with("unshare: ") {
        eprintln!("skipped: nobody may mount here: {}", text(&output.stderr));
        return None;
    }
    Some((sentence(&output, 1), disk.display().to_string()))
}

#[test]
fn a_port_that_is_taken() {
    let server = Server::start(&["--database-url=memory:"]);
    let dir = tempfile::tempdir().unwrap();
    for (setting, address) in [("listen", &server.public), ("internal-listen", &server.internal)] {
        let taken = format!("--{setting}={address}");
        let other = FREE.iter().find(|free| !free.starts_with(&format!("--{setting}="))).unwrap();
        let output = run(dir.path(), &[other, &taken]);
        let name = setting.replace('-', "_");
        assert_eq!(
            sentence(&output, 1),
            format!(
                "{name}: can't listen on {address}: Address already in use (os error 98): stop \
                 the program that has it, or set another address"
            )
        );
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn a_folder_that_cannot_be_written() {
    let Some((said, disk)) = on_disk("ro") else { return };
    assert_eq!(
        said,
        format!(
            "database: {disk}/data: Read-only file system (os error 30): let the user of this \
             program write there, or name another place"
        )
    );
}

#[test]
fn files_that_cannot_be_written() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("mender.db.lock");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::File::options().write(true).open(&file).is_ok() {
        eprintln!("skipped: permissions do not bind this user");
        return;
    }
    assert_eq!(
        sentence(&run(data.path(), &FREE), 1),
        format!(
            "database: {}: Permission denied (os error 13): let the user of this program write \
             there, or name another place",
            file.display()
        )
    );
}

#[test]
fn a_full_disk() {
    let Some((said, disk)) = on_disk("size=256k") else { return };
    assert!(said.starts_with(&format!("database {disk}/data/mender.db: ")), "{said}");
    assert!(said.ends_with("database or disk is full: make room on that disk"), "{said}");
}

#[test]
fn a_folder_that_is_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = sentence(&run(file.path(), &FREE), 1);
    let path = file.path().display();
    assert_eq!(said, format!("database: {path} is no folder: name another one"));
    let said = sentence(&run(&file.path().join("below"), &FREE), 1);
    assert!(said.ends_with("Not a directory (os error 20): name a folder"), "{said}");
}

#[cfg(feature = "sqlite")]
#[test]
fn a_folder_of_a_newer_program() {
    use mender_store::{
        SqlStore,
        sql::{Batch, Stmt},
    };

    const NEWER: Stmt = Stmt::new("INSERT INTO schema_migrations VALUES (9999, 'future')");
    let data = tempfile::tempdir().unwrap();
    assert!(run(data.path(), &["migrate"]).status.success());
    let path = data.path().join("mender.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqlStore::open(&format!("sqlite://{}", path.display())).await.unwrap();
        store.sql().run(Batch::of(NEWER, Vec::new())).await.unwrap();
    });
    for command in [
        &FREE[..],
        &["migrate"],
        &["user", "create", "--username=a@b.c", "--password=battery staple"],
    ] {
        let said = sentence(&run(data.path(), command), 1);
        assert!(
            said.starts_with(&format!(
                "database {}: the database has schema version 9999, and this program knows",
                path.display()
            )),
            "{said}"
        );
        assert!(said.ends_with("use a newer program"), "{said}");
    }
}

#[test]
fn settings_that_cannot_be_read() {
    let data = tempfile::tempdir().unwrap();
    let said = |name: &str, value: &str| {
        sentence(&program(data.path()).env(name, value).output().unwrap(), 2)
    };
    assert_eq!(
        said("MENDER_DRAIN_TIME", "soon"),
        "MENDER_DRAIN_TIME is \"soon\"; allowed is a duration such as 500ms, 30s, 5m, 12h or 7d"
    );
    assert!(said("MENDER_DATABASE", "x").contains("is MENDER_DATABASE_URL meant?"));
    let file = data.path().join("config.toml");
    let in_file = |text: &str| {
        fs::write(&file, text).unwrap();
        let said = said("MENDER_CONFIG", file.to_str().unwrap());
        said.replace(&file.display().to_string(), "FILE")
    };
    let said = in_file("# the server\nlisten = 5x\n");
    assert!(said.starts_with("the settings in FILE are not TOML: line 2: "), "{said}");
    assert!(in_file("listn = \"a:1\"").starts_with("listn in FILE is no setting"));
    assert!(in_file("listen = \"a\"").contains("allowed is HOST:PORT"));
    assert!(!Path::new(&data.path().join("mender.db")).exists());
}
