use super::{Service, not_found};
use crate::{
    commit::Commit,
    ctx::Ctx,
    deployments::{
        logic,
        model::{DeploymentId, Log, Message},
    },
    error::{Error, Result},
    id::DeviceId,
};

impl Service {
    /// Stores what a device wrote down, in place of what it sent before.
    ///
    /// # Errors
    /// `Invalid` for no lines, and for text that can't be kept, `NotFound` where the device has no record, `TooLarge`, and those of
    /// the store.
    pub async fn put_log(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        device: &DeviceId,
        messages: Vec<Message>,
    ) -> Result<()> {
        if messages.is_empty() {
            return Err(Error::invalid("messages", "no messages"));
        }
        let texts = messages.iter().flat_map(|line| [&line.timestamp, &line.level, &line.message]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(Error::invalid("messages", "U+0000 can't be kept"));
        }
        let tenant = &ctx.tenant;
        let row = self.store.device_deployment(tenant, id, device).await?;
        if !row.is_some_and(|row| row.is_listed()) {
            return Err(Error::not_found("Deployment not found"));
        }
        let attempt = || async {
            let messages = messages.clone();
            let commit = match self.store.log(tenant, id, device).await? {
                None => Commit::insert(Log::new(id, device, messages)),
                Some(was) => Commit::update(was.clone(), Log { messages, ..was }),
            };
            self.commit_log(ctx, commit.quiet("the row tells that it is there")).await
        };
        self.kernel.retry(attempt).await?;
        self.change_row(ctx, (id, device), logic::note_log).await
    }

    /// Returns what a device wrote down.
    ///
    /// # Errors
    /// `NotFound` where it sent nothing, `Forbidden`, and those of the store.
    pub async fn log(&self, ctx: &Ctx, id: &DeploymentId, device: &DeviceId) -> Result<Log> {
        self.check_reach(ctx, id, device).await?;
        self.store.log(&ctx.tenant, id, device).await?.ok_or_else(not_found)
    }

    /// Has what a device wrote down explained by the [adviser](crate::deployments::Adviser), to
    /// whom it is shown [redacted](logic::redacted).
    ///
    /// # Errors
    /// `NotFound` where it sent nothing, or nobody explains logs, `Forbidden` where the tenant does
    /// not want it, and those of the adviser and the store.
    pub async fn explain_log(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        device: &DeviceId,
    ) -> Result<String> {
        let Some(adviser) = &self.adviser else {
            return Err(Error::not_found("nobody explains logs here"));
        };
        if !adviser.is_allowed(&ctx.tenant).await? {
            return Err(Error::forbidden("the tenant has not agreed to have logs explained"));
        }
        let log = self.log(ctx, id, device).await?;
        adviser.advise(&ctx.tenant, &logic::redacted(&log.text())).await
    }
}
