use async_trait::async_trait;

use crate::{error::Result, id::TenantId};

/// Who reads the logs of failed deployments, and says in words what went wrong: a language model,
/// or a person with a rule book. It is given to the builder; there is none of our own.
///
/// ```
/// use async_trait::async_trait;
/// use mender_core::{Mender, TenantId, deployments::Adviser, error::Result};
///
/// /// Knows one failure.
/// struct Known;
///
/// #[async_trait]
/// impl Adviser for Known {
///     async fn is_allowed(&self, _: &TenantId) -> Result<bool> {
///         Ok(true)
///     }
///
///     async fn advise(&self, _: &TenantId, log: &str) -> Result<String> {
///         let is_full = log.contains("No space left on device");
///         Ok(if is_full { "The disk is full." } else { "No idea." }.into())
///     }
/// }
///
/// let mender = Mender::in_memory().log_adviser(Known).build()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Adviser: Send + Sync + 'static {
    /// Tells whether a tenant agreed that its logs are read.
    async fn is_allowed(&self, tenant: &TenantId) -> Result<bool>;

    /// Explains a log, of which secrets and addresses were left out. Where it was asked too often,
    /// the kind of the error is `TooMany`.
    async fn advise(&self, tenant: &TenantId, log: &str) -> Result<String>;
}
