//! Backups: what is restored is what was there, whole, or nothing is.

#![cfg(any(feature = "sqlite", feature = "postgres"))]

#[cfg(test)]
mod damage;
#[cfg(test)]
mod places;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod source;
#[cfg(test)]
#[path = "../support/server.rs"]
mod support;
