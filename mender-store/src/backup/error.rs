use std::{error, fmt, io, path::Path};

use mender_core::StoreError;

/// Why there is no backup, or why nothing was restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file is something else.
    NoBackup,
    /// The file is not as it was written.
    Damaged(String),
    /// A newer program wrote it.
    Newer(String),
    /// There is such a file already.
    Exists(String),
    /// What is there would be overwritten, or mixed with what is restored.
    Occupied(String),
    /// A file can't be read or written.
    File(String, io::Error),
    /// The database or the place for blobs failed.
    Store(StoreError),
}

impl BackupError {
    /// The file can't be read or written.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| Self::File(path.clone(), error)
    }

    /// The file can't be made under its name.
    pub(super) fn new_file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let failed = Self::file(path);
        let path = path.display().to_string();
        move |error| match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(path.clone()),
            _ => failed(error),
        }
    }

    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBackup => f.write_str("it is no backup of a Mender server"),
            Self::Damaged(why) => write!(
                f,
                "it is damaged or incomplete ({why}); nothing was restored: use another copy"
            ),
            Self::Newer(what) => write!(f, "a newer program wrote it ({what}): use that one"),
            Self::Exists(path) => write!(f, "{path} exists: name another file"),
            Self::Occupied(what) => write!(f, "{what}: a backup is restored into an empty place"),
            Self::File(path, error) => write!(f, "{path}: {error}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl error::Error for BackupError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
