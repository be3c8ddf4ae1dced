use crate::support::{Server, last_word, program, run, text};

/// What `user create` needs besides its name.
pub(crate) fn login<'a>(
    command: [&'a str; 2],
    username: &'a str,
    password: &'a str,
) -> Vec<&'a str> {
    [&command[..], &["--username", username, "--password", password]].concat()
}

#[test]
fn a_user_made_beside_the_server_logs_in_at_once() {
    let mut server = Server::start(&[]);
    server.heard("nobody can log in yet");
    let data = server.data.path();
    let create = login(["user", "create"], "a@b.example", "correct horse");
    let id = last_word(data, &create);
    assert_eq!(id.len(), 36, "{id}");
    let (status, token) = server.log_in("a@b.example", "correct horse");
    assert_eq!((status, token.split('.').count()), (200, 3));
    assert_eq!(server.log_in("a@b.example", "wrong horse").0, 401);

    let again = run(data, &create);
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stderr);
    assert!(said.contains("a user a@b.example exists already"), "{said}");

    let named = login(["user", "create"], "c@d.example", "correct horse");
    let named = [&named[..], &["--id", "Any text", "--role", "R1", "--role", "R2"]].concat();
    let named = run(data, &named);
    assert_eq!(text(&named.stdout), "Any text\n");
    assert!(text(&named.stderr).contains("roles are kept but not enforced yet"));

    last_word(data, &login(["user", "set-password"], "a@b.example", "battery staple"));
    assert_eq!(server.log_in("a@b.example", "correct horse").0, 401);
    assert_eq!(server.log_in("a@b.example", "battery staple").0, 200);
    let unknown = run(data, &login(["user", "set-password"], "x@y.example", "battery staple"));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("has no user x@y.example"));

    // However few files may be open where tests run.
    let healthy = run(data, &["doctor", "--deep", "--max-connections=1"]);
    assert!(healthy.status.success(), "{}", text(&healthy.stdout));
    assert!(text(&healthy.stdout).contains("ok     database: SQLite; can be written"));
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn a_tenant_comes_with_its_first_user() {
    let server = Server::start(&["--multi-tenant"]);
    let data = server.data.path();
    let create = login(["tenant", "create"], "a@b.example", "correct horse");
    let more = ["--name", "Acme", "--plan", "professional", "--addon", "configure"];
    let id = last_word(data, &[&create[..], &more, &["--multi-tenant"]].concat());
    assert_eq!(id.len(), 24, "{id}");
    assert_eq!(server.log_in("a@b.example", "correct horse").0, 200);
    let shown = run(data, &["tenant", "show", "--id", &id]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["id"], id);
    assert_eq!((&shown["name"], &shown["plan"]), (&"Acme".into(), &"professional".into()));
    assert_eq!(shown["status"], "active");
    assert!(shown["tenant_token"].as_str().is_some_and(|token| !token.is_empty()));
    assert_eq!(run(data, &["tenant", "show", "--id", "x"]).status.code(), Some(1));
}

#[test]
fn commands_work_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let ill = run(data, &["doctor"]);
    assert_eq!(ill.status.code(), Some(1));
    let said = text(&ill.stdout);
    assert!(said.contains("WRONG  keys: there is no key"), "{said}");
    assert!(said.contains("WRONG  database: there is none at"), "{said}");
    for _ in 0..2 {
        let migrated = run(data, &["migrate", "--tenant", "x"]);
        assert!(text(&migrated.stdout).starts_with("the schema has version "));
    }
    assert!(run(data, &["events", "list"]).stdout.is_empty());
    assert_eq!(text(&run(data, &["events", "redrive"]).stdout), "tried again: 0\n");
    last_word(data, &login(["user", "create"], "a@b.example", "correct horse"));
}

#[test]
fn only_one_server_opens_an_embedded_database() {
    let server = Server::start(&[]);
    let second =
        run(server.data.path(), &["--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains("another server uses the database"), "{said}");
}

#[test]
fn keys_are_made_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private.id.7.pem");
    let out = ["key", "generate", "--out", path.to_str().unwrap()];
    assert!(run(dir.path(), &out).status.success());
    let made = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(made & 0o777, 0o600);
    let again = run(dir.path(), &out);
    assert_eq!(again.status.code(), Some(1));
    let printed = text(&run(dir.path(), &["key", "generate"]).stdout);
    assert!(printed.starts_with("-----BEGIN PRIVATE KEY-----"), "{printed}");
}

#[test]
fn settings_and_version_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(dir.path());
    let url = "postgres://u:hunter2@h/d";
    let output = command.env("MENDER_DATABASE_URL", url).arg("settings").output().unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("database_url = \"(secret)\"  # environment"), "{shown}");
    assert!(shown.contains("drain_time = \"30s\"  # default") && !shown.contains("hunter2"));
    let page = text(&run(dir.path(), &["settings", "--markdown"]).stdout);
    assert!(page.contains("| `drain_time` | `30s` |"), "{page}");
    let version = run(dir.path(), &["version", "--output", "json"]).stdout;
    let version: serde_json::Value = serde_json::from_slice(&version).unwrap();
    assert_eq!(version["Version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(run(dir.path(), &["nonsense"]).status.code(), Some(2));
}
