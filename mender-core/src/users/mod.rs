//! Users: who may manage devices, and the sessions they have.
//!
//! An **account** belongs to one or more tenants. A log-in opens a **session**, whose token says
//! who the user is; a session that ends makes its token invalid at once.

pub mod logic;
mod model;
mod service;
mod store;

pub use model::{Account, Email, InvalidEmail, Membership, Session, SessionId};
pub use service::{Config, Login, NewUser, Service, VerifiedUser};
pub use store::Store;
