//! TLS, with certificates that may be replaced while the server runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How often the files are looked at, while connections come.
const CHECK: Duration = Duration::from_secs(5);

/// Where the certificates are, in PEM form.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities of client certificates; where given, clients must have one.
    pub client_authority: Option<PathBuf>,
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let fixed = [self.certificate.as_path(), self.key.as_path()];
        fixed.into_iter().chain(self.client_authority.as_deref())
    }

    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        let time = |path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        self.paths().map(time).collect()
    }
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    changed_at: Vec<Option<SystemTime>>,
    checked: Instant,
}

/// The certificates in use.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> io::Result<Arc<Self>> {
        let loaded = read(&files)?;
        Ok(Arc::new(Self { files, loaded: Mutex::new(loaded) }))
    }

    /// Reads the files again; connections from now on use what is in them. On an error the old
    /// certificates stay in use.
    pub fn reload(&self) -> io::Result<()> {
        let loaded = read(&self.files)?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Returns the configuration; reads the files again if they changed.
    fn current(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= CHECK {
            loaded.checked = Instant::now();
            let changed_at = self.files.changed_at();
            if changed_at != loaded.changed_at {
                // A pair of which one file is still the old one fails, and is tried again once
                // the other changes.
                loaded.changed_at = changed_at;
                match read(&self.files) {
                    Ok(new) => *loaded = new,
                    Err(error) => tracing::error!(%error, "the new certificates can't be used"),
                }
            }
        }
        loaded.config.clone()
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current()).accept(stream).await
    }
}

fn read(files: &TlsFiles) -> io::Result<Loaded> {
    let changed_at = files.changed_at();
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| bad(&files.key, &e))?;
    let provider = Arc::new(default_provider());
    let clients: Arc<dyn ClientCertVerifier> = match &files.client_authority {
        None => Arc::new(NoClientAuth),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|e| bad(path, &e))?;
            }
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .build()
                .map_err(|e| bad(path, &e))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key))
        .map_err(|e| bad(&files.certificate, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), changed_at, checked: Instant::now() })
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bad = |error: rustls_pki_types::pem::Error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let all = CertificateDer::pem_file_iter(path).map_err(bad)?;
    all.collect::<Result<_, _>>().map_err(bad)
}
