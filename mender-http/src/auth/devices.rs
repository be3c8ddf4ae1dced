use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use mender_core::{
    Mender,
    auth::{AuthRequest, Identity},
    signature::PublicKey,
};

use super::{
    error,
    wire::{self, Form},
};
use crate::{
    body::{self, JsonError},
    error::ApiError,
    layers::request_id::RequestId,
};

const SIGNATURE: &str = "x-men-signature";

/// Asks for a token.
#[utoipa::path(
    post,
    path = "/api/devices/v1/authentication/auth_requests",
    tag = "device authentication",
    params(("X-MEN-Signature" = String, Header, description = "signature of the body, base64")),
    request_body = wire::AuthRequest,
    responses(
        (status = 200, description = "the token", content_type = "application/jwt", body = String),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "not accepted", body = wire::ErrorBody),
        (status = 403, description = "the external identity is refused", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn request(
    State(mender): State<Mender>,
    RequestId(trace): RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = read_request(&mender, request).await?;
    let token = mender.auth().request(&trace, &asked).await.map_err(error::request)?;
    Ok(jwt(token))
}

/// A token as an answer.
pub(super) fn jwt(token: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/jwt"))], token).into_response()
}

/// Reads a device's request and checks its form; the signature is checked later.
pub(super) async fn read_request(
    mender: &Mender,
    request: Request,
) -> Result<AuthRequest, ApiError> {
    body::check_type(request.headers(), "application/json")?;
    let headers = request.headers().clone();
    let refused = |e: &JsonError| {
        ApiError::bad_request(format!("failed to decode auth request: {}", e.whole()))
    };
    let body = body::read(request).await.map_err(|e| refused(&e))?;
    let text = String::from_utf8_lossy(&body);
    let asked: wire::AuthRequest = body::decode(text.as_bytes(), true).map_err(|e| refused(&e))?;
    let form = Form::of(mender.auth().config());
    parse(asked, form, body, &headers)
}

fn parse(
    asked: wire::AuthRequest,
    form: Form,
    body: Bytes,
    headers: &HeaderMap,
) -> Result<AuthRequest, ApiError> {
    let invalid = |why: String| ApiError::bad_request(format!("invalid auth request: {why}"));
    if asked.id_data.is_empty() {
        return Err(invalid("id_data must be provided".into()));
    }
    if asked.pubkey.is_empty() {
        return Err(invalid("pubkey must be provided".into()));
    }
    let key = PublicKey::from_pem(&asked.pubkey).map_err(|e| invalid(e.to_string()))?;
    let identity = Identity::parse(&asked.id_data).map_err(|e| invalid(e.to_string()))?;
    let tier = wire::tier(&asked.tier, form).ok_or_else(|| invalid("unknown tier".into()))?;
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    let signature = signature
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ApiError::bad_request("missing request signature header"))?
        .to_owned();
    let tenant_token = Some(asked.tenant_token).filter(|token| !token.is_empty());
    Ok(AuthRequest { identity, key, tenant_token, tier, body, signature })
}
