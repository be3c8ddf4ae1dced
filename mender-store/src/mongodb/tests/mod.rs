//! Claims about the store, on a real server.

mod events;
mod kit;
mod lost;
mod opening;
mod proxy;
mod scans;
mod support;
mod writes;
