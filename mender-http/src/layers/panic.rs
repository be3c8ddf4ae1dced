//! Panics become 500.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use crate::error::ApiError;

pub(crate) async fn catch<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    // The handler may panic before it returns its future.
    match AssertUnwindSafe(async { next(request).await }).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            ApiError::internal(format_args!("panic: {}", text.unwrap_or("?"))).into_response()
        }
    }
}
