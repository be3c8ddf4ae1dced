//! What came of a deployment is counted once when it has ended: from then on only what devices
//! report late is counted anew.

use std::{slice::from_ref, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;

use super::{Service, fill::subject};
use crate::{
    ctx::Ctx,
    deployments::{
        logic,
        model::{DeploymentId, State},
    },
    error::{Error, Result},
    jobs::{Job, NewJob, Progress, Worker},
    lifecycle::LONGEST_REQUEST,
};

const COUNT: &str = "deployments.count";

/// When it is looked again whether the rows of a deployment are closed.
const PERIOD: Duration = Duration::from_secs(60);

impl Service {
    /// Has a deployment counted that has ended, when no request is under way any more that knew
    /// it as open.
    pub(crate) async fn begin_count(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        let job = NewJob {
            kind: COUNT.into(),
            key: format!("{}/{id}", ctx.tenant),
            lane: String::new(),
            due_at: self.now() + LONGEST_REQUEST,
            payload: json!({ "tenant": ctx.tenant, "id": id }),
        };
        Ok(self.kernel.jobs.put_jobs(from_ref(&job)).await?)
    }

    /// Counts a deployment that has ended. Tells whether it has to be looked at again.
    async fn count(&self, ctx: &Ctx, id: &DeploymentId) -> Result<bool> {
        let deployment = self.store.deployment(&ctx.tenant, id).await?;
        let Some(deployment) = deployment else { return Ok(false) };
        match deployment.state {
            State::Filling | State::Open => return Ok(false),
            // Long after its end: whoever ended it may have been cut off before this.
            State::Closing => return self.walk(ctx, id).await.map(|()| true),
            State::Closed if deployment.tally.is_some() => return Ok(false),
            State::Closed => {}
        }
        // What devices report meanwhile changes nothing of it.
        let tally = self.store.tallies(&ctx.tenant, from_ref(id)).await?.remove(id);
        let tally = tally.unwrap_or_default().at_end();
        self.change(ctx, id, |was| Ok(logic::count(was, tally.clone()))).await?;
        Ok(false)
    }
}

/// Counts deployments that have ended.
pub(crate) struct Count(pub(crate) Arc<Service>);

#[async_trait]
impl Worker for Count {
    fn kind(&self) -> &str {
        COUNT
    }

    async fn run(&self, job: &Job) -> Progress {
        let Some((ctx, id)) = subject(job) else {
            return Progress::Dead(Error::internal("no deployment named"));
        };
        match self.0.count(&ctx, &id).await {
            Ok(true) => Progress::Again(PERIOD),
            Ok(false) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}
