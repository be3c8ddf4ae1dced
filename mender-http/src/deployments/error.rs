//! The texts and statuses of refusals, as clients know them.

use http::StatusCode;
use mender_core::error::{Error, Kind};

use crate::error::ApiError;

/// What every route of the area answers, unless it knows better.
pub(super) fn other(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, error.what),
        Kind::Forbidden => ApiError::new(StatusCode::FORBIDDEN, error.what),
        Kind::Conflict => ApiError::new(StatusCode::CONFLICT, error.what),
        Kind::TooLarge => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error.what),
        Kind::Invalid { .. } => ApiError::bad_request(error.what),
        _ => error.into(),
    }
}

/// The answer where a deployment was not created.
pub(super) fn create(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { field: "release" } => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error.what)
        }
        Kind::Invalid { field: "devices" } => ApiError::bad_request(error.what),
        Kind::Invalid { field } => {
            ApiError::bad_request(format!("Validating request body: {field}: {}.", error.what))
        }
        _ => other(error),
    }
}

/// The answer where a deployment was not aborted.
pub(super) fn abort(error: Error) -> ApiError {
    match error.kind {
        Kind::Conflict => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error.what),
        _ => other(error),
    }
}

/// The answer where the devices of a deployment are not shown.
pub(super) fn devices(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "Deployment not found"),
        _ => other(error),
    }
}

/// The answer to a log that was refused.
pub(super) fn log(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { field: "messages" } => {
            ApiError::bad_request(format!("{}: invalid deployment log", error.what))
        }
        _ => other(error),
    }
}
