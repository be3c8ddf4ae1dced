use std::path::Path;

use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::routes::{Routes, Tree};

fn router() -> Router {
    let routes = Routes::<()>::new()
        .get("/quick", async |axum::Extension(Peer(_)): axum::Extension<Peer>| "quick")
        .get("/slow", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        });
    let bounds = crate::dispatch::Bounds { body_bytes: 100, time: Duration::from_secs(5) };
    let tree = Tree::of(routes.targets);
    Router::new().fallback_service(crate::dispatch::Dispatch::new(tree, (), bounds))
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A server that closes at once may give an error instead of the end.
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

#[tokio::test]
async fn too_many_headers_are_refused() {
    let limits = Limits { headers: 1, ..Limits::default() };
    let listener = Listener::bind("127.0.0.1:0").unwrap().with_limits(limits);
    let Running { address, .. } = run(listener);
    let answer = ask(TcpStream::connect(address).await.unwrap(), "/quick").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

async fn ask_tls(address: SocketAddr, authority: CertificateDer<'static>) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.ok()?;
    Some(ask(stream, "/quick").await)
}

#[tokio::test]
async fn certificates_are_replaced_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_certificate(folder.path());
    let tls = Tls::load(TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_authority: None,
    })
    .unwrap();
    let listener = Listener::bind("127.0.0.1:0").unwrap().with_tls(tls.clone());
    let Running { address, .. } = run(listener);
    let answer = ask_tls(address, first.clone()).await.unwrap();
    assert!(answer.ends_with("quick"), "{answer}");
    let second = write_certificate(folder.path());
    tls.reload().unwrap();
    assert!(ask_tls(address, first).await.is_none());
    assert!(ask_tls(address, second).await.is_some());
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    assert!(tls.reload().is_err());
}
