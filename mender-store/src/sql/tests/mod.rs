mod batches;
mod kernel;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod support;
