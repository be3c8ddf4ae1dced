//! The texts and statuses of refusals, as clients know them.

use mender_core::error::{Error, Kind};

use crate::error::ApiError;

/// What is malformed in a request.
pub(super) fn malformed(cause: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("malformed request body: {cause}"))
}

pub(super) fn search(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { .. } => malformed(error.what),
        _ => error.into(),
    }
}
