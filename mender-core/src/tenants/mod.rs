//! Tenants: the customers that share a server without seeing each other.

mod model;
mod service;
mod store;

pub use model::{Addon, Plan, Standing, Tenant, TenantStatus};
pub use service::{Directory, NewTenant, Service};
pub use store::Store;
