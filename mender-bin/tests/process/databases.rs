//! The program on databases that are servers of their own.

use crate::{
    commands::login,
    support::{Server, last_word, program, run, text},
};

/// Returns the URL of a database server for tests, such as `MENDER_TEST_POSTGRES` names.
pub(crate) fn server(name: &str) -> Option<String> {
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let variable = format!("MENDER_TEST_{}", name.to_uppercase());
    let url = setting(&variable);
    if url.is_none() {
        let required = setting("MENDER_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|one| one == name), "{variable} is required");
        eprintln!("skipped on {name}: {variable} is not set");
    }
    url
}

#[test]
fn postgresql_is_migrated_by_hand_or_where_the_settings_say_so() {
    let Some(url) = server("postgres") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let schema = format!("test_bin_{}", std::process::id());
    let run = |arguments: &[&str]| {
        let mut command = program(dir.path());
        command.env("MENDER_DATABASE_URL", &url);
        command.env("MENDER_DATABASE_SCHEMA", &schema);
        command.args(arguments).output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("run `mender-server migrate`"), "{said}");
    assert!(text(&run(&["doctor"]).stdout).contains("WRONG  database: its schema has version 0"));
    assert!(run(&["migrate"]).status.success());
    let create = login(["user", "create"], "a@b.example", "correct horse");
    assert!(run(&create).status.success());
}

#[test]
fn mongodb_needs_no_migration() {
    let Some(base) = server("mongodb") else {
        return;
    };
    let (base, options) = base.split_once("/?").unwrap_or((&base, ""));
    let name = format!("test_bin_{}", std::process::id());
    let url = format!("--database-url={}/{name}?{options}", base.trim_end_matches('/'));
    let server = Server::start(&[&url]);
    let data = server.data.path();
    let create = login(["user", "create"], "a@b.example", "correct horse");
    last_word(data, &[&create[..], &[&url]].concat());
    assert_eq!(server.log_in("a@b.example", "correct horse").0, 200);
    let healthy = text(&run(data, &["doctor", "--deep", "--max-connections=1", &url]).stdout);
    assert!(healthy.contains("ok     database: MongoDB; can be written"), "{healthy}");
    let migrated = text(&run(data, &["migrate", &url]).stdout);
    assert_eq!(migrated, "this kind of database has no schema\n");
}
