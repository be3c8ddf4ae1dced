//! The stores that transcripts are played on.

use std::fmt;

use mender::{Builder, Mender};

#[derive(Clone, Copy)]
pub enum Store {
    Memory,
}

pub const ALL: [Store; 1] = [Store::Memory];

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
        })
    }
}

impl Store {
    /// Returns a server on an empty store; `None` where the database is not here.
    pub async fn builder(self) -> Result<Option<Builder>, String> {
        match self {
            Self::Memory => Ok(Some(Mender::in_memory())),
        }
    }
}
