//! HTTP APIs of the device management server, over the services of `mender-core`.
//!
//! An area lists its endpoints once, as [`Routes`]; [`router::routers`] puts the layers around
//! them and splits them by listener.

pub mod app;
pub mod artifacts;
pub mod audience;
pub mod auth;
pub mod authenticate;
mod base;
pub mod body;
pub mod builtin;
pub mod deployments;
mod dispatch;
pub mod docs;
pub mod error;
mod gate;
pub mod health;
pub mod identity;
pub mod inventory;
pub mod json;
pub mod layers;
pub mod page;
pub mod path;
pub mod query;
pub mod ratelimit;
pub mod router;
pub mod routes;
pub mod search;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "simulate")]
pub mod simulate;
#[cfg(feature = "testing")]
pub mod testing;
pub mod users;

pub use app::{Gateway, router, server, server_with};
pub use audience::Audience;
pub use authenticate::{Authenticate, Caller, DeviceCaller, Internal, UserCaller};
pub use base::Secure;
pub use body::{Body, FromBody, JsonError};
pub use error::ApiError;
pub use json::Json;
pub use layers::client::Peer;
pub use page::{Paging, Rest};
pub use path::Path;
pub use query::Query;
pub use router::{Routers, Settings};
pub use routes::{Endpoint, Routes};
