//! Mail to users.

use async_trait::async_trait;

use crate::error::{StoreError, StoreResult};

/// A message to one address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// The address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
}

/// Sends mail.
#[async_trait]
pub trait Mail: Send + Sync + 'static {
    /// Hands a letter to the mail server.
    async fn post(&self, letter: Letter) -> StoreResult<()>;
}

/// Sends nothing: the default until an adapter is given.
#[derive(Debug, Default)]
pub struct NoMail;

#[async_trait]
impl Mail for NoMail {
    async fn post(&self, _: Letter) -> StoreResult<()> {
        Err(StoreError::unavailable("mail is not configured"))
    }
}
