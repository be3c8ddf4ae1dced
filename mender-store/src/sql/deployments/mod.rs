//! Deployments: what was asked, the devices that were meant and what becomes of them, and logs.
//!
//! Whether a row is open or current is decided in core and kept, so that indexes can leave out
//! the others. Groups, and words of names, are rows of their own, by which deployments are found.

mod devices;
mod draft;
mod reads;
mod rows;
mod store;
mod write;

use mender_core::{
    TenantId, Time,
    deployments::{DeploymentQuery, Progress, Status},
};

use crate::sql::facade::{Query, Stmt};

macro_rules! deployment {
    () => {
        "d.id, d.name, d.artifact_name, d.force_installation, d.audience, d.group_names,
        d.fingerprint, d.max_devices, d.ticket, d.created, d.state, d.finished, d.artifacts,
        d.configuration, d.version, d.rollout, d.conduct, d.tally"
    };
}

macro_rules! device {
    () => {
        "deployment_id, device_id, attempt, stage, record_id, status, substate, created, started,
        finished, deleted, replaced, request, artifact_id, bytes, log, ended_status, ended_at,
        late, version, phase, tries, failed, heard, fetching, shares, outcome, round"
    };
}

use deployment;
use device;

const DEPLOYMENT: &str = deployment!();

const DEVICE: &str = device!();

/// Every statement of the area; of those made at run time, one of each form.
pub(super) fn statements() -> Vec<Stmt> {
    let fixed = reads::STATEMENTS.iter().chain(write::STATEMENTS).chain(devices::STATEMENTS);
    fixed.cloned().chain(forms().into_iter().map(|(stmt, _)| stmt)).collect()
}

/// The statements for one query of each form.
fn forms() -> Vec<Query> {
    let tenant = TenantId::default();
    let mut forms = Vec::new();
    for query in queries() {
        forms.push(draft::deployments(&tenant, &query, (0, 1)));
        forms.push(draft::count_deployments(&tenant, &query));
        forms.push(draft::names(&tenant, &query));
    }
    if let Ok(id) = "d1".parse() {
        let lists = [&[][..], &[Status::Success], &Status::PAUSES, &Status::ALL];
        forms.push(draft::begun_of(&tenant, std::slice::from_ref(&id)));
        forms.extend(lists.map(|statuses| draft::listed(&tenant, &id, statuses, (0, 1))));
    }
    forms
}

/// The statements that choose a page in every order.
#[cfg(all(test, feature = "sqlite"))]
pub(super) fn pages() -> Vec<Query> {
    let tenant = TenantId::default();
    let mut pages = Vec::new();
    for ascending in [false, true] {
        let all = DeploymentQuery { ascending, ..DeploymentQuery::default() };
        for query in [
            all.clone(),
            DeploymentQuery { progress: Some(Progress::Scheduled), ..all.clone() },
            DeploymentQuery { progress: Some(Progress::Pending), ..all.clone() },
            DeploymentQuery { progress: Some(Progress::InProgress), ..all.clone() },
            DeploymentQuery { progress: Some(Progress::Finished), ..all.clone() },
            DeploymentQuery { kind: Some("software"), ..all.clone() },
            DeploymentQuery { from: Some(Time(1)), to: Some(Time(2)), ..all },
        ] {
            pages.push(draft::ids(&tenant, &query, (1, 10)));
        }
    }
    pages
}

/// A query for deployments of each form.
pub(super) fn queries() -> Vec<DeploymentQuery> {
    let all = DeploymentQuery::default;
    let texts = || Some(vec!["a".to_owned(), "b".to_owned()]);
    let ids = || "d1".parse().map(|id| vec![id]).ok();
    let mut queries = vec![
        all(),
        DeploymentQuery { ascending: true, ..all() },
        DeploymentQuery { kind: Some("software"), ..all() },
        DeploymentQuery { ids: ids(), ..all() },
        DeploymentQuery { names: texts(), ..all() },
        DeploymentQuery { phrase: Some("one".into()), ..all() },
        DeploymentQuery { phrase: Some("two words".into()), ..all() },
        DeploymentQuery { device: "d1".parse().ok(), ..all() },
        DeploymentQuery { from: Some(Time(1)), to: Some(Time(2)), ..all() },
        DeploymentQuery { groups: texts(), ..all() },
        DeploymentQuery {
            kind: Some("configuration"),
            ids: ids(),
            names: texts(),
            phrase: Some("two words".into()),
            device: "d1".parse().ok(),
            from: Some(Time(1)),
            to: Some(Time(2)),
            groups: texts(),
            ..all()
        },
    ];
    for progress in
        [Progress::Scheduled, Progress::Pending, Progress::InProgress, Progress::Finished]
    {
        let progress = Some(progress);
        queries.push(DeploymentQuery { progress, ..all() });
        queries.push(DeploymentQuery { progress, kind: Some("software"), ..all() });
        queries.push(DeploymentQuery { progress, groups: texts(), ascending: true, ..all() });
    }
    queries
}
