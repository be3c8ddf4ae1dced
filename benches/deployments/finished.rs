//! Deployments that ended, with their records: copies of one, straight into the tables.

use mender::{
    deployments::DeploymentId,
    store::{
        sql::{Batch, Stmt},
        vals,
    },
};
use tokio::time::Instant;

use crate::{
    server::Server,
    support::{Fault, load::device_id},
};

const DEPLOYMENTS: usize = 10_000;

const DEVICES: usize = 100;

/// How many are stored together.
const CHUNK: usize = 50;

const COPY: Stmt = Stmt::new(
    "INSERT INTO deployments_deployments (tenant_id, id, name, artifact_name, release_id, kind,
        force_installation, audience, group_names, fingerprint, unique_key, max_devices, ticket,
        created, state, finished, version, commit_id, artifacts, configuration, rollout, starts,
        conduct, dynamic)
        SELECT tenant_id, $2, name, artifact_name, release_id, kind, force_installation, audience,
        group_names, fingerprint, $2, $4, ticket, created - $3, state, finished - $3, version,
        commit_id, artifacts, configuration, rollout, starts, conduct, dynamic
        FROM deployments_deployments WHERE tenant_id = '' AND id = $1",
);

/// The record of one device, for others.
const COPY_RECORD: Stmt = Stmt::new(
    "INSERT INTO deployments_devices (tenant_id, deployment_id, device_id, attempt, substate,
        started, finished, request, artifact_id, log, late, tries, failed, version, commit_id,
        status, open, current, ended_status, ended_at, stage, record_id, created, deleted,
        replaced, bytes, phase, heard, fetching)
        SELECT r.tenant_id, $2, a.id, r.attempt, r.substate, r.started - $3, r.finished - $3,
        r.request, r.artifact_id, r.log, r.late, r.tries, r.failed, r.version, r.commit_id,
        r.status, r.open, r.current, r.ended_status, r.ended_at - $3, r.stage, $2 || a.id,
        r.created - $3, r.deleted, r.replaced, r.bytes, r.phase, r.heard, r.fetching
        FROM deployments_devices r CROSS JOIN auth_devices a
        WHERE r.tenant_id = '' AND r.deployment_id = $1 AND r.device_id = $4 AND a.tenant_id = ''
        AND a.id @in($5)",
);

/// Stores deployments that ended before the template did, each for as many devices of the fleet.
pub(crate) async fn store(
    server: &Server,
    size: usize,
    template: &DeploymentId,
) -> Result<(), Fault> {
    let begun = Instant::now();
    let first = device_id(0);
    for from in (0..DEPLOYMENTS).step_by(CHUNK) {
        let mut batch = Batch::new();
        for n in from..from + CHUNK {
            let (id, age) = (format!("finished-{n:05}"), 1000 * (n as i64 + 1));
            let devices = (0..DEVICES).map(|at| device_id((n * DEVICES + at) % size));
            let devices: Vec<String> = devices.collect();
            batch = batch
                .then(COPY, vals![template.as_str(), &id, age, DEVICES as i64])
                .then(COPY_RECORD, vals![template.as_str(), &id, age, &first, devices]);
        }
        server.store.sql().run(batch).await?;
    }
    println!("  {DEPLOYMENTS} finished deployments stored in {:.1?}", begun.elapsed());
    Ok(())
}
