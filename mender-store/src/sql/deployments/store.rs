use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use async_trait::async_trait;
use mender_core::{
    DeviceId, Stamped, StoreResult, TenantId, Time,
    deployments::{
        Deployment, DeploymentId, DeploymentQuery, DeploymentSettings, DeviceDeployment, Late, Log,
        Status, Store, Tally, Targets,
    },
};

use super::{
    devices,
    draft::{self, codes, storable},
    reads, rows,
    write::{self, release_id},
};
use crate::{
    SqlStore,
    sql::{
        bodies::{DEPLOYMENT_SETTINGS, LOGS},
        facade::Stmt,
        value::{Row, Val},
    },
    vals,
};

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The place of a row in the order of walks, by its id. No device and no attempt come before
/// `("", 0)`.
fn place<'a>(deployment: &DeploymentId, id: &'a str) -> Option<(&'a str, i64)> {
    let rest = id.strip_prefix(deployment.as_str())?.strip_prefix('/')?;
    let (device, attempt) = rest.rsplit_once('/')?;
    Some((device, attempt.parse().ok()?))
}

/// The values of a step of a walk.
fn walk(
    tenant: &TenantId,
    deployment: &DeploymentId,
    after: Option<&str>,
    limit: usize,
) -> Vec<Val> {
    let (device, attempt) = after.and_then(|after| place(deployment, after)).unwrap_or_default();
    vals![tenant, deployment.as_str(), device, attempt, limit]
}

impl SqlStore {
    async fn deployment_rows(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Vec<Deployment>> {
        self.sql.read(stmt, vals).await?.iter().map(rows::deployment).collect()
    }

    async fn device_rows(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Vec<DeviceDeployment>> {
        self.sql.read(stmt, vals).await?.iter().map(rows::device).collect()
    }

    async fn time(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Option<Time>> {
        self.sql.read_one(stmt, vals).await?.map(|row| row.time(0)).transpose()
    }

    /// Returns in order which deployments have the phrase of the query in a name.
    async fn with_phrase(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
    ) -> StoreResult<Vec<String>> {
        let (stmt, vals) = draft::names(tenant, query);
        let mut ids = Vec::new();
        for row in self.sql.read(stmt, vals).await? {
            if query.fits_names([row.text("name")?, row.text("artifact_name")?]) {
                ids.push(row.text("id")?.to_owned());
            }
        }
        Ok(ids)
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn deployment(
        &self,
        tenant: &TenantId,
        id: &DeploymentId,
    ) -> StoreResult<Option<Deployment>> {
        let row = self.sql.read_one(reads::BY_ID, vals![tenant, id.as_str()]).await?;
        row.as_ref().map(rows::deployment).transpose()
    }

    async fn deployments_by_id(
        &self,
        tenant: &TenantId,
        ids: &[DeploymentId],
    ) -> StoreResult<Vec<Deployment>> {
        self.deployment_rows(reads::BY_IDS, vals![tenant, texts(ids)]).await
    }

    async fn deployments(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Deployment>> {
        if query.phrase.is_none() {
            let (stmt, vals) = draft::deployments(tenant, query, (skip, limit));
            return self.deployment_rows(stmt, vals).await;
        }
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let ids = self.with_phrase(tenant, query).await?;
        let page: Vec<String> = ids.into_iter().skip(skip).take(limit).collect();
        let found = self.deployment_rows(reads::BY_IDS, vals![tenant, page.clone()]).await?;
        let mut found: HashMap<String, Deployment> =
            found.into_iter().map(|found| (found.id.to_string(), found)).collect();
        Ok(page.iter().filter_map(|id| found.remove(id)).collect())
    }

    async fn count_deployments(
        &self,
        tenant: &TenantId,
        query: &DeploymentQuery,
    ) -> StoreResult<u64> {
        if query.phrase.is_some() {
            return Ok(self.with_phrase(tenant, query).await?.len() as u64);
        }
        self.count(draft::count_deployments(tenant, query)).await
    }

    async fn newest_deployment(&self, tenant: &TenantId) -> StoreResult<Option<Time>> {
        self.time(reads::NEWEST, vals![tenant]).await
    }

    async fn dynamic_deployments(&self, tenant: &TenantId) -> StoreResult<Vec<Deployment>> {
        self.deployment_rows(reads::DYNAMIC, vals![tenant]).await
    }

    async fn open_deployments(
        &self,
        tenant: &TenantId,
        releases: &[String],
    ) -> StoreResult<Vec<DeploymentId>> {
        let releases: Vec<String> = releases.iter().map(|name| release_id(name)).collect();
        let rows = self.sql.read(reads::OF_RELEASES, vals![tenant, releases]).await?;
        rows.iter().map(|row: &Row| row.parse("id")).collect()
    }

    async fn last_end(&self, tenant: &TenantId, release: &str) -> StoreResult<Option<Time>> {
        self.time(reads::LAST_END, vals![tenant, release_id(release)]).await
    }

    async fn commit_deployment(
        &self,
        tenant: &TenantId,
        commit: Stamped<Deployment>,
    ) -> StoreResult<()> {
        let batch = write::deployment(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn commit_targets(&self, tenant: &TenantId, commit: Stamped<Targets>) -> StoreResult<()> {
        let batch = write::targets(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn targets(&self, tenant: &TenantId, keys: &[String]) -> StoreResult<Vec<Targets>> {
        let keys = storable(keys);
        let tickets: BTreeSet<&str> =
            keys.iter().filter_map(|key| Targets::ticket_of(key)).collect();
        let vals = vals![tenant, texts(&tickets.into_iter().collect::<Vec<_>>()), keys];
        self.sql.read(reads::TARGETS, vals).await?.iter().map(rows::targets).collect()
    }

    async fn targets_of(
        &self,
        tenant: &TenantId,
        ticket: &str,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<Targets>> {
        let vals = vals![tenant, ticket, after.unwrap_or_default(), limit];
        self.sql.read(reads::TARGETS_OF, vals).await?.iter().map(rows::targets).collect()
    }

    async fn fill(&self, tenant: &TenantId, rows: &[DeviceDeployment]) -> StoreResult<()> {
        for batch in devices::fill(tenant, rows)? {
            self.sql.run(batch).await?;
        }
        Ok(())
    }

    async fn device_deployment(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> StoreResult<Option<DeviceDeployment>> {
        let vals = vals![tenant, deployment.as_str(), device.as_str()];
        let row = self.sql.read_one(reads::PAIR, vals).await?;
        row.as_ref().map(rows::device).transpose()
    }

    async fn current(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        self.device_rows(reads::CURRENT, vals![tenant, device.as_str()]).await
    }

    async fn newest_ended(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> StoreResult<Option<Time>> {
        let ended: Vec<Status> = Status::ALL.into_iter().filter(|s| s.is_final()).collect();
        self.time(reads::NEWEST_ENDED, vals![tenant, device.as_str(), codes(&ended)]).await
    }

    async fn history(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        statuses: &[Status],
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        let mut vals = vals![tenant, device.as_str(), limit, skip];
        if statuses.is_empty() {
            return self.device_rows(reads::HISTORY, vals).await;
        }
        vals.push(codes(statuses).into());
        self.device_rows(reads::HISTORY_OF, vals).await
    }

    async fn count_history(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        statuses: &[Status],
    ) -> StoreResult<u64> {
        let mut vals = vals![tenant, device.as_str()];
        if statuses.is_empty() {
            return self.count((reads::COUNT_HISTORY, vals)).await;
        }
        vals.push(codes(statuses).into());
        self.count((reads::COUNT_HISTORY_OF, vals)).await
    }

    async fn listed(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        statuses: &[Status],
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let (stmt, vals) = draft::listed(tenant, deployment, statuses, (skip, limit));
        self.device_rows(stmt, vals).await
    }

    async fn count_listed(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        statuses: &[Status],
    ) -> StoreResult<u64> {
        let mut vals = vals![tenant, deployment.as_str()];
        if statuses.is_empty() {
            return self.count((reads::COUNT_LISTED, vals)).await;
        }
        vals.push(codes(statuses).into());
        self.count((reads::COUNT_LISTED_OF, vals)).await
    }

    async fn records(
        &self,
        tenant: &TenantId,
        ids: &[String],
    ) -> StoreResult<Vec<DeviceDeployment>> {
        self.device_rows(reads::RECORDS, vals![tenant, storable(ids)]).await
    }

    async fn last_ended(
        &self,
        tenant: &TenantId,
        devices: &[DeviceId],
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let mut last: BTreeMap<DeviceId, DeviceDeployment> = BTreeMap::new();
        for row in self.device_rows(reads::LAST_ENDED, vals![tenant, texts(devices)]).await? {
            let rank = |row: &DeviceDeployment| (row.created, row.key.clone());
            if last.get(&row.device).map(rank) < Some(rank(&row)) {
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
        for row in self.sql.read(reads::TALLIES, vals![tenant, texts(deployments)]).await? {
            let tally = tallies.entry(row.parse("deployment_id")?).or_default();
            let counted = row.int("counted")?.cast_unsigned();
            if counted > 0 {
                let status = rows::status(row.int("status")?)?;
                *tally.counts.entry(status).or_default() += counted;
                if let Some(was) = row.opt_int("late")? {
                    *tally.late.entry((rows::status(was)?, status)).or_default() += counted;
                }
            }
            let devices = row.int("devices")?.cast_unsigned();
            tally.devices += devices;
            if let Some(phase) = rows::number(row.opt_int("phase")?)?.filter(|_| devices > 0) {
                *tally.phases.entry(phase).or_default() += devices;
            }
            tally.bytes += row.int("bytes")?.cast_unsigned();
        }
        Ok(tallies)
    }

    async fn late(
        &self,
        tenant: &TenantId,
        deployments: &[DeploymentId],
    ) -> StoreResult<BTreeMap<DeploymentId, Late>> {
        let mut late: BTreeMap<DeploymentId, Late> = BTreeMap::new();
        for row in self.sql.read(reads::LATE, vals![tenant, texts(deployments)]).await? {
            let moved = (rows::status(row.int("late")?)?, rows::status(row.int("status")?)?);
            let of = late.entry(row.parse("deployment_id")?).or_default();
            *of.entry(moved).or_default() += row.int("n")?.cast_unsigned();
        }
        Ok(late)
    }

    async fn begun(
        &self,
        tenant: &TenantId,
        deployments: &[DeploymentId],
    ) -> StoreResult<Vec<DeploymentId>> {
        let (stmt, vals) = draft::begun_of(tenant, deployments);
        let rows = self.sql.read(stmt, vals).await?;
        rows.iter().map(|row: &Row| row.parse("id")).collect()
    }

    async fn rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        self.device_rows(reads::ROWS, walk(tenant, deployment, after, limit)).await
    }

    async fn open_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        self.device_rows(reads::OPEN, walk(tenant, deployment, after, limit)).await
    }

    async fn silent_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        heard: Range<Time>,
        limit: usize,
    ) -> StoreResult<Vec<DeviceDeployment>> {
        let vals = vals![tenant, deployment.as_str(), heard.start, heard.end, limit];
        self.device_rows(reads::SILENT, vals).await
    }

    async fn close_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        limit: usize,
    ) -> StoreResult<usize> {
        let done = self.sql.run(devices::close(tenant, deployment, limit)).await?;
        Ok(done.last().map_or(0, |rows| usize::try_from(*rows).unwrap_or(usize::MAX)))
    }

    async fn commit_device_deployment(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeviceDeployment>,
    ) -> StoreResult<()> {
        let batch = devices::commit(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn log(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> StoreResult<Option<Log>> {
        self.body(LOGS, tenant, &Log::key(deployment, device)).await
    }

    async fn commit_log(&self, tenant: &TenantId, commit: Stamped<Log>) -> StoreResult<()> {
        self.commit_body(LOGS, tenant, &commit).await
    }

    async fn erase_rows(
        &self,
        tenant: &TenantId,
        deployment: &DeploymentId,
        limit: usize,
    ) -> StoreResult<usize> {
        let done = self.sql.run(devices::erase(tenant, deployment, limit)).await?;
        Ok(done.last().map_or(0, |rows| usize::try_from(*rows).unwrap_or(usize::MAX)))
    }

    async fn deployment_settings(
        &self,
        tenant: &TenantId,
    ) -> StoreResult<Option<DeploymentSettings>> {
        self.body(DEPLOYMENT_SETTINGS, tenant, DeploymentSettings::ID).await
    }

    async fn commit_deployment_settings(
        &self,
        tenant: &TenantId,
        commit: Stamped<DeploymentSettings>,
    ) -> StoreResult<()> {
        self.commit_body(DEPLOYMENT_SETTINGS, tenant, &commit).await
    }
}
