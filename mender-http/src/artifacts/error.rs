//! The texts and statuses of refusals, as clients know them.

use http::StatusCode;
use mender_core::{
    artifacts::Taken,
    error::{Error, Kind},
};

use crate::error::ApiError;

/// What every route of the area answers, unless it knows better.
pub(super) fn other(error: Error) -> ApiError {
    match error.kind {
        Kind::NotFound => ApiError::new(StatusCode::NOT_FOUND, error.what),
        Kind::Forbidden => ApiError::new(StatusCode::FORBIDDEN, error.what),
        Kind::Conflict => ApiError::new(StatusCode::CONFLICT, error.what),
        Kind::TooLarge | Kind::LimitReached => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error.what)
        }
        Kind::Invalid { .. } => ApiError::bad_request(error.what),
        _ => error.into(),
    }
}

/// The answer where a described artifact was used.
pub(super) fn describe(error: Error) -> ApiError {
    match error.kind {
        Kind::Conflict => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error.what),
        Kind::Invalid { field } => {
            ApiError::bad_request(format!("Validating request body: {field}: {}.", error.what))
        }
        _ => other(error),
    }
}

pub(super) fn notes(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { .. } => {
            ApiError::bad_request(format!("invalid request body: {}", error.what))
        }
        _ => other(error),
    }
}

/// The answer where deltas are configured.
pub(super) fn delta_config(error: Error) -> ApiError {
    match error.kind {
        Kind::Conflict => ApiError::new(StatusCode::PRECONDITION_FAILED, error.what),
        Kind::Forbidden => ApiError::new(StatusCode::CONFLICT, error.what),
        _ => other(error),
    }
}

/// The answer where a delta is asked for.
pub(super) fn make_delta(error: Error) -> ApiError {
    match error.kind {
        Kind::LimitReached => ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.what),
        _ => other(error),
    }
}

pub(super) fn generate(error: Error) -> ApiError {
    match error.kind {
        Kind::Conflict => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error.what),
        Kind::Invalid { field: "args" } => {
            ApiError::bad_request(format!("api: invalid form parameters: args: {}.", error.what))
        }
        _ => other(error),
    }
}

/// The answer to a manifest that was refused.
pub(super) fn manifest(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { field: "manifest" } => {
            ApiError::bad_request(format!("invalid manifest: {}", error.what))
        }
        Kind::Invalid { field: "tags" } => {
            ApiError::bad_request(format!("invalid request body: {}", error.what))
        }
        _ => upload(error),
    }
}

/// The answer to an upload that was refused.
pub(super) fn upload(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { field: "artifact" } => ApiError::bad_request(malformed(&error.what)),
        Kind::Invalid { field: "description" } => {
            ApiError::bad_request(format!("description: {}.", error.what))
        }
        Kind::Conflict => conflict(&error),
        _ => other(error),
    }
}

/// Compat: two texts are shown without what led there, and one of them with what is supported.
fn malformed(why: &str) -> String {
    let from = |start: &str| why.find(start).map(|at| &why[at..]);
    if let Some(text) = from("invalid checksum") {
        return text.to_owned();
    }
    if let Some(text) = from("unsupported version") {
        return format!("{text}; supported versions are: 1, 2");
    }
    // Compat: what is found out after reading is told by others.
    match why {
        "Metadata invalid" => why.to_owned(),
        why if why.starts_with("Conflicting keys") => {
            format!("error parsing version 3 artifact: {why}")
        }
        why => format!("reading artifact error: {why}"),
    }
}

fn conflict(error: &Error) -> ApiError {
    let source = std::error::Error::source(error);
    let taken = source.and_then(|source| source.downcast_ref::<Taken>());
    let answer = ApiError::new(StatusCode::CONFLICT, error.what.clone());
    match taken {
        Some(Taken(common)) => {
            answer.with_field("metadata", serde_json::json!({ "conflict": common }))
        }
        None => answer,
    }
}
