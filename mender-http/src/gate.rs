//! What every request passes on its way to its route, as one service: each layer is a function that
//! is called by the one outside of it. A stack of layers of the router would be copied, layer by
//! layer, for every request.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response};
use mender_core::Env;
use tower::Service;

use crate::{
    authenticate::{self, Authenticate, OnInternal},
    dispatch::Dispatch,
    layers::{access_log, compression, cors, panic, request_id, security},
    ratelimit::RateLimits,
    router::Settings,
};

/// What differs between the listeners.
pub(crate) enum Listener {
    /// For everyone.
    Public { origins: Vec<String>, auth: Arc<dyn Authenticate> },
    /// For other services; with a gateway also for those whom that vouches for.
    Internal { gateway: Option<Arc<dyn Authenticate>>, limits: RateLimits },
}

struct Parts<S> {
    env: Env,
    log: access_log::Log,
    listener: Listener,
    dispatch: Dispatch<S>,
}

/// Everything between a listener and the handlers, from the outside in as in
/// [`layers`](crate::layers).
pub(crate) struct Gate<S>(Arc<Parts<S>>);

impl<S> Clone for Gate<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> Gate<S> {
    pub(crate) fn router(listener: Listener, dispatch: Dispatch<S>, settings: &Settings) -> Router {
        let env = settings.env.clone();
        let log = access_log::Log { env: env.clone(), proxies: settings.proxies };
        let gate = Self(Arc::new(Parts { env, log, listener, dispatch }));
        let router = Router::new().fallback_service(gate);
        if settings.compression { router.layer(compression::layer()) } else { router }
    }
}

impl<S: Clone + Send + Sync + 'static> Parts<S> {
    async fn answer(&self, request: Request) -> Response {
        let admit = |request| self.admit(request);
        let render = |request| request_id::render(request, admit);
        let log = |request| access_log::log(&self.log, request, render);
        request_id::assign(&self.env, request, log).await
    }

    /// Admits a request that has an id and is logged.
    async fn admit(&self, mut request: Request) -> Response {
        match &self.listener {
            Listener::Public { origins, auth } => {
                request_id::strip(&mut request);
                let check = |request| self.authenticated(Some(&**auth), request);
                let catch = |request| panic::catch(request, check);
                let allow = async |request| match &origins[..] {
                    [] => catch(request).await,
                    origins => cors::allow(origins, request, catch).await,
                };
                security::add(request, allow).await
            }
            Listener::Internal { gateway, limits } => {
                let check = |mut request: Request| {
                    request.extensions_mut().insert(OnInternal);
                    request.extensions_mut().insert(limits.clone());
                    self.authenticated(gateway.as_deref(), request)
                };
                panic::catch(request, check).await
            }
        }
    }

    async fn authenticated(&self, by: Option<&dyn Authenticate>, request: Request) -> Response {
        let dispatch = |request| self.dispatch.dispatch(request);
        match by {
            Some(port) => authenticate::check(port, request, dispatch).await,
            None => dispatch(request).await,
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Service<Request> for Gate<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let parts = self.0.clone();
        Box::pin(async move { Ok(parts.answer(request).await) })
    }
}
