//! How the server ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use crate::support::{Server, call, eventually};

const MEMORY: &str = "--database-url=memory:";

/// Begins a request that the server has begun to handle, and that lacks its body of 2 bytes.
fn begin(address: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /api/devices/v1/authentication/auth_requests HTTP/1.1\r\nHost: x\r\n\
                X-MEN-Signature: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        assert!(!line.starts_with("HTTP/1.1 4"), "{line}");
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0);
    }
    stream
}

#[test]
fn the_internal_listener_answers_until_the_public_one_has_ended() {
    let mut server = Server::start(&[MEMORY, "--drain-time=1h"]);
    eventually(&server.internal, "GET /ready", 200);
    let mut busy = begin(&server.public);
    server.signal("TERM");
    server.heard("stopping");
    eventually(&server.internal, "GET /ready", 503);
    assert_eq!(call(&server.internal, "GET /metrics", "").0, 200);
    busy.get_mut().write_all(b"{}").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn nothing_waits_where_nothing_runs() {
    let server = Server::start(&[MEMORY, "--drain-time=1h"]);
    let _public = TcpStream::connect(&server.public).unwrap();
    let _internal = TcpStream::connect(&server.internal).unwrap();
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn requests_are_taken_until_the_delay_is_over() {
    let mut server = Server::start(&[MEMORY, "--shutdown-delay=1h", "--drain-time=1h"]);
    eventually(&server.internal, "GET /ready", 200);
    server.signal("TERM");
    server.heard("stopping");
    eventually(&server.internal, "GET /ready", 503);
    assert_eq!(call(&server.public, "GET /api/management/v2/devauth/devices", "").0, 401);
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}
