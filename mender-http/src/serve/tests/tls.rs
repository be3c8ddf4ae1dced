use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring::default_provider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self(tempfile::tempdir().unwrap());
        let certificate = files.write("server");
        (files, certificate)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a new certificate that signs itself.
    fn write(&self, name: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(self.path(&format!("{name}.key")), key).unwrap();
        CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
    }

    fn load(&self, client_authority: Option<&str>) -> Arc<Tls> {
        Tls::load(TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authority: client_authority.map(|name| self.path(name)),
        })
        .unwrap()
    }

    /// Makes the files look changed however fast the test is.
    fn touch(&self) {
        let at = SystemTime::UNIX_EPOCH;
        for name in ["server.pem", "server.key"] {
            touch(&self.path(name), at);
        }
    }
}

fn touch(path: &Path, at: SystemTime) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(at).unwrap();
}

fn listen(tls: Arc<Tls>) -> Running {
    run(Listener::bind("127.0.0.1:0").unwrap().with_tls(tls))
}

type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn client(authority: CertificateDer<'static>, own: Option<Own>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => config.with_no_client_auth(),
    })
}

async fn ask_as(address: SocketAddr, config: Arc<ClientConfig>) -> Option<String> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.ok()?;
    Some(ask(stream, "/quick").await).filter(|answer| !answer.is_empty())
}

async fn ask_tls(address: SocketAddr, authority: CertificateDer<'static>) -> Option<String> {
    ask_as(address, client(authority, None)).await
}

#[tokio::test]
async fn certificates_are_replaced_while_it_runs() {
    let (files, first) = Files::new();
    let tls = files.load(None);
    let Running { address, .. } = listen(tls.clone());
    let answer = ask_tls(address, first.clone()).await.unwrap();
    assert!(answer.ends_with("quick"), "{answer}");
    let second = files.write("server");
    tls.reload().unwrap();
    assert!(ask_tls(address, first).await.is_none());
    assert!(ask_tls(address, second).await.is_some());
    std::fs::write(files.path("server.key"), "nonsense").unwrap();
    assert!(tls.reload().is_err());
}

/// Lets time pass at once, for a test whose connections need real time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn changed_files_are_noticed_without_being_told() {
    let (files, first) = Files::new();
    let Running { address, .. } = listen(files.load(None));
    assert!(ask_tls(address, first.clone()).await.is_some());
    let second = files.write("server");
    files.touch();
    pass(Duration::from_secs(6)).await;
    assert!(ask_tls(address, second).await.is_some());
    assert!(ask_tls(address, first).await.is_none());
}

#[tokio::test]
async fn files_that_can_not_be_used_leave_the_old_ones_in_use() {
    let (files, first) = Files::new();
    let Running { address, .. } = listen(files.load(None));
    std::fs::write(files.path("server.key"), "nonsense").unwrap();
    files.touch();
    pass(Duration::from_secs(6)).await;
    assert!(ask_tls(address, first).await.is_some());
}

#[tokio::test]
async fn clients_need_a_certificate_where_an_authority_is_given() {
    let (files, server) = Files::new();
    let known = files.write("known");
    let stranger = files.write("stranger");
    let Running { address, .. } = listen(files.load(Some("known.pem")));
    let key = |name| PrivateKeyDer::from_pem_file(files.path(name)).unwrap();
    let ask = |own| ask_as(address, client(server.clone(), own));
    assert_eq!(ask(None).await, None);
    assert_eq!(ask(Some((stranger, key("stranger.key")))).await, None);
    let answer = ask(Some((known, key("known.key")))).await.unwrap();
    assert!(answer.ends_with("quick"), "{answer}");
}

#[tokio::test]
async fn a_stop_ends_handshakes() {
    for hard in [false, true] {
        let (files, server) = Files::new();
        let limits = Limits { handshake_timeout: Duration::from_secs(3600), ..Limits::default() };
        let listener = Listener::bind("127.0.0.1:0").unwrap().with_limits(limits);
        let Running { address, stop, task } = run(listener.with_tls(files.load(None)));
        let name = ServerName::try_from("localhost").unwrap();
        let mut half = ClientConnection::new(client(server, None), name).unwrap();
        let mut hello = Vec::new();
        half.write_tls(&mut hello).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        // Once the server has spoken, it waits for us.
        assert_ne!(stream.read(&mut [0]).await.unwrap(), 0);
        let token = if hard { &stop.hard } else { &stop.soft };
        token.cancel();
        let within = tokio::time::timeout(Duration::from_secs(60), task.wait());
        within.await.expect("the handshake ends");
    }
}
