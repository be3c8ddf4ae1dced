//! The way to the server: options, bounds on time and concurrency, and what failures mean.

use std::{future::IntoFuture, time::Duration};

use mender_core::{StoreError, StoreResult, error::Source};
use mongodb::{
    Client, Collection, Database,
    bson::Document,
    error::{Error, ErrorKind, WriteFailure},
    options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern},
};
use tokio::{sync::Semaphore, time::timeout};

/// How long an operation waits for a server, and for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a server may take for an operation. The driver itself knows no such limit.
const ANSWER: Duration = Duration::from_secs(20);

/// How long a majority may take to confirm a write.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// The connections, where the URL does not say.
const POOL: u32 = 64;

const DUPLICATE: i32 = 11000;

/// A document, or what is pushed to it, is larger than the server allows.
const TOO_LARGE: [i32; 3] = [10334, 17419, 17420];

/// The server stopped, or is not the primary any more: whether it applied the write is open.
const INTERRUPTED: [i32; 9] = [64, 91, 189, 262, 10107, 11600, 11602, 13435, 13436];

/// Why an operation did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The document is not as expected.
    Conflict,
    /// A unique index has the value already.
    Duplicate,
    /// More than the server allows in one document.
    TooLarge,
    /// Whether it was applied is not known.
    Lost(Source),
    /// It was not applied.
    Failed(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict => Self::Conflict,
            Failure::Duplicate => Self::Duplicate { field: "unique" },
            Failure::TooLarge => Self::TooLarge,
            Failure::Lost(source) => Self::Unavailable(source),
            Failure::Failed(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &*error.kind {
            ErrorKind::Command(e) => e.code,
            ErrorKind::Write(WriteFailure::WriteError(e)) => e.code,
            _ => 0,
        };
        match &*error.kind {
            _ if code == DUPLICATE => Self::Duplicate,
            _ if TOO_LARGE.contains(&code) => Self::TooLarge,
            _ if INTERRUPTED.contains(&code) => Self::Lost(error.into()),
            ErrorKind::Write(WriteFailure::WriteConcernError(_))
            | ErrorKind::InvalidResponse { .. } => Self::Lost(error.into()),
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => {
                Self::Lost(format!("the connection to MongoDB was lost: {error}").into())
            }
            ErrorKind::ServerSelection { .. } => {
                Self::Failed(StoreError::unavailable(format!("no MongoDB server answers: {error}")))
            }
            _ => Self::Failed(StoreError::unavailable(error)),
        }
    }
}

/// A database, with a bound on the operations at a time.
#[derive(Debug)]
pub(super) struct Link {
    db: Database,
    turns: Semaphore,
    size: u32,
}

impl Link {
    /// Connects to the database that the URL names.
    pub(super) async fn open(url: &str) -> StoreResult<Self> {
        let mut options = ClientOptions::parse(url).await.map_err(StoreError::unavailable)?;
        let concern = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(CONFIRMATION)
            .build();
        options.write_concern = Some(concern);
        // Invariant: a decision rests on the newest state, so only the primary is read.
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        // The driver's own repetition of writes needs sessions.
        options.retry_writes = Some(false);
        options.server_selection_timeout.get_or_insert(PATIENCE);
        options.connect_timeout.get_or_insert(PATIENCE);
        options.app_name.get_or_insert_with(|| "mender".to_owned());
        let size = *options.max_pool_size.get_or_insert(POOL);
        // 0 stands for "no bound".
        let turns = if size == 0 { 1024 } else { size };
        let client = Client::with_options(options).map_err(StoreError::unavailable)?;
        let db = client.default_database().ok_or_else(|| {
            StoreError::unavailable("the URL names no database: mongodb://host/database")
        })?;
        Ok(Self { db, turns: Semaphore::new(turns as usize), size: turns })
    }

    /// Returns the collection of a kind.
    pub(super) fn kind(&self, kind: &str) -> Collection<Document> {
        self.db.collection(kind)
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &Database {
        &self.db
    }

    /// Runs an operation when its turn comes.
    pub(super) async fn run<T, I>(&self, operation: I) -> Result<T, Failure>
    where
        I: IntoFuture<Output = Result<T, Error>>,
    {
        let Ok(Ok(_turn)) = timeout(PATIENCE, self.turns.acquire()).await else {
            return Err(Failure::Failed(StoreError::unavailable(format!(
                "all {} connections to MongoDB are busy",
                self.size
            ))));
        };
        match timeout(ANSWER, operation.into_future()).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::Lost(
                format!("MongoDB did not answer within {} s", ANSWER.as_secs()).into(),
            )),
        }
    }
}
