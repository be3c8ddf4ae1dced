//! Tools for tests of a server, embedded or remote.

pub mod transcript;
