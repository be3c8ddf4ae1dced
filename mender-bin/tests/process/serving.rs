use std::{io::Write as _, net::TcpStream};

use crate::{
    commands::login,
    support::{Server, call, eventually, last_word},
};

const MEMORY: &str = "--database-url=memory:";

#[test]
fn a_server_serves_and_ends_when_told() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[MEMORY]);
        let health = "GET /api/internal/v1/devauth/health";
        assert_eq!(call(&server.internal, health, "").0, 204);
        assert_eq!(call(&server.public, health, "").0, 404);
        assert_eq!(call(&server.public, "GET /metrics", "").0, 404);
        assert_eq!(call(&server.public, "GET /api/management/v2/devauth/devices", "").0, 401);
        eventually(&server.internal, "GET /ready", 200);
        let (status, metrics) = call(&server.internal, "GET /metrics", "");
        assert_eq!(status, 200);
        for name in [
            "mender_build_info{version=",
            "mender_undelivered_events 0",
            "mender_dead_jobs 0",
            "mender_due_job_seconds ",
            "mender_http_request_seconds_bucket{",
            "mender_http_requests_total{",
            "process_start_time_seconds 1",
        ] {
            assert!(metrics.contains(name), "{name} in {metrics}");
        }
        server.signal(signal);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said:#?}");
    }
}

#[test]
fn idle_connections_do_not_delay_the_end_and_a_second_signal_forces_it() {
    let mut server = Server::start(&[MEMORY, "--drain-time=1h"]);
    let _idle = TcpStream::connect(&server.public).unwrap();
    let mut busy = TcpStream::connect(&server.public).unwrap();
    let path = "/api/management/v1/useradm/auth/login";
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    busy.write_all(head.as_bytes()).unwrap();
    eventually(&server.internal, "GET /ready", 200);
    server.signal("TERM");
    server.heard("stopping");
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn logs_are_json_where_wanted() {
    let server = Server::start(&[MEMORY, "--log-format=json"]);
    assert_eq!(call(&server.public, "GET /nowhere", "").0, 404);
    server.signal("TERM");
    let (_, said) = server.ended();
    for line in &said {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["message"].is_string() && value["level"].is_string(), "{line}");
    }
    assert!(said.iter().any(|line| line.contains("\"path\":\"/nowhere\"")), "{said:#?}");
}

#[test]
fn the_log_has_addresses_where_wanted() {
    let proxied = [MEMORY, "--log-format=json", "--access-log-proxies=1"];
    let server = Server::start(&proxied);
    assert_eq!(call(&server.public, "GET /nowhere", "X-Forwarded-For: 192.0.2.7").0, 404);
    server.signal("TERM");
    let (_, said) = server.ended();
    assert!(said.iter().any(|line| line.contains("\"clientip\":\"192.0.2.7\"")), "{said:#?}");
}

#[test]
fn users_are_limited_where_settings_say_so() {
    let groups = r#"--rate-limits-users-groups={"name":"default","quota":1,"interval":"8760h"}"#;
    let server = Server::start(&["--rate-limits-users", groups]);
    let create = login(["user", "create"], "a@b.example", "correct horse");
    last_word(server.data.path(), &create);
    let (_, token) = server.log_in("a@b.example", "correct horse");
    let bearer = format!("Authorization: Bearer {token}");
    let ask = || call(&server.public, "GET /api/management/v1/useradm/users", &bearer).0;
    assert_eq!((ask(), ask()), (200, 429));
}
