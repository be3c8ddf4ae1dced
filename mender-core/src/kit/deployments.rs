use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Range,
};

use async_trait::async_trait;

use crate::{
    commit::{Aggregate, Stamped},
    deployments::{
        Deployment, DeploymentId, DeploymentQuery, DeploymentSettings, DeviceDeployment, Late, Log,
        Progress, Stage, Status, Store, Tally, Targets, words,
    },
    env::Time,
    error::{StoreError, StoreResult},
    id::{DeviceId, TenantId},
    kit::{DocId, DocStore, Expect, Kit, Plan, Put, Write, doc_of, field},
};

/// How many documents of one kind are looked at in one go.
const CHUNK: usize = 500;

fn rows(tenant: &TenantId, name: &str, value: &str) -> Plan {
    Plan::new(DeviceDeployment::KIND, tenant).any([field(name, value)])
}

/// Narrows rows down to some statuses; no statuses are all of them.
fn of_statuses(plan: Plan, statuses: &[Status]) -> Plan {
    if statuses.is_empty() {
        return plan;
    }
    plan.any(statuses.iter().map(|status| field("status", status.as_str())))
}

fn sorted(mut plan: Plan, sorts: &[(&str, bool)]) -> Plan {
    plan.sorts = sorts.iter().map(|(name, descending)| ((*name).to_owned(), *descending)).collect();
    plan
}

/// What an index can tell of a query; it may find more than is meant.
fn plan_of(tenant: &TenantId, query: &DeploymentQuery) -> Plan {
    let mut plan = Plan::new(Deployment::KIND, tenant);
    plan.ids = query.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
    if let Some(progress) = query.progress {
        let is_finished = progress == Progress::Finished;
        plan = plan.any([field("life", if is_finished { "finished" } else { "open" })]);
    }
    if let Some(kind) = query.kind {
        plan = plan.any([field("type", kind)]);
    }
    if let Some(names) = &query.names {
        plan = plan.any(names.iter().map(|name| field("name", name)));
    }
    if let Some(groups) = &query.groups {
        plan = plan.any(groups.iter().map(|group| field("group", group)));
    }
    for word in query.phrase.iter().flat_map(|phrase| words(phrase)) {
        plan = plan.any([field("word", &word)]);
    }
    plan.sorts = vec![("created".to_owned(), !query.ascending)];
    plan
}

/// Tells whether what the index finds is what is meant.
fn is_exact(query: &DeploymentQuery) -> bool {
    let by_progress = matches!(query.progress, None | Some(Progress::Finished));
    by_progress
        && query.phrase.is_none()
        && query.device.is_none()
        && query.from.is_none()
        && query.to.is_none()
}

impl<D: DocStore> Kit<D> {
    /// Returns all deployments of a query, in order.
    async fn fitting_deployments(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
    ) -> StoreResult<Vec<Deployment>> {
        let mut found: Vec<Deployment> = self.load_all(&plan_of(tenant, query)).await?;
        found.retain(|deployment| query.fits(deployment));
        if let Some(device) = &query.device {
            let meant: Vec<DeviceDeployment> =
                self.load_all(&rows(tenant, "target", device.as_str())).await?;
            let meant: HashSet<DeploymentId> =
                meant.into_iter().map(|row| row.deployment).collect();
            found.retain(|deployment| {
                deployment.name == device.as_str() || meant.contains(&deployment.id)
            });
        }
        let begun = match query.progress {
            Some(Progress::Scheduled | Progress::Pending) => false,
            Some(Progress::InProgress) => true,
            _ => return Ok(found),
        };
        let mut kept = Vec::new();
        for deployment in found {
            let plan = rows(tenant, "begun", deployment.id.as_str()).limit(1);
            if self.docs().scan(&plan).await?.is_empty() != begun {
                kept.push(deployment);
            }
        }
        Ok(kept)
    }
}

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn deployment(
        &self,
        tenant: &TenantId,
        id: &DeploymentId,
    ) -> StoreResult<Option<Deployment>> {
        self.load(tenant, id.as_str()).await
    }

    async fn deployments_by_id(
        &self,
        tenant: &TenantId,
        ids: &[DeploymentId],
    ) -> StoreResult<Vec<Deployment>> {
        let mut plan = Plan::new(Deployment::KIND, tenant);
        plan.ids = Some(ids.iter().map(ToString::to_string).collect());
        self.load_all(&plan).await
    }

    async fn deployments(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Deployment>> {
        if is_exact(query) {
            let mut plan = plan_of(tenant, query).limit(limit);
            plan.skip = skip;
            return self.load_all(&plan).await;
        }
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let found = self.fitting_deployments(tenant, query).await?;
        Ok(found.into_iter().skip(skip).take(limit).collect())
    }

    async fn count_deployments(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
    ) -> StoreResult<u64> {
        if is_exact(query) {
            return self.docs().count(&plan_of(tenant, query)).await;
        }
        Ok(self.fitting_deployments(tenant, query).await?.len() as u64)
    }

    async fn newest_deployment(&self, tenant: &TenantId) -> StoreResult<Option<Time>> {
        let plan = sorted(Plan::new(Deployment::KIND, tenant).limit(1), &[("created", true)]);
        let newest: Option<Deployment> = self.load_all(&plan).await?.pop();
        Ok(newest.map(|deployment| deployment.created))
    }

    async fn dynamic_deployments(&self, tenant: &TenantId) -> StoreResult<Vec<Deployment>> {
        self.load_all(&Plan::new(Deployment::KIND, tenant).any([field("dynamic", "open")])).await
    }

    async fn open_deployments(
        &self,
        tenant: &TenantId,
        releases: &[String],
    ) -> StoreResult<Vec<DeploymentId>> {
        let plan = Plan::new(Deployment::KIND, tenant);
        let plan = plan.any(releases.iter().map(|name| field("release", name)));
        let open: Vec<Deployment> = self.load_all(&plan).await?;
        Ok(open.into_iter().map(|deployment| deployment.id).collect())
    }

    async fn last_end(&self, tenant: &TenantId, release: &str) -> StoreResult<Option<Time>> {
        let plan = Plan::new(Deployment::KIND, tenant).any([field("ended-release", release)]);
        let plan = sorted(plan.limit(1), &[("finished", true)]);
        let last: Option<Deployment> = self.load_all(&plan).await?.pop();
        Ok(last.and_then(|deployment| deployment.finished))
    }

    async fn commit_deployment(
        &self,
        tenant: &TenantId,
        commit: Stamped<Deployment>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn commit_targets(&self, tenant: &TenantId, commit: Stamped<Targets>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn targets(&self, tenant: &TenantId, keys: &[String]) -> StoreResult<Vec<Targets>> {
        let mut plan = Plan::new(Targets::KIND, tenant);
        plan.ids = Some(keys.to_vec());
        self.load_all(&plan).await
    }

    async fn targets_of(
        &self,
        tenant: &TenantId,
        ticket: &str,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<Targets>> {
        let mut plan = Plan::new(Targets::KIND, tenant).any([field("ticket", ticket)]).limit(limit);
        plan.after = after.map(str::to_owned);
        self.load_all(&plan).await
    }

    async fn fill(&self, tenant: &TenantId, rows: &[DeviceDeployment]) -> StoreResult<()> {
        for row in rows {
            let write = Write {
                expect: Expect::Absent,
                put: Put::Doc(doc_of(tenant, row, Vec::new())?),
                events: Vec::new(),
                lease_until: Time(0),
                at: row.created,
            };
            match self.put::<DeviceDeployment>(&write).await {
                Err(StoreError::Conflict | StoreError::Duplicate { .. }) => {}
                answer => answer?,
            }
        }
        Ok(())
    }

    async fn device_deployment(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> StoreResult<Option<DeviceDeployment>> {
        let plan = rows(tenant, "pair", &format!("{deployment}/{device}")).limit(1);
        Ok(self.load_all(&sorted(plan, &[("attempt", true)])).await?.pop())
    }

    async fn current(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        self.load_all(&rows(tenant, "current", device.as_str())).await
    }

    async fn newest_ended(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> StoreResult<Option<Time>> {
        let ended: Vec<DeviceDeployment> =
            self.load_all(&rows(tenant, "history", device.as_str())).await?;
        let ended = ended.into_iter().filter(|row| row.is_listed() && row.status.is_final());
        Ok(ended.map(|row| row.created).max())
    }

    async fn history(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        statuses: &[Status],
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let plan = of_statuses(rows(tenant, "history", device.as_str()), statuses).limit(limit);
        let mut plan = sorted(plan, &[("created", true), ("status", true), ("attempt", true)]);
        plan.skip = skip;
        self.load_all(&plan).await
    }

    async fn count_history(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        statuses: &[Status],
    ) -> StoreResult<u64> {
        let plan = rows(tenant, "history", device.as_str());
        self.docs().count(&of_statuses(plan, statuses)).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        statuses: &[Status],
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let plan = of_statuses(rows(tenant, "listed", deployment.as_str()), statuses).limit(limit);
        let mut plan = sorted(plan, &[("status", false), ("device", false)]);
        plan.skip = skip;
        self.load_all(&plan).await
    }

    async fn count_listed(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        statuses: &[Status],
    ) -> StoreResult<u64> {
        let plan = rows(tenant, "listed", deployment.as_str());
        self.docs().count(&of_statuses(plan, statuses)).await
    }

    async fn records(
        &self,
        tenant: &TenantId,
        ids: &[String],
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let plan = Plan::new(DeviceDeployment::KIND, tenant);
        self.load_all(&plan.any(ids.iter().map(|id| field("record", id)))).await
    }

    async fn last_ended(
        &self,
        tenant: &TenantId,
        devices: &[DeviceId],
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let plan = Plan::new(DeviceDeployment::KIND, tenant);
        let plan = plan.any(devices.iter().map(|device| field("ended", device.as_str())));
        let mut last: BTreeMap<DeviceId, DeviceDeployment> = BTreeMap::new();
        for row in self.load_all::<DeviceDeployment>(&plan).await? {
            let rank = |row: &DeviceDeployment| {
                (row.ended.map(|ended| ended.at), row.created, row.id().to_owned())
            };
            let known = last.get(&row.device).map(rank);
            if known < Some(rank(&row)) {
                last.insert(row.device.clone(), row);
            }
        }
        Ok(last.into_values().collect())
    }

    async fn tallies(
        &self,
        tenant: &TenantId,
        deployments: &[DeploymentId],
    ) -> StoreResult<BTreeMap<DeploymentId, Tally>> {
        let mut tallies: BTreeMap<DeploymentId, Tally> = BTreeMap::new();
        for id in deployments.iter().collect::<BTreeSet<_>>() {
            let mut plan = rows(tenant, "row", id.as_str()).limit(CHUNK);
            loop {
                let found: Vec<DeviceDeployment> = self.load_all(&plan).await?;
                let Some(last) = found.last() else { break };
                plan.after = Some(last.id().to_owned());
                for row in found.iter().filter(|row| row.stage == Stage::Record) {
                    tallies.entry(id.clone()).or_default().add(row);
                }
            }
        }
        Ok(tallies)
    }

    async fn late(
        &self,
        tenant: &TenantId,
        deployments: &[DeploymentId],
    ) -> StoreResult<BTreeMap<DeploymentId, Late>> {
        let plan = Plan::new(DeviceDeployment::KIND, tenant);
        let mut plan =
            plan.any(deployments.iter().map(|id| field("late", id.as_str()))).limit(CHUNK);
        let mut late: BTreeMap<DeploymentId, Late> = BTreeMap::new();
        loop {
            let found: Vec<DeviceDeployment> = self.load_all(&plan).await?;
            let Some(last) = found.last() else { return Ok(late) };
            plan.after = Some(last.id().to_owned());
            for row in found {
                let Some(was) = row.late else { continue };
                let late = late.entry(row.deployment).or_default();
                *late.entry((was, row.status)).or_default() += 1;
            }
        }
    }

    async fn begun(
        &self,
        tenant: &TenantId,
        deployments: &[DeploymentId],
    ) -> StoreResult<Vec<DeploymentId>> {
        let mut begun = Vec::new();
        for Deployment { id, .. } in self.deployments_by_id(tenant, deployments).await? {
            let plan = rows(tenant, "begun", id.as_str()).limit(1);
            if !self.docs().scan(&plan).await?.is_empty() {
                begun.push(id);
            }
        }
        Ok(begun)
    }

    async fn rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let mut plan = rows(tenant, "row", deployment.as_str()).limit(limit);
        plan.after = after.map(str::to_owned);
        self.load_all(&plan).await
    }

    async fn open_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let mut plan = rows(tenant, "open", deployment.as_str()).limit(limit);
        plan.after = after.map(str::to_owned);
        self.load_all(&plan).await
    }

    async fn silent_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        heard: Range<Time>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let order = [("heard", false), ("device", false), ("attempt", false)];
        let mut plan = sorted(rows(tenant, "watched", deployment.as_str()), &order);
        if heard.start == Time(i64::MIN) {
            // Nobody was heard of before: the first ones are meant.
            plan = plan.limit(limit);
        }
        let mut found: Vec<DeviceDeployment> = self.load_all(&plan).await?;
        found.retain(|row| row.heard.is_some_and(|at| heard.contains(&at)));
        found.truncate(limit);
        Ok(found)
    }

    async fn close_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        limit: usize,
    ) -> StoreResult<usize> {
        let mut plan = rows(tenant, "open", deployment.as_str()).limit(CHUNK);
        let mut closed = 0;
        loop {
            let found: Vec<DeviceDeployment> = self.load_all(&plan).await?;
            let Some(last) = found.last() else { return Ok(closed) };
            plan.after = Some(last.id().to_owned());
            for row in found.into_iter().filter(|row| !row.has_place()) {
                if closed == limit {
                    return Ok(closed);
                }
                let (was, mut row) = (row.version, row.closed());
                row.version = was.next();
                let write = Write {
                    expect: Expect::At(was),
                    put: Put::Doc(doc_of(tenant, &row, Vec::new())?),
                    events: Vec::new(),
                    lease_until: Time(0),
                    at: row.created,
                };
                match self.put::<DeviceDeployment>(&write).await {
                    // It is open still, or not any more: whoever calls looks again.
                    Err(StoreError::Conflict) => {}
                    answer => answer?,
                }
                closed += 1;
            }
        }
    }

    async fn commit_device_deployment(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeviceDeployment>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn log(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> StoreResult<Option<Log>> {
        self.load(tenant, &Log::key(deployment, device)).await
    }

    async fn commit_log(&self, tenant: &TenantId, commit: Stamped<Log>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn erase_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        limit: usize,
    ) -> StoreResult<usize> {
        let found: Vec<DeviceDeployment> =
            self.load_all(&rows(tenant, "row", deployment.as_str()).limit(limit)).await?;
        for row in &found {
            let log = Log::key(deployment, &row.device);
            for (kind, id) in [(Log::KIND, log), (DeviceDeployment::KIND, row.id().to_owned())] {
                let id = DocId { kind, tenant: tenant.clone(), id };
                let Some(doc) = self.docs().get(&id).await? else { continue };
                let write = Write {
                    expect: Expect::At(doc.version),
                    put: Put::Nothing { id, note: None },
                    events: Vec::new(),
                    lease_until: Time(0),
                    at: row.created,
                };
                self.docs().write(&write).await?;
            }
        }
        Ok(found.len())
    }

    async fn deployment_settings(
        &self,
        tenant: &TenantId,
    ) -> StoreResult<Option<DeploymentSettings>> {
        self.load(tenant, DeploymentSettings::ID).await
    }

    async fn commit_deployment_settings(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeploymentSettings>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }
}
