//! The server: from its start to its end.

use std::{io, io::ErrorKind, sync::Arc, time::Duration};

use mender_core::{Ctx, Env, Mender, TenantId};
use mender_http::{
    Routers,
    serve::{Listener, Stop, Tls, TlsFiles},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    Distribution, assemble,
    assemble::Opener,
    failure::Failure,
    keys, routers,
    settings::{LogFormat, Server, Settings},
    telemetry::Metrics,
};

/// How long the background may take to end when listeners were closed by force.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often measurements are summed up: until then each sample of a histogram takes memory, and
/// perhaps nobody asks for the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// A server that has started.
pub(crate) struct Up<'a> {
    pub(crate) mender: &'a Mender,
    /// Where devices and users reach it.
    pub(crate) public: String,
    /// Where other services do.
    internal: String,
    /// It ends, or is about to.
    pub(crate) stopping: &'a CancellationToken,
}

/// Serves until told to stop.
pub(crate) async fn serve(parts: &Distribution, settings: &Settings) -> Result<(), Failure> {
    let announced = async |up: Up<'_>| {
        announce(&up, settings).await?;
        up.stopping.cancelled().await;
        Ok(())
    };
    beside(parts, settings, announced).await
}

/// Serves until told to stop, or until the guest beside the server has ended.
pub(crate) async fn beside(
    parts: &Distribution,
    settings: &Settings,
    guest: impl AsyncFnOnce(Up<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let server = &settings.server;
    let signals = Signals::listen()?;
    let tls = tls(&server.tls_cert, &server.tls_key, &None)?;
    let ca = &server.internal_tls_client_ca;
    let internal_tls = self::tls(&server.internal_tls_cert, &server.internal_tls_key, ca)?;
    // The usual soft limit is far below what the hard one allows.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let public = bind("listen", &server.listen.0, tls.clone(), server)?;
    let internal = &server.internal_listen.0;
    let internal = bind("internal_listen", internal, internal_tls.clone(), server)?;
    let certificates: Vec<_> = tls.into_iter().chain(internal_tls).collect();

    let env = Env::system();
    let metrics = Metrics::record(&env)?;
    let mender = mender(parts, settings, env).await?;
    let end = End::default();
    let Routers { public: public_router, internal: internal_router } =
        routers::routers(&mender, settings, &metrics, &end.stopping, parts.routes)?;
    let up = Up {
        mender: &mender,
        public: url(&public, server.tls_cert.is_some())?,
        internal: url(&internal, server.internal_tls_cert.is_some())?,
        stopping: &end.stopping,
    };

    let background = CancellationToken::new();
    let listeners = async {
        let public = async {
            let served = public.serve(public_router, end.public.clone()).await;
            // Until now probes and gateways could ask: what runs may need their answers.
            end.internal.soft.cancel();
            served
        };
        let internal = internal.serve(internal_router, end.internal.clone());
        let (public, internal) = tokio::join!(public, internal);
        // Also where they failed: nobody told the guest to end.
        end.stopping.cancel();
        background.cancel();
        public.and(internal)
    };
    let guest = async {
        let done = guest(up).await;
        if !end.stopping.is_cancelled() {
            end.stopping.cancel();
            end.public.soft.cancel();
        }
        done
    };
    let work = async {
        let (served, (), done) =
            tokio::join!(listeners, mender.run(background.clone()), Box::pin(guest));
        served.map_err(|e| Failure::new(format!("listening: {e}"))).and(done)
    };
    let forced = async {
        end.public.hard.cancelled().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        served = Box::pin(work) => served,
        () = forced => {
            tracing::warn!("background work did not end in time: the next start repeats it");
            Ok(())
        }
        () = signals.obey(&end, server, &certificates) => Ok(()),
        () = tidy(&metrics) => Ok(()),
    }
}

/// How the server ends: it is not ready any more, then the public listener closes, and when that
/// one has ended, the internal one.
struct End {
    stopping: CancellationToken,
    public: Stop,
    internal: Stop,
}

impl Default for End {
    fn default() -> Self {
        let public = Stop::default();
        let internal = Stop { hard: public.hard.clone(), ..Stop::default() };
        Self { stopping: CancellationToken::new(), public, internal }
    }
}

/// Builds the server from its settings.
async fn mender(parts: &Distribution, settings: &Settings, env: Env) -> Result<Mender, Failure> {
    let opened = assemble::stores(&settings.server, Opener::Server).await?;
    let keys = keys::load_or_create(&env, settings)?;
    let builder = opened.builder.env(env).keys(keys);
    let builder = assemble::with_blobs(builder, settings, Opener::Server).await?;
    let builder = assemble::configured(builder, settings)?;
    Ok((parts.extend)(builder).build()?)
}

type File = Option<std::path::PathBuf>;

fn tls(certificate: &File, key: &File, authority: &File) -> Result<Option<Arc<Tls>>, Failure> {
    let (Some(certificate), Some(key)) = (certificate.clone(), key.clone()) else {
        return Ok(None);
    };
    let files = TlsFiles { certificate, key, client_authority: authority.clone() };
    let loaded = Tls::load(files).map_err(|e| Failure::new(format!("certificate: {e}")))?;
    Ok(Some(loaded))
}

fn bind(
    setting: &str,
    address: &str,
    tls: Option<Arc<Tls>>,
    server: &Server,
) -> Result<Listener, Failure> {
    let failed = |error: io::Error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "stop the program that has it, or set another address",
            ErrorKind::PermissionDenied => {
                "set a port above 1023, or let this program have CAP_NET_BIND_SERVICE"
            }
            _ => "set another address",
        };
        Failure::new(format!("{setting}: can't listen on {address}: {error}: {advice}"))
    };
    let listener = Listener::bind(address).map_err(failed)?.with_limits(server.limits());
    Ok(match tls {
        Some(tls) => listener.with_tls(tls),
        None => listener,
    })
}

/// Returns where a listener is reached.
fn url(listener: &Listener, tls: bool) -> Result<String, Failure> {
    let address = listener.address();
    let address = address.map_err(|e| Failure::new(format!("listening: {e}")))?;
    Ok(format!("{}://{address}", if tls { "https" } else { "http" }))
}

/// Says where the server listens, and what to do next where nobody did anything yet.
async fn announce(up: &Up<'_>, settings: &Settings) -> Result<(), Failure> {
    let Up { mender, public, internal, stopping: _ } = up;
    let server = &settings.server;
    let say = |text: &str| match server.log_format {
        LogFormat::Text => eprintln!("{text}"),
        LogFormat::Json => tracing::info!("{text}"),
    };
    say(&format!("devices and users: {public}"));
    say(&format!("other services, /ready and /metrics: {internal}"));
    if !server.is_internal_guarded() {
        tracing::warn!(
            "the internal listener can be reached from other machines and asks nobody who they \
             are: guard it by a firewall or internal_tls_client_ca"
        );
    }
    if server.trust_gateway {
        tracing::warn!("the internal listener takes the claims of tokens as they are");
    }
    let somebody = mender.users().any(&Ctx::system(TenantId::default())).await?;
    let url = server.public_url.as_ref().map_or(public.as_str(), |url| &url.0);
    match server.database_url().scheme() {
        "memory" => say("everything is kept in memory and gone when the server stops"),
        _ if somebody => {}
        _ if settings.auth.multi_tenant => say("nobody can log in yet, unless to a tenant. To \
             make one, with its first user:\n  mender-server tenant create --name NAME --username \
             EMAIL --password PASSWORD"),
        _ => say(&format!(
            "nobody can log in yet. Make a user, with the same settings as this server:\n  \
             mender-server user create --username EMAIL --password PASSWORD\nThen log in:\n  curl \
             -u EMAIL:PASSWORD -X POST {url}/api/management/v1/useradm/auth/login"
        )),
    }
    Ok(())
}

async fn tidy(metrics: &Metrics) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.tidy();
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on signals are heard instead of ending the process.
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::new(format!("signals: {e}")));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Stops softly at the first signal, and hard at the second or when the time is up.
    async fn obey(mut self, end: &End, server: &Server, certificates: &[Arc<Tls>]) {
        self.told_to_stop(certificates).await;
        tracing::info!("stopping; a second signal stops at once");
        end.stopping.cancel();
        let softly = async {
            tokio::time::sleep(server.shutdown_delay).await;
            end.public.soft.cancel();
            tokio::time::sleep(server.drain_time).await;
        };
        tokio::select! {
            () = self.told_to_stop(certificates) => tracing::warn!("stopping at once"),
            () = softly => tracing::warn!("the time for running requests is up"),
        }
        end.public.hard.cancel();
        std::future::pending::<()>().await;
    }

    async fn told_to_stop(&mut self, certificates: &[Arc<Tls>]) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload(certificates),
            }
        }
    }
}

fn reload(certificates: &[Arc<Tls>]) {
    for tls in certificates {
        match tls.reload() {
            Ok(()) => tracing::info!("read the certificate again"),
            Err(error) => tracing::error!(%error, "the certificate in use stays"),
        }
    }
}
