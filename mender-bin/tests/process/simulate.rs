use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Server, call, eventually_body, in_terminal, last_word, program, run, send, text,
};

const USER: &str = "u@example.com";
const PASSWORD: &str = "correct horse";

const SCENARIO: &str = r#"
ramp = "500ms"
checksums = true
old_clients = 0.3

[keys]
rsa = 0.05
ecdsa = 0.3

[[device]]
weight = 2
poll_interval = "200ms"
retry = "200ms"
retry_most = "1s"
install_time = "100ms"
reboot_time = "0s"

[device.chances]
failure = 0.4
broken_download = 0.2

[[device]]
type = "valve"
poll_interval = "200ms"
retry = "200ms"
retry_most = "1s"
install_time = "100ms"
reboot_time = "100ms"
"#;

/// Uploads a release, and returns the header that a user sends.
fn prepared(server: &Server) -> String {
    let data = server.data.path();
    last_word(data, &["user", "create", "--username", USER, "--password", PASSWORD]);
    let token = server.log_in(USER, PASSWORD).1;
    let (file, made) = (data.join("hello"), data.join("made.mender"));
    fs::write(&file, "hello").unwrap();
    let arguments = ["artifact", "create", "module", "--type", "script", "--name", "release-2"];
    let more = ["--device-type", "pump", "--device-type", "valve", "--compression", "none"];
    let paths = ["--output", made.to_str().unwrap(), file.to_str().unwrap()];
    let output = run(data, &[&arguments[..], &more, &paths].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    // What is not packed is text, with zeros between.
    let artifact = fs::read_to_string(&made).unwrap();
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"artifact\"; filename=\"a\"\r\n\r\n\
         {artifact}\r\n--b--\r\n"
    );
    let headers =
        format!("Authorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary=b");
    let upload = "POST /api/management/v1/deployments/artifacts";
    let (status, said) = send(&server.public, upload, &headers, &body);
    assert_eq!(status, 201, "{said}");
    format!("Authorization: Bearer {token}\r\nContent-Type: application/json")
}

fn simulate(server: &Server, more: &[&str]) -> Command {
    let mut command = program(server.data.path());
    let url = format!("http://{}", server.public);
    command.args(["simulate", "--server", &url, "--user", USER, "--password", PASSWORD]);
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_fleet_is_accepted_updated_and_returns() {
    let server = Server::start(&[]);
    let header = prepared(&server);
    let data = server.data.path();
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let (scenario, keys, report) = (path("s.toml"), path("fleet"), path("report.json"));
    fs::write(&scenario, SCENARIO).unwrap();
    let files = ["--devices=30", "--scenario", &scenario, "--keys", &keys, "--json", &report];
    let fleet = simulate(&server, &files).spawn().unwrap();

    // A deployment to all devices is one to those that inventory knows as accepted.
    let known = "GET /api/management/v1/inventory/devices?per_page=100";
    let accepted = serde_json::json!("accepted");
    eventually_body(&server.public, known, &header, |devices| {
        let all = devices.as_array().into_iter().flatten();
        let attributes = all.map(|device| device["attributes"].as_array().into_iter().flatten());
        let is_accepted = |a: &Value| a["name"] == "status" && a["value"] == accepted;
        attributes.filter(|all| all.clone().any(is_accepted)).count() == 30
    });
    let deployments = "/api/management/v1/deployments/deployments";
    let order = r#"{"name":"all","artifact_name":"release-2","all_devices":true}"#;
    let made = send(&server.public, &format!("POST {deployments}"), &header, order);
    assert_eq!(made.0, 201, "{}", made.1);
    let finished = eventually_body(&server.public, &format!("GET {deployments}"), &header, |all| {
        all[0]["status"] == "finished"
    });
    let killed = Command::new("kill").args(["-s", "INT", &fleet.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let ended = fleet.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", text(&ended.stderr));

    let (told, stats) = (json(Path::new(&report)), &finished[0]["statistics"]["status"]);
    let (success, failure) = (stats["success"].as_u64().unwrap(), stats["failure"].as_u64());
    assert_eq!(success + failure.unwrap(), 30, "{stats}");
    assert!(failure > Some(0) && success > 0, "{stats}");
    assert_eq!(told["reports"]["success"], success, "{told}");
    assert_eq!(told["runs"]["release-2"], success, "{told}");
    assert_eq!(told["kinds"]["log"]["requests"].as_u64(), failure, "{told}");
    assert_eq!((&told["devices"], &told["wrong_checksums"]), (&30.into(), &0.into()));
    let errors = told["errors"].as_array().unwrap();
    let expected = |e: &Value| e["request"] == "authenticate" && e["error"] == "401";
    assert!(errors.iter().all(expected), "{told}");
    let table = text(&ended.stdout);
    assert!(table.starts_with("30 devices of http://127.0.0.1:"), "{table}");

    // The same devices come again: nobody asks for a token.
    let again = simulate(&server, &[&files[..], &["--duration=1s"]].concat()).output().unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    let told = json(Path::new(&report));
    assert_eq!(told["runs"]["release-2"], success, "{told}");
    assert_eq!(told["kinds"].get("authenticate"), None, "{told}");
}

#[test]
fn a_terminal_shows_a_table_with_colours_unless_they_are_refused() {
    let server = Server::start(&[]);
    let fleet = format!("simulate --server http://{} --devices=1 --duration=1s", server.public);
    for (refused, is_coloured) in [("", true), ("1", false)] {
        let ended = in_terminal(server.data.path(), &fleet, refused);
        let shown = text(&ended.stdout);
        assert!(ended.status.success() && shown.contains("\x1b[?7l"), "{shown}");
        assert_eq!(shown.contains("\x1b[1m"), is_coloured, "{shown}");
    }
}

#[test]
fn a_report_is_there_although_keys_can_not_be_saved_and_only_once_it_is_whole() {
    let server = Server::start(&[]);
    let data = server.data.path();
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let (public, keys, report) = (format!("http://{}", server.public), path("f"), path("r"));
    let fleet = |server: &str| {
        let files = ["--devices=1", "--duration=1s", "--keys", &keys, "--json", &report];
        run(data, &[&["simulate", "--server", server][..], &files].concat())
    };
    assert!(fleet(&public).status.success());
    let whole = fs::read_to_string(&report).unwrap();
    let refused = fleet("http://127.0.0.1:1");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&report).unwrap(), whole);

    // What is written beside the file of keys has no place.
    fs::create_dir(path("f.new")).unwrap();
    fs::remove_file(&report).unwrap();
    let ended = fleet(&public);
    assert_eq!(ended.status.code(), Some(1));
    let error = text(&ended.stderr);
    assert!(error.contains("the keys of the fleet in"), "{error}");
    let table = text(&ended.stdout);
    assert!(table.starts_with("1 devices of http://127.0.0.1:"), "{table}");
    assert_eq!(json(Path::new(&report))["devices"], 1);
    assert!(!data.join("r.new").exists());

    let device = ["simulate", "--server", &public, "--devices=1", "--duration=1s", "--json"];
    let ended = run(data, &[&device[..], &["/dev/stderr"]].concat());
    let error = text(&ended.stderr);
    assert!(ended.status.success() && error.contains("\"devices\": 1,"), "{error}");
}

#[test]
fn connections_must_fit_into_the_files_that_may_be_opened() {
    let server = Server::start(&[]);
    let limited = |limit: &str| {
        let fleet = program(server.data.path());
        let mut shell = Command::new("sh");
        shell.env_clear().args(["-c", &format!("{limit}; exec \"$@\""), "sh"]);
        shell.arg(fleet.get_program()).args(["simulate", "--devices=1", "--duration=1s"]);
        shell.args(["--server", &format!("http://{}", server.public)]).output().unwrap()
    };
    // The limit that a program may raise itself is no limit.
    let raised = limited("ulimit -S -n 100");
    assert!(raised.status.success(), "{}", text(&raised.stderr));
    let refused = limited("ulimit -n 100");
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("128 connections do not fit into the 100 files"), "{error}");
    assert!(error.contains("have 68 at most"), "{error}");
}

#[test]
fn what_is_wrong_is_told_in_a_sentence_with_what_to_do() {
    let server = Server::start(&[]);
    let data = server.data.path();
    fs::write(data.join("s.toml"), "[[device]]\npolls = 3\n").unwrap();
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let (scenario, folder) = (path("s.toml"), path(""));
    let url = |address: &str| format!("http://{address}");
    let (public, internal) = (url(&server.public), url(&server.internal));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (nobody, secure) = (url(&free.to_string()), public.replace("http:", "https:"));
    let login = ["--user=x@example.com", "--password=wrong"];
    let cases: [(&str, &[&str], &str); 11] = [
        (&nobody, &[], "nobody answers at http://127.0.0.1:"),
        (&nobody, &[], "start one there with `mender-server serve`, or correct --server"),
        ("127.0.0.1:1", &[], "\"127.0.0.1:1\" is no address of a server such as https://"),
        (&secure, &[], "it does not speak HTTPS"),
        (&internal, &[], "is no Mender server for devices: it has status 404"),
        (&public, &login, "the server knows no user x@example.com with this password; correct"),
        (&public, &["--scenario", &scenario], "s.toml, line 2: polls: unknown field `polls`"),
        (&public, &["--keys", &folder], "name a file of a fleet, or a new one, in --keys"),
        (
            &public,
            &["--first=4294967290", "--devices=20"],
            "20 devices from 4294967290 on: the highest number is 4294967295; lower --first or",
        ),
        (&public, &["--json", &folder], "Is a directory"),
        (&public, &["--ca", &scenario], "name a PEM file in --ca"),
    ];
    for (server, more, said) in cases {
        let arguments = [&["simulate", "--duration=10s", "--server", server][..], more].concat();
        let refused = run(data, &arguments);
        let error = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(said), "{error}");
        assert!(refused.stdout.is_empty());
    }
    assert_eq!(call(&server.public, "GET /api/docs", "").0, 200);
}
