//! What is known of deployments, and must be true of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice::from_ref,
};

use futures_util::TryStreamExt as _;

use super::{RELEASES, RINGS};
use crate::{
    deployments::{
        Audience, Deployment, DeploymentId, DeploymentQuery, DeviceDeployment, Progress, Request,
        Score, Shown, State, Status, logic, next_opening, service::tests::World,
    },
    env::Time,
    id::DeviceId,
    page::PageRequest,
    testing::Update,
};

/// What is known, as of the last look.
#[derive(Default)]
pub(super) struct Model {
    pub(super) deployments: BTreeMap<DeploymentId, Shown>,
    /// The ring of each device.
    pub(super) rings: BTreeMap<DeviceId, usize>,
    /// The records, by their keys.
    rows: BTreeMap<String, DeviceDeployment>,
    /// For whom deployments are that nobody joins.
    meant: BTreeMap<DeploymentId, BTreeSet<DeviceId>>,
    /// The newest that each device ended, by the time of its creation; resets apart.
    ended: BTreeMap<DeviceId, Time>,
}

/// What was known before a poll.
pub(super) struct Before {
    deployments: BTreeMap<DeploymentId, Shown>,
    rows: Vec<DeviceDeployment>,
    ended: Option<Time>,
    all: Vec<DeviceDeployment>,
}

/// Counts how the devices of a part ended in a round.
fn score<'a>(
    rows: impl Iterator<Item = &'a DeviceDeployment>,
    part: logic::Part,
    round: u32,
) -> Score {
    let mut score = Score::default();
    let in_part = |row: &&DeviceDeployment| {
        row.round == round && (part.is_none() || row.phase.map(|n| n as usize) == part)
    };
    for row in rows.filter(in_part) {
        score.failed += u64::from(row.status == Status::Failure);
        score.succeeded += u64::from(row.status == Status::Success);
    }
    score
}

impl Model {
    /// A device may get again what it ended.
    pub(super) fn forget_ends(&mut self, device: &DeviceId) {
        self.ended.remove(device);
    }

    pub(super) fn before(&self, device: &DeviceId) -> Before {
        let of = |row: &&DeviceDeployment| row.device == *device;
        Before {
            deployments: self.deployments.clone(),
            rows: self.rows.values().filter(of).cloned().collect(),
            ended: self.ended.get(device).copied(),
            all: self.rows.values().cloned().collect(),
        }
    }

    /// Looks at everything anew that may have changed where these devices did something, and at
    /// all of it where a deployment changed.
    pub(super) async fn check(&mut self, w: &World, acted: &[DeviceId], devices: &[DeviceId]) {
        let (service, ctx) = (w.service(), &w.ctx);
        let page = PageRequest::new(1, 500);
        let shown = service.deployments(ctx, DeploymentQuery::default(), page).await.unwrap().0;
        let is_known = |shown: &Shown| {
            let known = self.deployments.get(&shown.deployment.id);
            known.is_some_and(|known| known.deployment == shown.deployment)
        };
        let acted = if shown.iter().all(is_known) { acted } else { devices };
        let mut touched = BTreeSet::new();
        for device in acted {
            touched.extend(self.look_at(w, device).await);
        }
        self.note_ends();
        for shown in shown {
            let id = &shown.deployment.id;
            if !self.meant.contains_key(id) {
                let targets: Vec<_> =
                    service.targets(ctx, id).await.unwrap().try_collect().await.unwrap();
                let targets = targets.iter().flat_map(|part| part.to_vec().unwrap());
                self.meant.insert(id.clone(), targets.collect());
            }
            let known = self.deployments.get(id);
            let is_same =
                |known: &Shown| known.deployment == shown.deployment && known.tally == shown.tally;
            if touched.contains(id) || !known.is_some_and(is_same) {
                self.check_numbers(w, &shown).await;
                self.check_end(&shown);
                self.deployments.insert(id.clone(), shown);
            }
        }
    }

    /// Looks at the records of a device; returns the deployments of those that changed.
    async fn look_at(&mut self, w: &World, device: &DeviceId) -> BTreeSet<DeploymentId> {
        let history = w.service().store.history(&w.ctx.tenant, device, &[], 0, 1000).await;
        let mut touched = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for row in history.unwrap() {
            assert!(seen.insert(row.key.clone()), "a device is in an attempt twice");
            if self.rows.get(&row.key) != Some(&row) {
                touched.insert(row.deployment.clone());
                self.rows.insert(row.key.clone(), row);
            }
        }
        let is_gone = |row: &DeviceDeployment| row.device == *device && !seen.contains(&row.key);
        assert!(!self.rows.values().any(is_gone), "records of {device} are gone");
        touched
    }

    /// Notes what devices said the last word on.
    fn note_ends(&mut self) {
        let by_user = |status| matches!(status, Status::Aborted | Status::Decommissioned);
        let is_end = |row: &&DeviceDeployment| {
            row.is_listed() && row.status.is_final() && !by_user(row.status)
        };
        for row in self.rows.values().filter(is_end) {
            let newest = self.ended.entry(row.device.clone()).or_insert(row.created);
            *newest = (*newest).max(row.created);
        }
    }

    fn rows_of<'a>(&'a self, id: &'a DeploymentId) -> impl Iterator<Item = &'a DeviceDeployment> {
        self.rows.values().filter(move |row| row.deployment == *id)
    }

    /// Statistics are what the records add up to, and no limit is exceeded.
    async fn check_numbers(&self, w: &World, shown: &Shown) {
        let (service, deployment) = (w.service(), &shown.deployment);
        let (flaws, _) = service.flaws_of(&w.ctx.tenant, deployment).await.unwrap();
        assert_eq!(flaws, [""; 0], "{deployment:?}");
        let told = service.statistics(&w.ctx, from_ref(&deployment.id)).await.unwrap();
        assert_eq!(told, [(deployment.id.clone(), shown.tally.clone())]);
        let known = self.rows_of(&deployment.id).filter(|row| row.is_counted()).count();
        let shown = shown.tally.counts.values().sum::<u64>();
        let silent = deployment.max_devices.saturating_sub(told[0].1.devices);
        let silent = if deployment.is_finished() { 0 } else { silent };
        assert_eq!(shown, known as u64 + silent, "{deployment:?}");
    }

    /// What has ended stays as it ended, and nobody is at it when it ends.
    fn check_end(&self, shown: &Shown) {
        let deployment = &shown.deployment;
        let is_finished = deployment.is_finished();
        assert_eq!(is_finished, shown.progress == Progress::Finished);
        let before = self.deployments.get(&deployment.id).map(|before| &before.deployment);
        match before {
            Some(before) if before.is_finished() => {
                assert_eq!(before.finished, deployment.finished, "it ended twice");
                assert_eq!(before.artifacts, deployment.artifacts);
            }
            _ if is_finished && deployment.state == State::Closed => {
                let is_at_it = |row: &&DeviceDeployment| row.is_open() && row.late.is_none();
                let active = self.rows_of(&deployment.id).find(is_at_it);
                assert_eq!(active, None, "{} has ended", deployment.id);
            }
            _ => {}
        }
    }

    /// A device was told to install something.
    pub(super) fn check_offer(
        &self,
        before: &Before,
        device: &DeviceId,
        request: &Request,
        update: &Update,
        now: Time,
    ) {
        let id = &update.deployment;
        let deployment = &before.deployments[id].deployment;
        let story = || format!("{device} is told of {deployment:?}");
        assert!(deployment.is_open(), "{}", story());
        match &deployment.audience {
            Audience::Filter { name, .. } => {
                let joined = before.rows.iter().any(|row| row.deployment == *id);
                let fits = RINGS[self.rings[device]] == name;
                assert!(joined || fits, "{}", story());
            }
            _ => assert!(self.meant[id].contains(device), "{}", story()),
        }
        let (_, types, depends) =
            RELEASES.iter().find(|release| release.0 == &*update.artifact_name).unwrap();
        assert_eq!(&*update.artifact_name, deployment.artifact_name);
        assert!(types.contains(&request.device_type.as_str()), "{}", story());
        let depends = depends.is_empty() || depends.contains(&request.artifact_name.as_str());
        assert!(depends, "{} and runs {}", story(), request.artifact_name);
        let is_older = before.ended.is_some_and(|ended| deployment.created < ended);
        assert!(!is_older, "{}, which is older than what it ended", story());

        let row = before.rows.iter().filter(|row| row.deployment == *id && row.deleted.is_none());
        let has_begun = row.clone().any(|row| row.status != Status::Pending);
        if !has_begun {
            self.check_beginning(before, device, deployment, now);
        }
    }

    /// A device that had not begun may do so.
    fn check_beginning(
        &self,
        before: &Before,
        device: &DeviceId,
        deployment: &Deployment,
        now: Time,
    ) {
        let story = || format!("{device} begins {deployment:?}");
        assert_eq!(deployment.conduct.hold, None, "{}, which is paused", story());
        let rows = || before.all.iter().filter(|row| row.deployment == deployment.id);
        for (part, thresholds) in logic::judged(deployment) {
            let score = score(rows(), part, deployment.conduct.round);
            let passed = logic::passed(thresholds, score);
            assert_eq!(passed, None, "{}", story());
        }
        let rollout = &deployment.rollout;
        assert_eq!(next_opening(&rollout.windows, now, None), None, "{}", story());
        let row = self.rows_of(&deployment.id).filter(|row| row.device == *device);
        let phase = row.max_by_key(|row| row.attempt).and_then(|row| row.phase);
        assert_eq!(phase.is_none(), rollout.phases.is_empty(), "{}", story());
        let had_phase =
            before.rows.iter().any(|row| row.deployment == deployment.id && row.phase.is_some());
        if had_phase {
            return;
        }
        for phase in rollout.phases.iter().take(phase.map_or(0, |n| n as usize + 1)) {
            assert!(phase.starts.is_none_or(|starts| starts <= now), "{}", story());
            let may = !phase.needs_approval || deployment.conduct.has_approved(&phase.id);
            assert!(may, "{}, which is not approved", story());
        }
    }

    /// Returns what should have ended, and did not.
    pub(super) fn stuck(&self) -> Vec<String> {
        let open = self.deployments.values().map(|shown| &shown.deployment);
        let open = open.filter(|deployment| !deployment.is_finished());
        // One that has yet to be full waits for devices, if not for those that joined.
        let waits_for_more = |deployment: &Deployment| {
            let mut rows = self.rows_of(&deployment.id);
            let joined = self.rows_of(&deployment.id).filter(|row| row.attempt == 1).count();
            let is_full = deployment.max_devices > 0 && joined as u64 >= deployment.max_devices;
            deployment.is_dynamic() && !is_full && !rows.any(DeviceDeployment::is_open)
        };
        let row = |row: &DeviceDeployment| {
            let DeviceDeployment { device, attempt, status, ended, phase, request, .. } = row;
            format!("{device} {attempt} {status:?} {ended:?} {phase:?} {request:?}")
        };
        let story = |deployment: &Deployment| {
            let rows: Vec<_> = self.rows_of(&deployment.id).map(row).collect();
            format!("{deployment:?} {rows:#?}")
        };
        open.filter(|deployment| !waits_for_more(deployment)).map(story).collect()
    }
}
