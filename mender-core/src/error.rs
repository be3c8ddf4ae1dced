//! What can go wrong: [`StoreError`] at the ports, [`Error`] in services.

use std::{borrow::Cow, error, fmt, time::Duration};

/// The cause below an error; for logs only, never for clients.
pub type Source = Box<dyn error::Error + Send + Sync>;

/// The answer of a port.
pub type StoreResult<T> = std::result::Result<T, StoreError>;

/// The answer of a service.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store did not do what it was asked. Nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The aggregate is not at the expected version any more: load it and decide again.
    Conflict,
    /// Another aggregate has the same value in this unique field.
    Duplicate {
        /// The field.
        field: &'static str,
    },
    /// The quota is used up.
    LimitReached {
        /// The name of the quota.
        quota: String,
    },
    /// The stored form would be larger than the kind allows.
    TooLarge,
    /// The store can't be reached, is full, or is too busy. Trying later may help.
    Unavailable(Source),
    /// What is stored can't be understood.
    Corrupt {
        /// What was read: table or collection, and id.
        what: String,
        /// What is wrong with it.
        source: Source,
    },
}

impl StoreError {
    /// The store can't be reached, for this reason.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The stored thing can't be understood, for this reason.
    pub fn corrupt(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Corrupt { what: what.into(), source: source.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("changed by someone else meanwhile"),
            Self::Duplicate { field } => write!(f, "another one has the same {field}"),
            Self::LimitReached { quota } => write!(f, "quota {quota} is used up"),
            Self::TooLarge => f.write_str("larger than allowed"),
            Self::Unavailable(source) => write!(f, "the store is unavailable: {source}"),
            Self::Corrupt { what, source } => write!(f, "{what} can't be read: {source}"),
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unavailable(source) | Self::Corrupt { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// The kinds of refusal and failure that callers tell apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// What was named does not exist.
    NotFound,
    /// The input breaks a rule; the field names which one.
    Invalid {
        /// The field that is wrong.
        field: &'static str,
    },
    /// The state does not allow it, or it exists already.
    Conflict,
    /// The caller is known, and may not.
    Forbidden,
    /// The caller is not known, or not known any more.
    Unauthenticated,
    /// A quota is used up.
    LimitReached,
    /// Too many requests for now.
    TooMany {
        /// After how long it may be tried again.
        wait: Duration,
    },
    /// What would be stored is larger than allowed.
    TooLarge,
    /// Something that is needed can't be reached; trying later may help.
    Unavailable,
    /// A bug, or data that can't be read.
    Internal,
}

/// Why a use case was refused or failed.
#[derive(Debug)]
pub struct Error {
    /// What kind of error it is.
    pub kind: Kind,
    /// What it is about, in lower case and without a full stop.
    pub what: Cow<'static, str>,
    source: Option<Source>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// The named thing does not exist.
    pub fn not_found(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    /// The field breaks a rule.
    pub fn invalid(field: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid { field }, what)
    }

    /// The state does not allow it.
    pub fn conflict(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, what)
    }

    /// The caller may not.
    pub fn forbidden(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, what)
    }

    /// The caller is not known.
    pub fn unauthenticated(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, what)
    }

    /// Something broke.
    pub fn internal(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// Tells whether the decision was made on a state that is out of date: load and decide again.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let source = self.source.as_deref().and_then(|e| e.downcast_ref::<StoreError>());
        matches!(source, Some(StoreError::Conflict))
    }

    /// Tells whether the input is to blame: the same again would be refused again.
    #[must_use]
    pub fn is_of_input(&self) -> bool {
        !matches!(self.kind, Kind::Unavailable | Kind::Internal | Kind::TooMany { .. })
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (kind, what) = match &error {
            // A conflict that outlived its retries: the aggregate is too busy.
            StoreError::Conflict => (Kind::Unavailable, "too many changes at once"),
            StoreError::Unavailable(_) => (Kind::Unavailable, "the store is unavailable"),
            StoreError::Duplicate { field } => (Kind::Conflict, *field),
            StoreError::LimitReached { .. } => (Kind::LimitReached, "limit reached"),
            StoreError::TooLarge => (Kind::TooLarge, "larger than allowed"),
            StoreError::Corrupt { .. } => (Kind::Internal, "stored data can't be read"),
        };
        Self::new(kind, what).because(error)
    }
}
