//! The two routers: for everyone, and for other services.

use std::{sync::Arc, time::Duration};

use axum::Router;
use mender_core::Env;

use crate::{
    authenticate::Authenticate,
    dispatch::{Bounds, Dispatch},
    docs,
    gate::{Gate, Listener},
    ratelimit::RateLimits,
    routes::{Routes, Tree},
};

/// What the gateway does around the routes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The source of request ids.
    pub env: Env,
    /// The largest body of a request that is no stream, in bytes.
    pub body_bytes: u64,
    /// How long a request may take that is no stream.
    pub request_timeout: Duration,
    /// Origins whose pages may call us, `*` for any; CORS is off where there are none.
    pub cors_origins: Vec<String>,
    /// Whether answers are compressed.
    pub compression: bool,
    /// Behind how many proxies of ours the clients are whose address is logged: 0 logs the other
    /// end of the connection, `None` nothing.
    pub proxies: Option<u8>,
    /// How many requests callers may make; none are limited by default.
    pub rate_limits: RateLimits,
}

impl Settings {
    /// The defaults: 1 MiB, 30 s, no CORS, compression.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self {
            env,
            body_bytes: 1 << 20,
            request_timeout: Duration::from_secs(30),
            cors_origins: Vec::new(),
            compression: true,
            proxies: None,
            rate_limits: RateLimits::default(),
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds { body_bytes: self.body_bytes, time: self.request_timeout }
    }
}

/// Both routers of a server.
#[derive(Clone, Debug)]
pub struct Routers {
    /// For devices, users and their tools.
    pub public: Router,
    /// For other services; never to be reachable from outside.
    pub internal: Router,
}

/// Puts the layers around the routes of all areas and splits them by listener.
///
/// `gateway` makes the internal listener answer the public routes, too, with callers as that
/// authenticator tells: for a server behind a gateway that verifies tokens.
pub fn routers<S: Clone + Send + Sync + 'static>(
    routes: impl Fn() -> Routes<S>,
    state: &S,
    auth: Arc<dyn Authenticate>,
    gateway: Option<Arc<dyn Authenticate>>,
    settings: &Settings,
) -> Routers {
    let (public, _) = routes().split();
    let (more, mut internal) = routes().split();
    if gateway.is_some() {
        internal = internal.merge(more);
    }
    Routers {
        public: self::public(public, state.clone(), auth, settings),
        internal: self::internal(internal, state.clone(), gateway, settings),
    }
}

/// The router of the public listener. Endpoints for other services are left out.
pub fn public<S: Clone + Send + Sync + 'static>(
    routes: Routes<S>,
    state: S,
    auth: Arc<dyn Authenticate>,
    settings: &Settings,
) -> Router {
    let (routes, _) = routes.split();
    let documents = docs::routes(&routes.documents);
    let tree = Tree::of(routes.merge(documents).targets);
    let origins = settings.cors_origins.clone();
    let dispatch = Dispatch::new(tree, state, settings.bounds());
    Gate::router(Listener::Public { origins, auth }, dispatch, settings)
}

/// The router of the internal listener.
pub fn internal<S: Clone + Send + Sync + 'static>(
    routes: Routes<S>,
    state: S,
    gateway: Option<Arc<dyn Authenticate>>,
    settings: &Settings,
) -> Router {
    let tree = Tree::of(routes.targets);
    let dispatch = Dispatch::new(tree, state, settings.bounds());
    let limits = settings.rate_limits.clone();
    Gate::router(Listener::Internal { gateway, limits }, dispatch, settings)
}

#[cfg(test)]
mod tests;
