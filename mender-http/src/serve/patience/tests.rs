use axum::{Router, extract::Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::task::TaskTracker;

use super::{super::Stop, *};
use crate::{layers::client::Peer, serve::connection};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const LENGTH: usize = 64 * 1024;

fn limits() -> Limits {
    Limits {
        write_timeout: Duration::from_secs(30),
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(120),
        ..Limits::default()
    }
}

/// Serves a connection with little room for what was not read, and tells when it ended.
fn serve(length: usize) -> (DuplexStream, TaskTracker) {
    let (client, server) = duplex(1024);
    let router = Router::new().fallback(async move || "x".repeat(length));
    let peer = Peer("192.0.2.1:1".parse().unwrap());
    let task = TaskTracker::new();
    task.spawn(
        async move { connection::serve(server, peer, router, limits(), &Stop::default()).await },
    );
    task.close();
    (client, task)
}

async fn ends_after(task: TaskTracker) -> u64 {
    let start = Instant::now();
    task.wait().await;
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off() {
    let (mut client, task) = serve(LENGTH);
    client.write_all(ASK).await.unwrap();
    assert_eq!(ends_after(task).await, 30);
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert!(got.len() < LENGTH);
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_everything() {
    let (mut client, _task) = serve(LENGTH);
    client.write_all(ASK).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_secs(20));
    let mut got = Vec::new();
    while got.len() < LENGTH {
        pace.tick().await;
        assert_ne!(client.read_buf(&mut got).await.unwrap(), 0, "after {} bytes", got.len());
    }
}

#[tokio::test(start_paused = true)]
async fn heads_have_less_time_than_idle_connections() {
    let (_idle, task) = serve(1);
    assert_eq!(ends_after(task).await, 120);
    let (mut half, task) = serve(1);
    half.write_all(&ASK[..9]).await.unwrap();
    assert_eq!(ends_after(task).await, 10);
}

#[tokio::test(start_paused = true)]
async fn every_request_has_its_own_time() {
    let (mut client, task) = serve(1);
    for _ in 0..3 {
        client.write_all(ASK).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\nx") {
            assert_ne!(client.read_buf(&mut got).await.unwrap(), 0);
        }
        tokio::time::advance(Duration::from_secs(100)).await;
    }
    client.write_all(&ASK[..9]).await.unwrap();
    assert_eq!(ends_after(task).await, 10);
}

#[tokio::test(start_paused = true)]
async fn answers_may_take_longer_than_heads_and_idle_connections() {
    let (mut client, server) = duplex(1024);
    let router = Router::new().fallback(async || {
        sleep(Duration::from_secs(500)).await;
        "late"
    });
    let peer = Peer("192.0.2.1:1".parse().unwrap());
    let stop = Stop::default();
    let served = connection::serve(server, peer, router, limits(), &stop);
    let reading = async {
        client.write_all(ASK).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"late") {
            assert_ne!(client.read_buf(&mut got).await.unwrap(), 0);
        }
        drop(client);
    };
    tokio::join!(served, reading);
}

#[tokio::test(start_paused = true)]
async fn another_protocol_may_be_silent() {
    let (mut client, server) = duplex(1024);
    let tasks = TaskTracker::new();
    let echo = tasks.clone();
    let router = Router::new().fallback(async move |mut request: Request| {
        let upgraded = hyper::upgrade::on(&mut request);
        echo.spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let byte = stream.read_u8().await.unwrap();
            sleep(Duration::from_secs(500)).await;
            stream.write_u8(byte).await.unwrap();
            stream.flush().await.unwrap();
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "x")])
    });
    let peer = Peer("192.0.2.1:1".parse().unwrap());
    let stop = Stop::default();
    let served = connection::serve(server, peer, router, limits(), &stop);
    let talking = async {
        let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        client.write_all(ask).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            assert_ne!(client.read_buf(&mut got).await.unwrap(), 0);
        }
        sleep(Duration::from_secs(500)).await;
        client.write_u8(7).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 7);
    };
    tokio::join!(served, talking);
}
