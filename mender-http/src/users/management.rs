use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use mender_core::{
    Actor, Ctx, Mender, Time,
    secret::Secret,
    users::{Account, Email, InvalidEmail, Login, NewUser},
};

use super::{error, wire};
use crate::{
    authenticate::UserCaller,
    body::{self, Body},
    error::ApiError,
    identity::Identity,
    json::Json,
    layers::request_id::RequestId,
    path::{self, Path},
    query::Query,
};

const TAG: &str = "users";

/// Logs in by e-mail address and password, given as HTTP Basic authentication.
#[utoipa::path(post, path = "/api/management/v1/useradm/auth/login", tag = TAG,
    request_body = Option<wire::LogIn>,
    responses(
        (status = 200, description = "the token", content_type = "application/jwt", body = String),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "wrong address or password", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    ))]
pub(super) async fn log_in(
    State(mender): State<Mender>,
    RequestId(trace): RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    body::check_type(request.headers(), "application/json")?;
    let (email, password) = basic(request.headers())
        .ok_or_else(|| ApiError::unauthorized("invalid or missing auth header"))?;
    let length = request.headers().get(CONTENT_LENGTH);
    let empty = length.is_none_or(|n| n.as_bytes() == b"0");
    let chunked = length.is_none() && request.headers().contains_key("transfer-encoding");
    let asked = if empty && !chunked {
        wire::LogIn::default()
    } else {
        let bytes = body::read(request).await;
        let asked = bytes.and_then(|bytes| body::decode(&bytes, false));
        asked.map_err(|e| ApiError::bad_request(e.to_string()))?
    };
    let forever = asked.no_expiry.unwrap_or(false);
    let login = Login { email, password, forever };
    let token = mender.users().log_in(&trace, &login).await.map_err(error::log_in)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/jwt"))], token).into_response())
}

/// Reads HTTP Basic authentication; the password is everything after the first colon.
fn basic(headers: &HeaderMap) -> Option<(String, Secret)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, coded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(coded.trim()).ok()?).ok()?;
    let (email, password) = text.split_once(':')?;
    Some((email.to_owned(), Secret::new(password)))
}

/// Logs out: the token is not valid any more.
#[utoipa::path(post, path = "/api/management/v1/useradm/auth/logout", tag = TAG,
    responses(
        (status = 202, description = "logged out"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
    ))]
pub(super) async fn log_out(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    identity: Identity,
) -> Result<StatusCode, ApiError> {
    // Behind a gateway of somebody else's there may be no session of ours to end.
    if let Ok(user) = mender.users().verify(identity.token.expose(), &ctx.request).await {
        mender.users().log_out(&ctx, &user.user, &user.session).await?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// Lists the users.
#[utoipa::path(get, path = "/api/management/v1/useradm/users", tag = TAG,
    params(
        ("id" = Option<Vec<String>>, Query, description = "any of these users"),
        ("email" = Option<Vec<String>>, Query, description = "any of these addresses"),
        ("created_after" = Option<i64>, Query, description = "in seconds since 1970"),
        ("created_before" = Option<i64>, Query, description = "in seconds since 1970"),
        ("updated_after" = Option<i64>, Query, description = "in seconds since 1970"),
        ("updated_before" = Option<i64>, Query, description = "in seconds since 1970"),
    ),
    responses(
        (status = 200, description = "the users", body = Vec<wire::User>),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Json<Vec<wire::User>>, ApiError> {
    let filter = Filter::of(&query)?;
    let users = mender.users().users(&ctx).await?;
    let shown = users.into_iter().filter(|user| filter.fits(user));
    Ok(Json(shown.map(|user| wire::User::of(user, &ctx.tenant)).collect()))
}

/// Which users are meant.
struct Filter {
    ids: Vec<String>,
    emails: Vec<String>,
    created: (Option<Time>, Option<Time>),
    updated: (Option<Time>, Option<Time>),
}

impl Filter {
    fn of(query: &Query) -> Result<Self, ApiError> {
        let texts = |name| query.all(name).map(str::to_owned).collect::<Vec<_>>();
        let time = |name: &str| {
            let text = query.first(name).filter(|text| !text.is_empty());
            text.map(|text| text.parse().map(Time::from_seconds)).transpose().map_err(|_| {
                let text = query.first(name).unwrap_or_default();
                ApiError::bad_request(format!(
                    "api: invalid form values: invalid form parameter \"{name}\": \
                     strconv.ParseInt: parsing \"{text}\": invalid syntax"
                ))
            })
        };
        Ok(Self {
            ids: texts("id"),
            emails: texts("email").iter().map(|email| email.to_ascii_lowercase()).collect(),
            created: (time("created_after")?, time("created_before")?),
            updated: (time("updated_after")?, time("updated_before")?),
        })
    }

    fn fits(&self, user: &Account) -> bool {
        let any =
            |wanted: &[String], has: &str| wanted.is_empty() || wanted.iter().any(|one| one == has);
        let within = |(after, before): (Option<Time>, Option<Time>), at: Time| {
            after.is_none_or(|after| at > after) && before.is_none_or(|before| at < before)
        };
        any(&self.ids, user.id.as_str())
            && any(&self.emails, user.email.as_str())
            && within(self.created, user.created)
            && within(self.updated, user.updated)
    }
}

/// Makes a user.
#[utoipa::path(post, path = "/api/management/v1/useradm/users", tag = TAG,
    request_body = wire::NewUser,
    responses(
        (status = 201, description = "made; `Location` names the user"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 422, description = "a weak password, or a known address",
         body = wire::ErrorBody),
    ))]
pub(super) async fn create(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::NewUser>,
) -> Result<Response, ApiError> {
    let password = body.password.unwrap_or_default();
    let email = body.email.unwrap_or_default().parse::<Email>();
    let email = email.map_err(|why| malformed(why, &password))?;
    let new = NewUser { email, password, id: None, roles: Vec::new() };
    let id = mender.users().create(&ctx, &new).await.map_err(error::create)?;
    let location = HeaderValue::try_from(format!("/api/management/v1/useradm/users/{id}"));
    let location = location.map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Names everything that is wrong with a user to be made, as clients show it.
fn malformed(email: InvalidEmail, password: &str) -> ApiError {
    let password = match password {
        "" => Some("cannot be blank"),
        p if p.chars().count() > 256 => Some("the length must be no more than 256"),
        p if !p.is_ascii() => Some("must contain ASCII characters only"),
        _ => None,
    };
    let password = password.map(|why| format!("; password: {why}")).unwrap_or_default();
    ApiError::bad_request(format!("email: {email}{password}."))
}

/// Shows a user; `me` is the caller.
#[utoipa::path(get, path = "/api/management/v1/useradm/users/{id}", tag = TAG,
    params(("id" = String, Path, description = "the user, or `me`")),
    responses(
        (status = 200, description = "the user", body = wire::User),
        (status = 404, description = "there is none", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::User>, ApiError> {
    let id = match &ctx {
        Ctx { actor: Actor::User(me), .. } if id == "me" => me.clone(),
        _ => path::id(&id, "user", error::user)?,
    };
    let user = mender.users().user(&ctx, &id).await.map_err(error::user)?;
    Ok(Json(wire::User::of(user, &ctx.tenant)))
}
