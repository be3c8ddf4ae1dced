use std::{collections::BTreeMap, ops::Range};

use crate::{
    commit::Stamped,
    deployments::{
        model::{
            Deployment, DeploymentId, DeploymentSettings, DeviceDeployment, Late, Log, Status,
            Tally, Targets,
        },
        query::DeploymentQuery,
    },
    env::Time,
    id::{DeviceId, TenantId},
    port,
};

port! {
    /// Keeps deployments, the devices that they are for, and their logs.
    ///
    /// An open deployment is unique by its fingerprint. Rows are unique by deployment, device and
    /// attempt.
    pub trait Store {
        /// Returns a deployment.
        async fn deployment(&self, tenant: &TenantId, id: &DeploymentId) -> Option<Deployment>;

        /// Returns those of the deployments that are there, in no order.
        async fn deployments_by_id(
            &self,
            tenant: &TenantId,
            ids: &[DeploymentId],
        ) -> Vec<Deployment>;

        /// Returns deployments by age: `limit` of them after the first `skip`.
        async fn deployments(
            &self,
            tenant: &TenantId,
            query: &DeploymentQuery,
            skip: u64,
            limit: usize,
        ) -> Vec<Deployment>;

        /// Counts deployments.
        async fn count_deployments(&self, tenant: &TenantId, query: &DeploymentQuery) -> u64;

        /// Returns when the newest deployment was created.
        async fn newest_deployment(&self, tenant: &TenantId) -> Option<Time>;

        /// Returns the dynamic deployments that have not ended, in no order.
        async fn dynamic_deployments(&self, tenant: &TenantId) -> Vec<Deployment>;

        /// Returns the deployments of releases with these names that have not ended, in no order.
        async fn open_deployments(&self, tenant: &TenantId, releases: &[String]) -> Vec<DeploymentId>;

        /// Returns when the last of the deployments of a release ended that have.
        async fn last_end(&self, tenant: &TenantId, release: &str) -> Option<Time>;

        /// Stores a change of a deployment and its events, or nothing.
        async fn commit_deployment(&self, tenant: &TenantId, commit: Stamped<Deployment>) -> ();

        /// Stores the devices that a deployment is for, or removes them.
        async fn commit_targets(&self, tenant: &TenantId, commit: Stamped<Targets>) -> ();

        /// Returns parts of what deployments are for by their ids, by id.
        async fn targets(&self, tenant: &TenantId, keys: &[String]) -> Vec<Targets>;

        /// Returns the parts of a ticket, in the order given: `limit` of them after the one with
        /// this id.
        async fn targets_of(
            &self,
            tenant: &TenantId,
            ticket: &str,
            after: Option<&str>,
            limit: usize,
        ) -> Vec<Targets>;

        /// Stores rows; those that are there already stay as they are.
        async fn fill(&self, tenant: &TenantId, rows: &[DeviceDeployment]) -> ();

        /// Returns the last attempt of a device at a deployment.
        async fn device_deployment(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            device: &DeviceId,
        ) -> Option<DeviceDeployment>;

        /// Returns the rows that may concern a device at its next poll, in no order.
        async fn current(&self, tenant: &TenantId, device: &DeviceId) -> Vec<DeviceDeployment>;

        /// Returns when the newest deployment was created that a device ended, resets apart.
        async fn newest_ended(&self, tenant: &TenantId, device: &DeviceId) -> Option<Time>;

        /// Returns the records of a device, the newest first: `limit` of them after the first
        /// `skip`. No statuses are all of them.
        async fn history(
            &self,
            tenant: &TenantId,
            device: &DeviceId,
            statuses: &[Status],
            skip: u64,
            limit: usize,
        ) -> Vec<DeviceDeployment>;

        /// Counts the records of a device.
        async fn count_history(
            &self,
            tenant: &TenantId,
            device: &DeviceId,
            statuses: &[Status],
        ) -> u64;

        /// Returns the records of a deployment that were not reset, by status and device: `limit`
        /// of them after the first `skip`. No statuses are all of them.
        async fn listed(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            statuses: &[Status],
            skip: u64,
            limit: usize,
        ) -> Vec<DeviceDeployment>;

        /// Counts the records of a deployment that were not reset.
        async fn count_listed(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            statuses: &[Status],
        ) -> u64;

        /// Returns records by their ids, in no order.
        async fn records(&self, tenant: &TenantId, ids: &[String]) -> Vec<DeviceDeployment>;

        /// Returns for each of the devices the record that ended last, in no order.
        async fn last_ended(
            &self,
            tenant: &TenantId,
            devices: &[DeviceId],
        ) -> Vec<DeviceDeployment>;

        /// Counts the records of deployments; those without any are left out.
        async fn tallies(
            &self,
            tenant: &TenantId,
            deployments: &[DeploymentId],
        ) -> BTreeMap<DeploymentId, Tally>;

        /// Counts those of the records of deployments whose devices reported after the end;
        /// deployments without any are left out.
        async fn late(
            &self,
            tenant: &TenantId,
            deployments: &[DeploymentId],
        ) -> BTreeMap<DeploymentId, Late>;

        /// Returns those of the deployments that are there and have a record that makes them ones
        /// in progress, in no order.
        async fn begun(&self, tenant: &TenantId, deployments: &[DeploymentId]) -> Vec<DeploymentId>;

        /// Returns the rows of a deployment, in the order of walks, which is the store's: `limit`
        /// of them after the one with this id.
        async fn rows(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            after: Option<&str>,
            limit: usize,
        ) -> Vec<DeviceDeployment>;

        /// Returns rows of a deployment that have not ended, in the order of walks, which is the
        /// store's: `limit` of them after the one with this id.
        async fn open_rows(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            after: Option<&str>,
            limit: usize,
        ) -> Vec<DeviceDeployment>;

        /// Returns rows of a deployment that are watched, by the time at which their devices were
        /// last heard of, which is in the range: `limit` of them.
        async fn silent_rows(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            heard: Range<Time>,
            limit: usize,
        ) -> Vec<DeviceDeployment>;

        /// Closes rows of a deployment that have not ended, as its abort does; those apart that
        /// count among those that fetch. Closes `limit` of them, and returns how many there were.
        async fn close_rows(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            limit: usize,
        ) -> usize;

        /// Stores a change of a row and its events, or nothing.
        async fn commit_device_deployment(&self, tenant: &TenantId, commit: Stamped<DeviceDeployment>) -> ();

        /// Returns a log.
        async fn log(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            device: &DeviceId,
        ) -> Option<Log>;

        /// Stores a change of a log, or nothing.
        async fn commit_log(&self, tenant: &TenantId, commit: Stamped<Log>) -> ();

        /// Removes `limit` rows and logs of a deployment, and returns how many there were.
        async fn erase_rows(
            &self,
            tenant: &TenantId,
            deployment: &DeploymentId,
            limit: usize,
        ) -> usize;

        /// Returns what is kept for a tenant.
        async fn deployment_settings(&self, tenant: &TenantId) -> Option<DeploymentSettings>;

        /// Stores a change of what is kept for a tenant, or nothing.
        async fn commit_deployment_settings(
            &self,
            tenant: &TenantId,
            commit: Stamped<DeploymentSettings>,
        ) -> ();
    }
}
