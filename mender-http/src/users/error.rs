//! The texts and statuses of refusals, as clients know them.

use http::StatusCode;
use mender_core::error::{Error, Kind};

use crate::error::ApiError;

pub(super) fn log_in(error: Error) -> ApiError {
    match error.kind {
        Kind::Unauthenticated => ApiError::unauthorized("unauthorized"),
        Kind::Forbidden => ApiError::unauthorized(error.what),
        _ => error.into(),
    }
}

pub(super) fn user(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "user not found"),
        _ => error.into(),
    }
}

pub(super) fn create(error: Error) -> ApiError {
    let refused = |text: std::borrow::Cow<'static, str>| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    };
    match error.kind {
        Kind::Conflict if error.what == "email" => {
            refused("user with a given email already exists".into())
        }
        Kind::Conflict => refused(error.what),
        Kind::Invalid { field: "password" } => {
            ApiError::bad_request(format!("password: {}.", error.what))
        }
        _ => error.into(),
    }
}
