//! Looks whether what is counted of deployments is what there is.

use std::collections::{BTreeMap, HashSet};

use super::Service;
use crate::{
    ctx::Ctx,
    deployments::{
        logic,
        model::{CHUNK, Deployment, DeviceDeployment, Score, State, Status, Tally},
        query::DeploymentQuery,
    },
    error::{Result, StoreResult},
    id::TenantId,
};

/// How many deployments are read at a time.
const PAGE: usize = 100;

/// What the rows of a deployment add up to.
#[derive(Default)]
struct Sum {
    tally: Tally,
    /// Those that count.
    devices: HashSet<String>,
    twice: Vec<String>,
    fetching: u64,
    shares: u64,
    /// Of each part, in each round.
    scores: BTreeMap<(logic::Part, u32), Score>,
}

impl Sum {
    fn add(&mut self, deployment: &Deployment, row: &DeviceDeployment) {
        self.tally.add(row);
        let device = row.device.as_str();
        if row.is_counted() && !self.devices.insert(device.to_owned()) {
            self.twice.push(format!("device {device} counts twice"));
        }
        self.fetching += u64::from(row.fetching);
        self.shares += u64::from(row.shares);
        let phase = row.phase.and_then(|phase| usize::try_from(phase).ok());
        for (part, _) in logic::judged(deployment).filter(|(p, _)| p.is_none() || *p == phase) {
            let score = self.scores.entry((part, row.round)).or_default();
            score.failed += u64::from(row.status == Status::Failure);
            score.succeeded += u64::from(row.status == Status::Success);
        }
    }

    /// Returns what is to be shown of it.
    fn shown(&self, deployment: &Deployment) -> Tally {
        let mut tally = self.tally.clone();
        if !deployment.is_finished() {
            // Of dynamic ones the places that are free; none where as many join as ask.
            let silent = deployment.max_devices.saturating_sub(tally.devices);
            *tally.counts.entry(Status::Pending).or_default() += silent;
        }
        tally.counts.retain(|_, count| *count > 0);
        tally
    }
}

impl Service {
    /// Returns what of a tenant's deployments does not fit together.
    pub(crate) async fn flaws(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let query = DeploymentQuery { ascending: true, ..DeploymentQuery::default() };
        let (mut flaws, mut shares, mut skip) = (Vec::new(), 0, 0);
        loop {
            let deployments = self.store.deployments(tenant, &query, skip, PAGE).await?;
            skip += deployments.len() as u64;
            for deployment in &deployments {
                let (found, share) = self.flaws_of(tenant, deployment).await?;
                flaws.extend(found);
                shares += share;
            }
            if deployments.len() < PAGE {
                break;
            }
        }
        let used = self.used(tenant, logic::TENANT_SLOTS).await?;
        if used != counted(shares) {
            flaws.push(format!("deployments: {shares} devices fetch, {used} are counted"));
        }
        Ok(flaws)
    }

    /// Returns what of a deployment does not fit together, and how many devices have a place
    /// among those of the tenant that fetch.
    pub(super) async fn flaws_of(
        &self,
        tenant: &TenantId,
        deployment: &Deployment,
    ) -> Result<(Vec<String>, u64)> {
        let mut sum = Sum::default();
        let mut after: Option<String> = None;
        loop {
            let rows = self.store.rows(tenant, &deployment.id, after.as_deref(), CHUNK).await?;
            rows.iter().for_each(|row| sum.add(deployment, row));
            let Some(last) = rows.into_iter().next_back() else { break };
            after = Some(last.key);
        }
        let mut flaws = std::mem::take(&mut sum.twice);
        let Tally { devices, phases, .. } = &sum.tally;
        if deployment.max_devices > 0 && *devices > deployment.max_devices {
            flaws.push(format!("{devices} devices of at most {}", deployment.max_devices));
        }
        for (number, phase) in (0_u32..).zip(&deployment.rollout.phases) {
            let begun = phases.get(&number).copied().unwrap_or_default();
            if let Some(size) = phase.devices.filter(|size| begun > *size) {
                flaws.push(format!("{begun} devices of at most {size} began in phase {number}"));
            }
        }
        // The rows of one that is closing are yet to be closed, and shown as though they were.
        if deployment.state != State::Closing {
            let ctx = Ctx::system(tenant.clone());
            let told = self.statistics(&ctx, std::slice::from_ref(&deployment.id)).await?.pop();
            let mut told = told.map(|(_, tally)| tally).unwrap_or_default();
            told.counts.retain(|_, count| *count > 0);
            let shown = sum.shown(deployment);
            if told != shown {
                flaws.push(format!("its statistics are {told:?}, its records {shown:?}"));
            }
        }
        let mut counters = Vec::new();
        if let Some(parallel) = deployment.rollout.budget.and_then(|budget| budget.parallel) {
            if sum.fetching > parallel {
                flaws.push(format!("{} devices of at most {parallel} fetch", sum.fetching));
            }
            counters.push((logic::slots_quota(&deployment.id), sum.fetching));
        }
        for (part, _) in logic::judged(deployment) {
            for round in 0..=deployment.conduct.round {
                let (failed, succeeded) = logic::score_quotas(&deployment.id, part, round);
                let score = sum.scores.remove(&(part, round)).unwrap_or_default();
                counters.extend([(failed, score.failed), (succeeded, score.succeeded)]);
            }
        }
        for (name, there) in counters {
            let used = self.used(tenant, &name).await?;
            if used != counted(there) {
                flaws.push(format!("{name} is {used}, and there are {there}"));
            }
        }
        let name = |flaw| format!("deployment {}: {flaw}", deployment.id);
        Ok((flaws.into_iter().map(name).collect(), sum.shares))
    }

    async fn used(&self, tenant: &TenantId, quota: &str) -> StoreResult<i64> {
        Ok(self.quotas.quota(tenant, quota).await?.used)
    }
}

fn counted(there: u64) -> i64 {
    i64::try_from(there).unwrap_or(i64::MAX)
}
