//! Fleeting messages between the nodes of a server. Nothing depends on their arrival.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use crate::{
    error::{StoreError, StoreResult},
    id::TenantId,
};

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The tenant.
    pub tenant: TenantId,
    /// The subject: words joined by dots.
    pub subject: String,
    /// The content.
    pub payload: Bytes,
}

/// Carries messages to whoever listens at the moment.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Sends a message to all nodes, this one included. Never waits for one that listens: a
    /// message that can't leave now is refused. Those of one publisher arrive in their order.
    async fn publish(&self, message: Message) -> StoreResult<()>;

    /// Listens to the messages of a tenant with exactly this subject, from now on.
    async fn listen(&self, tenant: &TenantId, subject: &str) -> StoreResult<Box<dyn Listener>>;

    /// Checks that messages can be sent and heard, for operators: as nothing depends on their
    /// arrival, nothing else needs to know.
    async fn check_bus(&self) -> StoreResult<()> {
        Ok(())
    }
}

/// Hears the messages of one subject.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next message; `None`: some may be lost, listen anew.
    async fn next(&mut self) -> Option<Message>;
}

/// The bus within one process. Clones share it.
#[derive(Clone, Debug)]
pub struct LocalBus {
    sender: broadcast::Sender<Message>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self { sender: broadcast::channel(1024).0 }
    }
}

struct LocalListener {
    receiver: broadcast::Receiver<Message>,
    tenant: TenantId,
    subject: String,
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, message: Message) -> StoreResult<()> {
        // Nobody listening is no error.
        self.sender.send(message).map(|_| ()).or(Ok::<_, StoreError>(()))
    }

    async fn listen(&self, tenant: &TenantId, subject: &str) -> StoreResult<Box<dyn Listener>> {
        Ok(Box::new(LocalListener {
            receiver: self.sender.subscribe(),
            tenant: tenant.clone(),
            subject: subject.to_owned(),
        }))
    }
}

#[async_trait]
impl Listener for LocalListener {
    async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.receiver.recv().await.ok()?;
            if message.tenant == self.tenant && message.subject == self.subject {
                return Some(message);
            }
        }
    }
}
