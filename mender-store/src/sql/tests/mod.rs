mod batches;
mod kernel;
mod lockstep;
mod plans;
mod schema;
mod searches;
#[cfg(feature = "postgres")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
mod support;
