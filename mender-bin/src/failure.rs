//! Why a command failed, in words for the operator.

use std::{error, fmt, io, io::ErrorKind, path::Path};

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

    /// A file or folder can't be used.
    pub(crate) fn of_file(path: &Path, error: &io::Error) -> Self {
        Self::new(mended(format!("{}: {error}", path.display()), error))
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

/// Says what the machine lacks, and what to do about it.
fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Some("let the user of this program write there, or name another place")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("make room on that disk"),
        ErrorKind::NotADirectory => Some("name a folder"),
        _ => None,
    }
}

/// Adds what to do, where the machine caused the error.
fn mended(text: String, error: &(dyn error::Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref().map(io::Error::kind);
        if let Some(advice) = kind.and_then(advice) {
            return format!("{text}: {advice}");
        }
        cause = error.source();
    }
    text
}

/// Says why in the words of whoever knows best.
fn words(error: &(dyn error::Error + 'static)) -> String {
    match error.downcast_ref() {
        // Commands name what they were about.
        Some(StoreError::Unavailable(why)) => mended(why.to_string(), &**why),
        _ => mended(error.to_string(), error),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(words(&error))
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<mender_store::BackupError> for Failure {
    fn from(error: mender_store::BackupError) -> Self {
        match error {
            mender_store::BackupError::Store(error) => error.into(),
            error => Self::new(words(&error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // The store's own words say more than the service's summary.
        let source = error::Error::source(&error);
        Self::new(source.map_or_else(|| error.to_string(), words))
    }
}
