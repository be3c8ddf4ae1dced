use std::{path::PathBuf, time::Duration};

use mender_core::Env;

use crate::settings::{
    Wrong,
    value::{Address, BusUrl, DatabaseUrl, LogFormat, LogLevel, Origins, Size, WebUrl},
};

settings! {
    "Server":
    /// How the server listens, stores, logs and stops.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "some settings are for SQL databases only")
    )]
    pub(crate) struct Server {
        /// Address of the listener for devices, users and their tools. Port 0 takes a free one.
        listen: Address = "127.0.0.1:8080",
        /// Address of the listener for other services, health checks and metrics. It asks nobody
        /// who they are: never let it be reached from outside.
        internal_listen: Address = "127.0.0.1:8081",
        /// URL that devices and users reach the server by, with its path if it has one. Signed
        /// links begin with it.
        public_url: Option<WebUrl> = "",
        /// Directory of everything that is kept in files: the embedded database, keys, artifacts.
        data_dir: PathBuf = "./mender-data",
        /// Where the database is. Default: the embedded one, mender.db in the data directory.
        database_url: Option<DatabaseUrl> = "",
        /// Schema of a PostgreSQL database that holds all tables.
        database_schema: String = "mender",
        /// How many connections to a PostgreSQL database there may be.
        database_pool_size: u32 = "16",
        /// Cache of each connection to the embedded database, in MiB.
        database_cache_mb: u32 = "64",
        /// Whether the server brings the schema of a PostgreSQL database up to date when it
        /// starts. The embedded one always is.
        automigrate: bool = "false",
        /// NATS at nats://token@host:4222, by which nodes that share a database tell each other at
        /// once what changed; further hosts follow after commas. Without it, and while it is
        /// away, they hear of it within a second.
        bus_url: Option<BusUrl> = "",
        /// Certificate chain of the public listener, PEM. Read again when it changes.
        tls_cert: Option<PathBuf> = "",
        /// Private key of the certificate, PEM.
        tls_key: Option<PathBuf> = "",
        /// Certificate chain of the internal listener, PEM.
        internal_tls_cert: Option<PathBuf> = "",
        /// Private key of the internal listener's certificate, PEM.
        internal_tls_key: Option<PathBuf> = "",
        /// Authorities, PEM: who calls the internal listener must have a certificate of theirs.
        internal_tls_client_ca: Option<PathBuf> = "",
        /// Whether the internal listener also answers devices and users, taking the claims of
        /// their tokens as they are: for a gateway in front that verifies tokens.
        trust_gateway: bool = "false",
        /// Origins of web pages that may call the server. None: no CORS.
        cors_origins: Origins = "",
        /// Largest body of a request that is no upload.
        request_size_limit: Size = "1MiB",
        /// How long a request may take that is no upload or download.
        request_timeout: Duration = "30s",
        /// How long a connection may be idle.
        idle_timeout: Duration = "2m",
        /// How many connections each listener has at once; more wait.
        max_connections: usize = "10000",
        /// Whether answers are compressed.
        compression: bool = "true",
        /// How long the server goes on taking requests when told to stop, while /ready already
        /// answers 503: load balancers need some time to notice.
        shutdown_delay: Duration = "0s",
        /// How long running requests may take when the server stops.
        drain_time: Duration = "30s",
        /// What is logged.
        log_level: LogLevel = "info",
        /// Whose address the access log has as clientip: 0 is the other end of the connection, N
        /// the one that the Nth proxy of ours named in X-Forwarded-For. None: it has no address.
        access_log_proxies: Option<u8> = "",
        /// How log lines look.
        log_format: LogFormat = "text",
        /// OpenTelemetry collector that traces are sent to, by OTLP over HTTP, such as
        /// http://127.0.0.1:4318. None: no traces. Needs a program built with the feature otel,
        /// which is not among the default ones.
        otel_endpoint: Option<WebUrl> = "",
    }
}

impl Server {
    /// Returns where the database is.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        let embedded = || {
            let path = self.data_dir.join("mender.db");
            DatabaseUrl(format!("sqlite://{}", path.display()))
        };
        self.database_url.clone().unwrap_or_else(embedded)
    }

    /// Returns what the gateway does around the routes.
    pub(crate) fn gateway(&self, env: &Env) -> mender_http::router::Settings {
        let mut settings = mender_http::router::Settings::new(env.clone());
        settings.body_bytes = self.request_size_limit.0;
        settings.request_timeout = self.request_timeout;
        settings.cors_origins = self.cors_origins.0.clone();
        settings.compression = self.compression;
        settings.proxies = self.access_log_proxies;
        settings
    }

    /// Returns what clients may use of a listener.
    pub(crate) fn limits(&self) -> mender_http::serve::Limits {
        let mut limits = mender_http::serve::Limits::default();
        limits.connections = self.max_connections;
        limits.idle_timeout = self.idle_timeout;
        limits
    }

    /// Checks what no single setting shows.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let pair = |cert: &Option<PathBuf>, key: &Option<PathBuf>, names: &str| {
            if cert.is_some() == key.is_some() {
                Ok(())
            } else {
                Err(Wrong(format!("{names} belong together: set both or none")))
            }
        };
        pair(&self.tls_cert, &self.tls_key, "tls_cert and tls_key")?;
        let internal = "internal_tls_cert and internal_tls_key";
        pair(&self.internal_tls_cert, &self.internal_tls_key, internal)?;
        if self.internal_tls_client_ca.is_some() && self.internal_tls_cert.is_none() {
            let why = "internal_tls_client_ca needs internal_tls_cert and internal_tls_key";
            return Err(Wrong(why.into()));
        }
        if self.trust_gateway && !self.is_internal_guarded() {
            return Err(Wrong(format!(
                "trust_gateway takes the claims of tokens as they are, so internal_listen must be \
                 an address such as 127.0.0.1:8081 (it is {}), or internal_tls_client_ca be set",
                self.internal_listen.0
            )));
        }
        Ok(())
    }

    /// Tells whether strangers can't reach the internal listener.
    pub(crate) fn is_internal_guarded(&self) -> bool {
        let address = &self.internal_listen.0;
        let ip = address.parse::<std::net::SocketAddr>().map(|a| a.ip());
        let local = address.starts_with("localhost:") || ip.is_ok_and(|ip| ip.is_loopback());
        local || self.internal_tls_client_ca.is_some()
    }
}
