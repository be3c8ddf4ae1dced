use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;
use crate::routes::{Routes, Tree};

mod tls;

fn router() -> Router {
    let routes = Routes::<()>::new()
        .get("/quick", async |axum::Extension(Peer(_)): axum::Extension<Peer>| "quick")
        .get("/busy", async || ([(http::header::RETRY_AFTER, "7")], "busy"))
        .get("/slow", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        });
    let bounds = crate::dispatch::Bounds { body_bytes: 100, time: Duration::from_secs(5) };
    let tree = Tree::of(routes.targets);
    let dispatch = std::sync::Arc::new(crate::dispatch::Dispatch::new(tree, (), bounds));
    Router::new()
        .fallback(async move |request: axum::extract::Request| dispatch.dispatch(request).await)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    // A server that closes at once may give an error instead of the end.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

struct Running {
    address: SocketAddr,
    stop: Stop,
    task: tokio_util::task::task_tracker::TaskTracker,
}

fn run(listener: Listener) -> Running {
    let stop = Stop::default();
    let address = listener.address().unwrap();
    let task = TaskTracker::new();
    task.spawn(listener.serve(router(), stop.clone()));
    task.close();
    Running { address, stop, task }
}

#[tokio::test]
async fn a_soft_stop_lets_requests_end_and_takes_no_more() {
    let Running { address, stop, task } = run(Listener::bind("127.0.0.1:0").unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    let slow = ask(stream, "/slow");
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.soft.cancel();
    };
    let (answer, ()) = tokio::join!(slow, stopping);
    assert!(answer.ends_with("slow"), "{answer}");
    task.wait().await;
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_hard_stop_ends_everything() {
    let Running { address, stop, task } = run(Listener::bind("127.0.0.1:0").unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.hard.cancel();
    };
    let (answer, ()) = tokio::join!(ask(stream, "/slow"), stopping);
    assert_eq!(answer, "");
    task.wait().await;
}

/// Sends the head of a request with a body, reads the answer, and only then sends the body.
async fn late_body(stream: &mut TcpStream, body: usize) -> String {
    let head = format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.split();
    let send = async { to.write_all(&vec![b'x'; body]).await };
    let mut answer = vec![0; 4096];
    let (_, read) = tokio::join!(send, from.read(&mut answer));
    String::from_utf8(answer[..read.unwrap()].to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_follows_one_that_was_answered_before_its_body_came() {
    let Running { address, .. } = run(Listener::bind("127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        let answer = late_body(&mut stream, 50).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(!answer.contains("Connection"), "{answer}");
    }
    assert!(ask(stream, "/quick").await.ends_with("quick"));
}

#[tokio::test]
async fn a_client_is_told_when_too_much_was_left_unread() {
    let Running { address, .. } = run(Listener::bind("127.0.0.1:0").unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = late_body(&mut stream, 1 << 20).await;
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let limits = Limits { headers: 1, ..Limits::default() };
    let listener = Listener::bind("127.0.0.1:0").unwrap().with_limits(limits);
    let Running { address, .. } = run(listener);
    let answer = ask(TcpStream::connect(address).await.unwrap(), "/quick").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn names_of_headers_begin_with_capitals() {
    let Running { address, .. } = run(Listener::bind("127.0.0.1:0").unwrap());
    let answer = ask(TcpStream::connect(address).await.unwrap(), "/busy").await;
    for header in ["Retry-After: 7", "Date: ", "Content-Length: 4"] {
        assert!(answer.contains(&format!("\r\n{header}")), "{header} is not in {answer}");
    }
}

#[test]
fn open_connections_are_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let open = Open::new();
        drop(Open::new());
        assert!(recorder.handle().render().contains("mender_http_connections 1\n"));
        drop(open);
    });
    assert!(recorder.handle().render().contains("mender_http_connections 0\n"));
}
