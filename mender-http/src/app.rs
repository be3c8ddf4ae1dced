//! The whole server: every area's routes over one [`Mender`].

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use mender_core::Mender;

use crate::{
    artifacts, auth,
    authenticate::{Authenticate, TrustGateway},
    builtin::BuiltIn,
    deployments,
    health::{self, Health},
    inventory,
    router::{self, Routers, Settings},
    routes::Routes,
    search, users,
};

struct Database(Mender);

#[async_trait]
impl Health for Database {
    async fn check(&self) -> Result<(), String> {
        self.0.check().await.map_err(|error| format!("error reaching the database: {error}"))
    }
}

/// Returns the routes of every area.
#[must_use]
pub fn routes(mender: &Mender) -> Routes<Mender> {
    artifacts::routes(mender)
        .merge(auth::routes())
        .merge(deployments::routes())
        .merge(inventory::routes())
        .merge(search::routes())
        .merge(users::routes())
        .merge(health::routes(Arc::new(Database(mender.clone()))))
}

/// Whom the internal listener takes public requests from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Gateway {
    /// From nobody: it serves internal routes only.
    #[default]
    None,
    /// From a gateway that has verified the tokens; their claims are taken as they are.
    Trusted,
}

/// Returns both routers of a server, with its own users and devices as callers.
#[must_use]
pub fn server(mender: &Mender, settings: &Settings, gateway: Gateway) -> Routers {
    server_with(mender, settings, gateway, Routes::new)
}

/// Returns both routers of a server, with `more` routes beside those of the areas.
#[must_use]
pub fn server_with(
    mender: &Mender,
    settings: &Settings,
    gateway: Gateway,
    more: impl Fn() -> Routes<Mender>,
) -> Routers {
    let builtin: Arc<dyn Authenticate> =
        Arc::new(BuiltIn::new(mender.clone()).with_limits(settings.rate_limits.clone()));
    let gateway = (gateway == Gateway::Trusted).then(|| Arc::new(TrustGateway) as Arc<_>);
    router::routers(|| routes(mender).merge(more()), mender, builtin, gateway, settings)
}

/// Returns the public router with default settings, to be mounted in an application of your own.
pub fn router(mender: Mender) -> Router {
    let settings = Settings::new(mender.env().clone());
    let auth = Arc::new(BuiltIn::new(mender.clone()));
    router::public(routes(&mender), mender, auth, &settings)
}
