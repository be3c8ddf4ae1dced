//! The texts and statuses of refusals, as clients know them.

use http::StatusCode;
use mender_core::{
    error::{Error, Kind},
    inventory::InvalidPredicate,
};

use crate::error::ApiError;

/// What every route of the area answers, unless it knows better.
pub(super) fn other(error: Error) -> ApiError {
    match error.kind {
        Kind::Forbidden => {
            ApiError::new(StatusCode::FORBIDDEN, "forbidden by role-based access control")
                .because(error)
        }
        // These are whole sentences; others are about a field.
        Kind::Invalid { field: "attributes" | "terms" } => ApiError::bad_request(error.what),
        Kind::Invalid { field } => ApiError::bad_request(format!("{field}: {}.", error.what)),
        _ => error.into(),
    }
}

pub(super) fn device(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "Device not found"),
        _ => other(error),
    }
}

pub(super) fn group(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "group not found"),
        _ => other(error),
    }
}

pub(super) fn filter(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "filter not found"),
        Kind::Invalid { field: "filters" } => search(error),
        _ => other(error),
    }
}

/// The answer where a write had a condition that does not hold.
pub(super) fn conditional(error: Error) -> ApiError {
    match error.kind {
        Kind::Conflict => ApiError::new(StatusCode::PRECONDITION_FAILED, error.what),
        _ => other(error),
    }
}

pub(super) fn search(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { .. } => bad_value(&error),
        _ => other(error),
    }
}

pub(super) fn predicate(error: InvalidPredicate) -> ApiError {
    bad_value(&error)
}

/// Compat: reads as the database of the reference server says it.
fn bad_value(why: &dyn std::fmt::Display) -> ApiError {
    let text = format!("failed to fetch devices: failed to search devices: (BadValue) {why}");
    ApiError::bad_request(text)
}
