//! The texts and statuses of refusals, as clients know them.

use http::StatusCode;
use mender_core::error::{Error, Kind};

use crate::error::ApiError;

const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;

/// The answer to a device that gets no token.
pub(super) fn request(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { field: "tenant_token" } => ApiError::unauthorized(error.what),
        Kind::Invalid { field: "signature" } => {
            ApiError::unauthorized("signature verification failed")
        }
        // Compat: pending, rejected and leaving devices all read the same.
        Kind::Unauthenticated => ApiError::unauthorized("dev auth: unauthorized"),
        Kind::LimitReached => ApiError::unauthorized("unauthorized"),
        _ => error.into(),
    }
}

pub(super) fn device(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(NOT_FOUND, "device not found"),
        _ => error.into(),
    }
}

/// Compat: what does not exist is answered without a body.
pub(super) fn silent(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::empty(NOT_FOUND),
        _ => error.into(),
    }
}

pub(super) fn set_status(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound if error.what == "device" => device(error),
        Kind::NotFound => ApiError::new(NOT_FOUND, "authorization set not found"),
        Kind::Invalid { field: "device" } => {
            ApiError::bad_request("dev auth: dev ID and auth ID mismatch")
        }
        Kind::Conflict => ApiError::bad_request("dev auth: bad request"),
        Kind::LimitReached => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "maximum number of accepted devices reached",
        ),
        _ => error.into(),
    }
}

pub(super) fn flags(error: Error) -> ApiError {
    match error.kind {
        Kind::LimitReached => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "maximum number of accepted test devices reached",
        ),
        Kind::TooMany { wait } => ApiError::too_many("too many requests", wait),
        _ => device(error),
    }
}
