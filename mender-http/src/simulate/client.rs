//! A client of HTTP and HTTPS that keeps connections open.

use std::{error::Error as _, io, path::PathBuf, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Uri, uri::PathAndQuery};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

use super::{
    fault::Fault,
    transport::{Lost, Transport},
};

/// How long a server may take until an answer begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long connections are kept without requests; servers keep them a little longer.
const IDLE: Duration = Duration::from_secs(30);

/// Which servers are trusted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// Those that the machine trusts.
    #[default]
    Machine,
    /// Those with a certificate of this authority, a file in PEM form.
    Authority(PathBuf),
    /// Every server: whoever listens in between reads and changes everything.
    Anyone,
}

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: Uri,
    /// What stands before the paths of the server; without a slash at the end.
    prefix: String,
}

#[derive(Debug)]
struct TrustsAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Machine => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Trust::Authority(path) => {
            let wrong = |why: String| Fault::Authority { path: path.clone(), why };
            let pem = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
            for certificate in pem {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is none in it".into()));
            }
        }
        Trust::Anyone => {}
    }
    Ok(roots)
}

fn tls(trust: &Trust) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Address(error.to_string()))?;
    if *trust == Trust::Anyone {
        let verifier = Arc::new(TrustsAnyone(provider));
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(builder.with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots(trust)?).with_no_client_auth())
}

/// Returns the address of a server, and what stands before its paths.
fn address(server: &str) -> Option<(Uri, String)> {
    let uri: Uri = server.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    // A user's name and password may stand before an @.
    let is_plain = has_host && uri.query().is_none() && !server.contains('@');
    let prefix = uri.path().trim_end_matches('/').to_owned();
    (is_http && is_plain).then_some((uri, prefix))
}

/// Returns an address as it may be shown: who gave a password with it gets it refused.
fn shown(server: &str) -> String {
    let Some((before, host)) = server.rsplit_once('@') else { return server.into() };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    format!("{scheme}…@{host}")
}

impl Client {
    /// A client of this server, which is named like `https://example.com:8080`; it connects
    /// with the first request.
    ///
    /// # Errors
    /// [`Fault::Address`] and [`Fault::Authority`].
    pub fn new(server: &str, trust: &Trust) -> Result<Self, Fault> {
        let (uri, prefix) = address(server).ok_or_else(|| Fault::Address(shown(server)))?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECTING));
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(trust)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self { http, server: uri, prefix })
    }

    /// Returns what the server is called.
    #[must_use]
    pub fn server(&self) -> String {
        let text = self.server.to_string();
        text.trim_end_matches('/').to_owned()
    }

    /// Returns the whole URI of a request.
    fn whole(&self, uri: &Uri) -> Result<Uri, Lost> {
        if uri.host().is_some() {
            return Ok(uri.clone());
        }
        let wrong = |why: String| Lost::Broken(why);
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = format!("{}{path}", self.prefix).parse::<PathAndQuery>();
        let mut parts = self.server.clone().into_parts();
        parts.path_and_query = Some(path.map_err(|e| wrong(e.to_string()))?);
        Uri::from_parts(parts).map_err(|e| wrong(e.to_string()))
    }
}

/// Returns the error of TLS that is wrapped in one of input and output, perhaps more than once.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref().or_else(|| tls_error(inner))
}

fn lost(error: &legacy::Error) -> Lost {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        match tls_error(cause) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return Lost::Untrusted(why.to_string());
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                return Lost::Unreachable("it does not speak HTTPS".into());
            }
            _ => {}
        }
        causes.push(cause.to_string());
        next = cause.source();
    }
    let why = causes.pop().unwrap_or_else(|| error.to_string());
    if error.is_connect() { Lost::Unreachable(why) } else { Lost::Broken(why) }
}

impl Transport for Client {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, Lost> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.whole(&parts.uri)?;
        let sent = self.http.request(Request::from_parts(parts, Full::new(body)));
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(answer)) => Ok(answer.map(Body::new)),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(Lost::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_and_host_and_perhaps_a_path() {
        let whole = |server: &str| {
            let client = Client::new(server, &Trust::Anyone).unwrap();
            client.whole(&"/api/x?y=1".parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(whole("http://h:8080"), "http://h:8080/api/x?y=1");
        assert_eq!(whole("https://h/ota/"), "https://h/ota/api/x?y=1");
        for wrong in ["", "localhost:8080", "h", "ftp://h", "http://", "http://h?x", "http:///x"] {
            let refused = Client::new(wrong, &Trust::Anyone).unwrap_err();
            assert_eq!(refused, Fault::Address(wrong.into()));
        }
        // Requests have tokens of their own; and a report tells the address.
        for wrong in ["http://u:secret@h", "http://u:sec@ret@h", "http://u:secret/@h"] {
            let refused = Client::new(wrong, &Trust::Anyone).unwrap_err();
            assert_eq!(refused, Fault::Address("http://…@h".into()));
        }
    }

    #[tokio::test]
    async fn nobody_at_a_port_is_unreachable() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let client = Client::new(&format!("http://{address}"), &Trust::Machine).unwrap();
        let lost = client.send(Request::default()).await.unwrap_err();
        assert!(matches!(lost, Lost::Unreachable(_)), "{lost:?}");
    }
}
