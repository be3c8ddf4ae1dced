use axum::extract::State;
use http::{HeaderMap, StatusCode};
use mender_core::Mender;

use super::wire;
use crate::{authenticate::Internal, builtin, error::ApiError};

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
    ))]
pub(super) async fn verify(
    State(mender): State<Mender>,
    _: Internal,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let checked = builtin::user(&mender, &headers).await;
    if let Err(error) = &checked
        && error.text() != Some("unauthorized")
    {
        return checked.map(|_| StatusCode::OK);
    }
    // Compat: a gateway that does not say what it asks for is an error of its own.
    let uri = headers
        .get("x-forwarded-uri")
        .and_then(|value| value.to_str().ok());
    let named = uri.is_some_and(|uri| uri.split('/').count() > 4);
    if !named || !headers.contains_key("x-forwarded-method") {
        return Err(ApiError::internal("the gateway names no request"));
    }
    checked.map(|_| StatusCode::OK)
}
