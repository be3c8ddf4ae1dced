//! The program with certificates.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring::default_provider,
};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::support::{Server, program, run, text};

/// Writes a new certificate with its key.
fn write(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Asks for the devices, trusting this certificate only; returns the first line of the answer.
fn ask(address: &str, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    let path = "/api/management/v2/devauth/devices";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // The other side may end the connection without saying so.
    let _ = stream.read_to_end(&mut answer);
    Ok(text(&answer).lines().next().unwrap_or_default().into())
}

#[test]
fn certificates_are_read_again_at_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path());
    let cert = format!("--tls-cert={}", folder.path().join("cert.pem").display());
    let key = format!("--tls-key={}", folder.path().join("key.pem").display());
    let mut server = Server::start(&["--database-url=memory:", &cert, &key]);
    assert_eq!(ask(&server.public, &first).unwrap(), "HTTP/1.1 401 Unauthorized");
    let second = write(folder.path());
    server.signal("HUP");
    server.heard("read the certificate again");
    assert_eq!(ask(&server.public, &second).unwrap(), "HTTP/1.1 401 Unauthorized");
    assert!(ask(&server.public, &first).is_err());
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    server.signal("HUP");
    server.heard("the certificate in use stays");
    assert!(ask(&server.public, &second).is_ok());

    let ill = text(&run(server.data.path(), &["doctor", &cert, &key]).stdout);
    assert!(ill.contains("WRONG  certificate: ") && ill.contains("key.pem"), "{ill}");
    assert!(ill.contains("WRONG  public_url: it is not set, and tls_cert is set"), "{ill}");
}

#[test]
fn a_fleet_trusts_the_authority_that_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), format!("--tls-key={}", path("key.pem")));
    let server = Server::start(&["--database-url=memory:", &format!("--tls-cert={cert}"), &key]);
    let url = server.public.replace("127.0.0.1", "https://localhost");
    let simulate = |more: &[&str]| {
        let fleet = ["simulate", "--devices=1", "--duration=100ms", "--server", &url];
        let output = run(folder.path(), &[&fleet, more].concat());
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = simulate(&[]);
    assert_eq!(code, Some(1));
    let told = format!("the certificate of {url} is not trusted: ");
    assert!(said.contains(&told) && said.contains("; name the authority that signed it"), "{said}");
    for trust in [&["--ca", &cert][..], &["--insecure"]] {
        let (code, said) = simulate(trust);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn claims_are_not_taken_from_strangers() {
    let dir = tempfile::tempdir().unwrap();
    let open = ["--trust-gateway", "--internal-listen=0.0.0.0:0"];
    let output = program(dir.path()).args(open).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("trust_gateway takes the claims of tokens as they are"), "{said}");
}
