//! Why a command failed, in words for the operator.

use std::{error::Error as _, fmt};

use mender_core::{Error, StoreError};

use crate::settings::Wrong;

/// What is printed before the command exits.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    /// The exit code.
    pub(crate) code: u8,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// Says what was being done.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self { text: wrong.0, code: 2 }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<mender_store::BackupError> for Failure {
    fn from(error: mender_store::BackupError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.source() {
            // The store's own words say more than the service's summary.
            Some(source) => Self::new(source.to_string()),
            None => Self::new(error.to_string()),
        }
    }
}
