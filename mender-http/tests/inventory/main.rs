//! The inventory over HTTP, on memory: what the transcripts in `tests/compat` leave out.

mod bad_input;
mod filters;
mod gateway;
mod identities;
mod internal;
mod isolation;
mod scope;
mod support;
