use axum::{Extension, extract::State};
use http::{HeaderMap, StatusCode};
use mender_core::{Mender, error::Kind};

use super::wire;
use crate::{
    authenticate::Internal,
    builtin::{self, NoUser},
    error::ApiError,
    ratelimit::{Asked, RateLimits, Standing},
};

/// Verifies a user's token for a gateway.
#[utoipa::path(post, path = "/api/internal/v1/useradm/auth/verify",
    tag = "users, internal",
    params(
        ("X-Forwarded-Uri" = String, Header, description = "of the request"),
        ("X-Forwarded-Method" = String, Header, description = "of the request"),
    ),
    responses(
        (status = 200, description = "it is valid"),
        (status = 401, description = "it is not", body = wire::ErrorBody),
        (status = 403, description = "not allowed", body = wire::ErrorBody),
        (status = 429, description = "too many requests", body = wire::ErrorBody),
    ))]
pub(super) async fn verify(
    State(mender): State<Mender>,
    _: Internal,
    limits: Option<Extension<RateLimits>>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let limits = limits.and_then(|Extension(limits)| limits.users);
    let asked = Asked::forwarded(&headers);
    let checked = match builtin::user(&mender, &headers).await {
        Ok((_, claims)) => Ok(claims),
        Err(NoUser::Refused(Kind::Unauthenticated | Kind::Forbidden, error)) => Err(error),
        Err(why) => return Err(why.into()),
    };
    // Compat: a gateway that does not say what it asks for is an error of its own.
    if asked.path.split('/').count() <= 4 || asked.method.is_empty() {
        return Err(ApiError::internal("the gateway names no request"));
    }
    let claims = checked?;
    builtin::limit(limits.as_deref(), &claims, asked, Standing::Verified)?;
    Ok(StatusCode::OK)
}
