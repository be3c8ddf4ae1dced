//! Authentication of requests, as a port; and the callers that handlers take.

use std::str::FromStr;

use async_trait::async_trait;
use axum::{
    extract::{FromRequestParts, OriginalUri, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri, request::Parts};
use mender_core::{Actor, Ctx, DeviceId, Scope, TenantId, UserId};

use crate::{
    audience::Audience,
    error::ApiError,
    identity::{self, Identity, MISSING, Source},
    layers::request_id::RequestId,
    path::Params,
    query::Query,
};

/// What an authenticator decides by.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Whom the route is for: [`Audience::Management`] or [`Audience::Devices`].
    pub audience: Audience,
    /// The method.
    pub method: &'a Method,
    /// The URI as the client sent it.
    pub uri: &'a Uri,
    /// The path within the interface, without where that is mounted.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A caller whose credentials were verified.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A user.
    User(Ctx),
    /// A device.
    Device(Ctx),
}

impl Caller {
    fn ctx(&mut self) -> &mut Ctx {
        match self {
            Self::User(ctx) | Self::Device(ctx) => ctx,
        }
    }
}

/// Tells who calls. The built-in users and devices are one implementation, an embedder's own
/// session another, [`TrustGateway`] a third.
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// Returns the caller, or the answer that the client gets instead.
    ///
    /// The caller must be of the kind that the route is for; any other is answered with 401.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, ApiError>;
}

/// Takes the claims of tokens as they are: for a server behind a gateway that verifies them.
///
/// Subjects and tenants need not exist, and neither signature nor expiry is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrustGateway;

#[async_trait]
impl Authenticate for TrustGateway {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, ApiError> {
        let Identity { source, claims, .. } = Identity::of(credentials.headers)?;
        let tenant: TenantId = parse(&claims.tenant)?;
        match credentials.audience {
            Audience::Devices if source == Source::Cookie => Err(ApiError::unauthorized(MISSING)),
            Audience::Devices if claims.device => {
                let device: DeviceId = parse(&claims.subject)?;
                let ctx = Ctx::new(tenant, Actor::Device(device), Scope::All);
                Ok(Caller::Device(ctx))
            }
            Audience::Devices => Err(ApiError::empty(StatusCode::UNAUTHORIZED)),
            _ if claims.user => {
                let user: UserId = parse(&claims.subject)?;
                Ok(Caller::User(Ctx::new(tenant, Actor::User(user), scope(credentials.headers))))
            }
            _ => Err(ApiError::unauthorized("unauthorized")),
        }
    }
}

/// What a user may see, as a service in front of this one decided: the groups and the tags of
/// headers, one for each area. Of two lists of groups both hold.
pub(crate) fn scope(headers: &HeaderMap) -> Scope {
    let list = |name: &str| -> Option<Vec<String>> {
        let given = headers.get(name).filter(|value| !value.is_empty())?;
        // What can't be read is no group, and no leave to see everything either.
        let given = String::from_utf8_lossy(given.as_bytes());
        let names = given.split(',').map(str::trim).filter(|name| !name.is_empty());
        Some(names.map(str::to_owned).collect())
    };
    let mut groups = list("x-men-rbac-inventory-groups");
    if let Some(others) = list("x-men-rbac-deployments-groups") {
        match &mut groups {
            Some(groups) => groups.retain(|group| others.contains(group)),
            None => groups = Some(others),
        }
    }
    match (groups, list("x-men-rbac-releases-tags")) {
        (None, None) => Scope::All,
        (groups, tags) => Scope::Only { groups, tags },
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::unauthorized("unauthorized"))
}

/// Authenticates requests to routes that need it, before anything else is checked.
pub(crate) async fn check<F>(
    port: &dyn Authenticate,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let behind = request.extensions().get::<OnInternal>().is_some();
    let audience = match behind {
        true => Audience::behind_gateway(request.method(), request.uri().path()),
        false => Audience::of(request.method(), request.uri().path()),
    };
    // The gateway in front of the internal listener has already asked for what it wants.
    let open = behind && request.method() == Method::OPTIONS;
    if open || !matches!(audience, Audience::Devices | Audience::Management) {
        return next(request).await;
    }
    let original = request.extensions().get::<OriginalUri>();
    let uri = original.map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
    let credentials = Credentials {
        audience,
        method: request.method(),
        uri: &uri,
        path: request.uri().path(),
        headers: request.headers(),
    };
    let mut caller = match port.authenticate(credentials).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    match (&caller, audience) {
        (Caller::User(_), Audience::Management) | (Caller::Device(_), Audience::Devices) => {}
        (Caller::User(_), _) => return ApiError::empty(StatusCode::UNAUTHORIZED).into_response(),
        (Caller::Device(_), _) => return ApiError::unauthorized("unauthorized").into_response(),
    }
    if let Some(RequestId(id)) = request.extensions().get() {
        caller.ctx().request = id.clone();
    }
    let ctx = caller.ctx().clone();
    request.extensions_mut().insert(caller);
    let mut response = next(request).await;
    response.extensions_mut().insert(ctx);
    response
}

/// Extracts the user who calls.
#[derive(Clone, Debug)]
pub struct UserCaller(pub Ctx);

impl<S: Sync> FromRequestParts<S> for UserCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get() {
            Some(Caller::User(ctx)) => Ok(Self(ctx.clone())),
            _ => Err(identity::refuse(MISSING)),
        }
    }
}

/// Extracts the device that calls.
#[derive(Clone, Debug)]
pub struct DeviceCaller(pub Ctx);

impl<S: Sync> FromRequestParts<S> for DeviceCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get() {
            Some(Caller::Device(ctx)) => Ok(Self(ctx.clone())),
            _ => Err(identity::refuse(MISSING)),
        }
    }
}

/// Marks requests that came to the internal listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnInternal;

/// Extracts a call to the internal interface. The tenant is the path's `{tenant}`, else the
/// query's `tenant_id`, else the default one. Anywhere but on the internal listener it is 404.
#[derive(Clone, Debug)]
pub struct Internal(pub Ctx);

impl<S: Sync> FromRequestParts<S> for Internal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<OnInternal>().is_none() {
            return Err(ApiError::no_route());
        }
        let query = Query::of(&parts.uri);
        let params = parts.extensions.get::<Params>();
        let named = params.and_then(|params| params.get("tenant"));
        let tenant = named.or(query.first("tenant_id")).unwrap_or_default();
        let tenant = tenant.parse().map_err(|_| ApiError::no_route())?;
        let mut ctx = Ctx::system(tenant);
        if let Some(RequestId(id)) = parts.extensions.get() {
            ctx.request = id.clone();
        }
        Ok(Self(ctx))
    }
}
