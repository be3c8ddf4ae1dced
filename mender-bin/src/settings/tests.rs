use std::{collections::BTreeSet, io::Write as _, time::Duration};

use clap::Command;
use mender_core::{auth, users};

use super::*;

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let command = flags_of().try_get_matches_from([&["x"], flags].concat());
    let variables = variables.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    let loaded = Settings::load(&command.map_err(|e| e.to_string())?, variables, &[]);
    loaded.map(|(settings, _)| settings).map_err(|e| e.0)
}

fn flags_of() -> Command {
    flags(Command::new("x"))
}

fn wrong(flags: &[&str], variables: &[(&str, &str)]) -> String {
    load(flags, variables).err().expect("an error")
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = file("drain_time = \"1s\"\nlisten = \"a:1\"\ncompression = false\n");
    let path = file.path().to_str().unwrap();
    let variables = [("MENDER_CONFIG", path), ("MENDER_LISTEN", "b:2"), ("MENDER_TLS_CERT", "")];
    let drain = |s: &Settings| s.server.drain_time.as_secs();

    let settings = load(&[], &[]).unwrap();
    assert_eq!((settings.server.listen.0.as_str(), drain(&settings)), ("127.0.0.1:8080", 30));
    let settings = load(&[], &variables[..1]).unwrap();
    assert_eq!((settings.server.listen.0.as_str(), drain(&settings)), ("a:1", 1));
    assert!(!settings.server.compression);
    let settings = load(&["--compression"], &variables).unwrap();
    assert_eq!((settings.server.listen.0.as_str(), drain(&settings)), ("b:2", 1));
    assert!(settings.server.compression && settings.server.tls_cert.is_none());
    let settings = load(&["--config", path, "--listen=c:3"], &variables[1..]).unwrap();
    assert_eq!((settings.server.listen.0.as_str(), drain(&settings)), ("c:3", 1));
}

#[test]
fn lists_are_texts_with_commas_or_arrays() {
    let file = file("cors_origins = [\"https://a\", \"https://b\"]\ndatabase_pool_size = 3\n");
    let settings = load(&["--config", file.path().to_str().unwrap()], &[]).unwrap();
    assert_eq!(settings.server.cors_origins.0, ["https://a", "https://b"]);
    assert_eq!(settings.server.database_pool_size, 3);
}

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    assert_eq!(
        wrong(&[], &[("MENDER_DRAIN_TIME", "soon")]),
        "MENDER_DRAIN_TIME is \"soon\"; allowed is a duration such as 500ms, 30s, 5m, 12h or 7d"
    );
    assert_eq!(
        wrong(&["--log-format", "xml"], &[]),
        "--log-format is \"xml\"; allowed is text or json"
    );
    let file = file("listen = \"8080\"\n");
    let path = file.path().to_str().unwrap();
    let said = wrong(&["--config", path], &[]);
    assert!(said.starts_with(&format!("listen in {path} is \"8080\"; allowed is HOST:PORT")));
}

#[test]
fn secrets_are_never_shown() {
    let said = wrong(&[], &[("MENDER_DATABASE_URL", "mysql://u:hunter2@h/d")]);
    assert!(said.starts_with("MENDER_DATABASE_URL is not valid; allowed is sqlite://PATH"));
    let said = wrong(&[], &[("MENDER_DATABASE_URL", "sqlite:a.db")]);
    assert!(said.starts_with("MENDER_DATABASE_URL is \"sqlite:a.db\"; allowed is sqlite://PATH"));
    let said = wrong(&[], &[("MENDER_BUS_URL", "amqp://hunter2@h")]);
    assert!(said.starts_with("MENDER_BUS_URL is not valid; allowed is nats://TOKEN@"), "{said}");
    let matches = flags_of().get_matches_from([
        "x",
        "--default-tenant-token=hunter2",
        "--bus-url=nats://hunter2@h",
    ]);
    let (_, given) = Settings::load(&matches, [], &[]).unwrap();
    assert!(!show(&given).contains("hunter2"));
}

#[test]
fn unknown_names_are_errors() {
    assert_eq!(
        wrong(&[], &[("MENDER_DATABASE", "x")]),
        "MENDER_DATABASE in the environment is no setting (is MENDER_DATABASE_URL meant?); \
         `mender-server settings` lists them all"
    );
    let file = file("listne = \"x:1\"\n");
    let said = wrong(&["--config", file.path().to_str().unwrap()], &[]);
    assert!(said.starts_with("listne in "), "{said}");
    assert!(load(&["--nonsense", "1"], &[]).is_err());
    assert!(wrong(&["--config", "/nowhere.toml"], &[]).contains("can't be read"));
}

#[test]
fn variables_of_tests_and_other_tools_are_not_ours() {
    let variables = [
        ("MENDER_TEST_POSTGRES", "x"),
        ("MENDER_CI_X", "x"),
        ("MENDER_COMPAT_BASE", "x"),
        ("MENDER_SERVER", "x"),
        ("MENDER_REFERENCE_DIR", "x"),
        ("PATH", "x"),
    ];
    assert!(load(&[], &variables).is_ok());
    assert!(load(&[], &[("MENDER_SERVER_X", "x")]).is_err());
}

#[test]
fn what_kubernetes_says_about_services_is_not_ours() {
    for link in [
        "MENDER_SERVICE_HOST",
        "MENDER_SERVICE_PORT",
        "MENDER_DEVICE_AUTH_SERVICE_PORT_HTTP",
        "MENDER_PORT",
        "MENDER_USERADM_PORT",
        "MENDER_PORT_8080_TCP",
        "MENDER_PORT_8080_TCP_ADDR",
        "MENDER_API_GATEWAY_PORT_53_UDP_PROTO",
    ] {
        assert!(load(&[], &[(link, "tcp://10.0.0.1:8080")]).is_ok(), "{link}");
    }
    for other in ["MENDER_PORT_X_TCP", "MENDER_PORT_80", "MENDER_PORTS", "MENDER_SERVICE_HOSTS"] {
        assert!(wrong(&[], &[(other, "x")]).contains("is no setting"), "{other}");
    }
}

#[test]
fn settings_that_belong_together_are_checked_together() {
    assert!(wrong(&["--tls-cert", "a"], &[]).contains("tls_cert and tls_key belong together"));
    assert!(load(&["--trust-gateway"], &[]).is_ok());
    assert!(wrong(&["--blobs-key=a"], &[]).contains("blobs_key and blobs_secret belong together"));
    let open = ["--trust-gateway", "--internal-listen=:1"];
    assert!(wrong(&open, &[]).contains("it is 0.0.0.0:1"));
    let certificate = ["--internal-tls-cert=a", "--internal-tls-key=b"];
    let guarded = [&open[..], &certificate, &["--internal-tls-client-ca=c"]].concat();
    assert!(load(&guarded, &[]).is_ok());
}

#[test]
fn defaults_are_those_of_the_services() {
    let settings = load(&[], &[]).unwrap();
    let (ours, core) = (settings.auth.config(), auth::Config::default());
    assert_eq!(format!("{ours:?}"), format!("{core:?}"));
    let (ours, core) = (settings.users_config(), users::Config::default());
    assert_eq!(format!("{ours:?}"), format!("{core:?}"));
    assert_eq!(settings.server.drain_time, Duration::from_secs(30));
    assert_eq!(settings.server.database_url().0, "sqlite://./mender-data/mender.db");
    let memory = load(&["--database-url=memory:"], &[]).unwrap();
    assert_eq!(memory.blobs_url().0, "memory:");
}

#[test]
fn every_setting_is_documented_once() {
    let names: BTreeSet<_> = all().map(|setting| setting.name).collect();
    assert_eq!(names.len(), all().count());
    let page = markdown();
    for setting in all() {
        let text = setting.doc.trim();
        assert!(text.ends_with('.') && !text.contains('|'), "{}", setting.name);
        assert_eq!(page.matches(&format!("| `{}` |", setting.name)).count(), 1);
    }
    flags_of().debug_assert();
}

#[test]
fn what_is_shipped_names_settings_that_there_are() {
    let known: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|table| table.settings)
        .map(Setting::variable)
        .chain(["MENDER_CONFIG".to_owned()])
        .collect();
    for text in [
        include_str!("../../../Dockerfile"),
        include_str!("../../../compose.yaml"),
        include_str!("../../../dist/mender-server.service"),
        include_str!("../../../docs/operating.md"),
    ] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '…');
        for word in words.filter(|word| word.starts_with("MENDER_") && !word.contains('…')) {
            assert!(known.contains(word), "{word}");
        }
    }
}

#[test]
fn the_file_that_is_shipped_is_read_with_and_without_what_it_suggests() {
    let shipped = include_str!("../../../dist/config.toml");
    let suggested = shipped.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let settings = suggested.filter(|line| line.contains(" = "));
    // Later suggestions replace what is there.
    let mut all = std::collections::BTreeMap::new();
    all.extend(settings.filter_map(|line| line.split_once(" = ")));
    let all: Vec<_> = all.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    for text in [shipped, &all.concat()] {
        let file = file(text);
        let settings = load(&["--config", file.path().to_str().unwrap()], &[]).unwrap();
        assert_eq!(settings.server.data_dir.to_str(), Some("/var/lib/mender-server"));
    }
}
