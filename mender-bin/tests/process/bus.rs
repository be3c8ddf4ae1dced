//! The program with a message broker.

use crate::{
    databases::server,
    support::{Server, program, run, text},
};

const NOWHERE: &str = "nats://hunter2@127.0.0.1:9";

/// Returns what `doctor` says of the bus.
fn doctor(data: &std::path::Path, url: &str) -> Vec<String> {
    let output = program(data).arg("doctor").env("MENDER_BUS_URL", url).output().unwrap();
    let said = text(&output.stdout);
    assert!(!said.contains("hunter2"), "{said}");
    let lines = said.lines().skip_while(|line| !line.contains(" bus: "));
    lines.take(2).map(Into::into).collect()
}

#[test]
fn a_broker_that_is_away_is_named_and_in_nobodys_way() {
    let mut server = Server::start(&["--bus-url", NOWHERE]);
    server.has_said("NATS can't be reached");
    let said = doctor(server.data.path(), NOWHERE);
    assert_eq!(
        said[0],
        "WRONG  bus: NATS at 127.0.0.1:9 can't be reached: Connection refused (os error 111)"
    );
    assert!(said[1].contains("check the setting bus_url"), "{}", said[1]);
    assert!(doctor(server.data.path(), "").is_empty());
    server.signal("TERM");
    let (code, said) = server.ended();
    assert_eq!(code, Some(0));
    assert!(!said.concat().contains("hunter2"), "{said:?}");
    let times = said.iter().filter(|line| line.contains("NATS")).count();
    assert_eq!(times, 1, "however often it is tried: {said:?}");
}

#[test]
fn a_broker_that_answers_is_fine() {
    let Some(url) = server("nats") else {
        return;
    };
    let mut server = Server::start(&["--bus-url", &url]);
    server.has_said("connected to NATS");
    assert_eq!(doctor(server.data.path(), &url)[0], "ok     bus: NATS answers");
    let (_, host) = url.split_once('@').unwrap();
    let said = doctor(server.data.path(), &format!("nats://hunter2@{host}"));
    assert_eq!(said[0], format!("WRONG  bus: NATS at {host} refuses the login of the URL"));
}

#[test]
fn a_wrong_url_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    for (url, expected) in [
        ("nats://hunter2@h:1/x", "bus: \"h:1/x\" in the URL of NATS is no HOST:PORT"),
        ("amqp://hunter2@h", "--bus-url is not valid; allowed is nats://TOKEN@HOST:PORT, "),
    ] {
        let output = run(dir.path(), &["--database-url=memory:", "--bus-url", url]);
        assert!(!output.status.success());
        let said = text(&output.stderr);
        let last = said.lines().last().unwrap();
        assert!(last.starts_with(&format!("mender-server: {expected}")), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
