//! Deployments: what was asked, rows of devices, targets and logs.

use mender_core::{
    DeviceId, StoreResult, TenantId, Time, Version,
    deployments::{
        Audience, Batch, Budget, Cause, Conduct, Deployment, DeploymentId, DeploymentQuery,
        DeploymentSettings, DeviceDeployment, Ended, Hold, Log, Message, Outcome, Payload, Phase,
        Progress, Reason, Request, Rollout, Stage, State, Status, Store as _, Tally, Targets,
    },
};

use super::{Pair, text};

/// What comes in no order, in one.
fn sorted<T: Clone>(found: StoreResult<Vec<T>>, id: fn(&T) -> String) -> StoreResult<Vec<T>> {
    let mut found = found?;
    found.sort_by_key(id);
    Ok(found)
}

fn key(row: &DeviceDeployment) -> String {
    row.key.clone()
}

impl Pair {
    fn deployment_id(&self) -> DeploymentId {
        self.pick(&["x", "Y", "ü", "z z"]).parse().unwrap()
    }

    fn target(&self) -> DeviceId {
        self.id().parse().unwrap()
    }

    fn title(&self) -> String {
        let titles = ["Nightly builds", "nightly-build 2", "a0", "é builds nightly", "--", ""];
        self.pick(&titles).to_owned()
    }

    fn status(&self) -> Status {
        self.pick(&Status::ALL)
    }

    fn statuses(&self) -> Vec<Status> {
        let mut statuses = self.some(4, Self::status);
        statuses.truncate(usize::try_from(self.below(5)).unwrap());
        statuses
    }

    fn rollout(&self) -> Rollout {
        let phase = |pair: &Self| Phase {
            id: pair.id(),
            batch: pair.pick(&[Batch::Percent(7), Batch::Devices(1 << 40)]),
            starts: pair.maybe(2).then(|| pair.time()),
            devices: pair.maybe(2).then(|| pair.below(9)),
            needs_approval: pair.maybe(2),
            thresholds: Vec::new(),
        };
        let phases = if self.maybe(2) { self.some(3, phase) } else { Vec::new() };
        Rollout { phases, retries: self.pick(&[0, 3]), ..Rollout::default() }
    }

    fn conduct(&self) -> Conduct {
        let cause = Cause::User { id: None, reason: self.title() };
        let hold = self.maybe(2).then(|| Hold { since: self.time(), cause });
        Conduct { hold, ..Conduct::default() }
    }

    fn audience(&self) -> Audience {
        let filter = Audience::Filter {
            id: self.pick(&["f1", "f2"]).parse().unwrap(),
            name: self.title(),
            terms: Vec::new(),
            initial: self.below(9),
        };
        let group = Audience::Group("ö\"".into());
        self.pick(&[Audience::Devices, Audience::All, group, filter])
    }

    fn deployment(&self, id: &DeploymentId) -> Deployment {
        let state = self.pick(&[State::Filling, State::Open, State::Closing, State::Closed]);
        let is_over = matches!(state, State::Closing | State::Closed);
        let configuration = Payload::Configuration("{\"é\":1}".into());
        let mut groups = self.some(3, Self::group);
        groups.truncate(usize::try_from(self.below(4)).unwrap());
        Deployment {
            id: id.clone(),
            name: self.title(),
            artifact_name: self.title(),
            force_installation: self.maybe(2),
            payload: self.pick(&[Payload::Software, configuration]),
            audience: self.audience(),
            groups,
            fingerprint: (!self.maybe(4)).then(|| format!("f{}", self.below(4))),
            max_devices: self.below(1000),
            rollout: self.rollout(),
            conduct: self.conduct(),
            ticket: self.pick(&["t1", "t2"]).to_owned(),
            created: self.time(),
            state,
            finished: is_over.then(|| self.time()),
            artifacts: self.some(2, |pair| pair.id().parse().unwrap()),
            tally: self.maybe(2).then(|| self.tally()),
            version: Version(self.time().0),
        }
    }

    fn tally(&self) -> Tally {
        let counts = [(self.status(), self.below(1 << 50)), (self.status(), 1)];
        Tally { counts: counts.into(), devices: self.below(9), ..Tally::default() }
    }

    fn deployment_query(&self) -> DeploymentQuery {
        let progress =
            [Progress::Scheduled, Progress::Pending, Progress::InProgress, Progress::Finished];
        let phrases = ["nightly", "Builds", "nightly build", "build nightly", "é", "-", "2 a0"];
        let mut query = DeploymentQuery { ascending: self.maybe(2), ..DeploymentQuery::default() };
        for _ in 0..self.below(4) {
            match self.below(9) {
                0 | 1 => (query.progress, query.now) = (Some(self.pick(&progress)), self.time()),
                2 => query.kind = Some(self.pick(&["software", "configuration", "other"])),
                3 => query.ids = Some(self.some(3, Self::deployment_id)),
                4 => query.names = Some(self.some(3, Self::title)),
                5 => query.phrase = Some(self.pick(&phrases).to_owned()),
                6 => query.device = Some(self.target()),
                7 => query.groups = Some(self.some(2, Self::group)),
                _ if self.maybe(2) => query.from = Some(self.time()),
                _ => query.to = Some(self.time()),
            }
        }
        query
    }

    pub(super) async fn commit_deployment(&self) {
        let (tenant, id) = (self.tenant(), self.deployment_id());
        let stored = both!(self, |s| s.deployment(&tenant, &id).await).unwrap();
        let commit = self.stamp(&tenant, self.change(stored, self.deployment(&id)));
        let _ = both!(self, |s| s.commit_deployment(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.deployment(&tenant, &id).await);
    }

    pub(super) async fn read_deployments(&self) {
        let tenant = self.tenant();
        for _ in 0..6 {
            let (skip, limit) = (self.below(3), self.pick(&[0, 1, 2, 5, 100]));
            let query = self.deployment_query();
            let _ = both!(self, |s| s.deployments(&tenant, &query, skip, limit).await);
            let _ = both!(self, |s| s.count_deployments(&tenant, &query).await);
        }
        let ids = self.some(4, Self::deployment_id);
        let id = |deployment: &Deployment| deployment.id.to_string();
        let _ = both!(self, |s| sorted(s.deployments_by_id(&tenant, &ids).await, id));
        let _ = both!(self, |s| s.newest_deployment(&tenant).await);
        let _ = both!(self, |s| sorted(s.dynamic_deployments(&tenant).await, id));
        let releases = self.some(3, Self::title);
        let open = DeploymentId::to_string;
        let _ = both!(self, |s| sorted(s.open_deployments(&tenant, &releases).await, open));
        let _ = both!(self, |s| s.last_end(&tenant, &releases[0]).await);
    }

    /// Anything that a row can be, and more.
    fn row(&self, mut row: DeviceDeployment) -> DeviceDeployment {
        row.stage = self.pick(&[Stage::Waiting, Stage::Record, Stage::Record, Stage::Dropped]);
        if row.stage == Stage::Record {
            row.record = self.id();
        }
        row.status = self.status();
        row.substate = self.id();
        row.created = self.time();
        row.started = self.maybe(2).then(|| self.time());
        row.finished = self.maybe(2).then(|| self.time());
        row.deleted = self.maybe(4).then(|| self.time());
        row.replaced = self.maybe(4);
        let provides = || [(self.id(), self.id())].into();
        row.request = self.maybe(2).then(|| Request {
            artifact_name: self.id(),
            device_type: self.id(),
            provides: provides(),
            control_map: self.maybe(2),
        });
        row.phase = self.maybe(2).then(|| self.pick(&[0, 1, 7]));
        (row.tries, row.failed) = (self.pick(&[0, 1, 4]), self.maybe(4));
        row.heard = self.maybe(2).then(|| self.time());
        (row.fetching, row.shares) = (self.maybe(4), self.maybe(4));
        let reason = self.pick(&[Reason::Install, Reason::Unapproved { phase: 2 }]);
        row.outcome = self.maybe(2).then(|| Outcome { reason, since: self.time() });
        row.artifact = self.maybe(2).then(|| self.id().parse().unwrap());
        row.bytes = self.below(1000);
        row.log = self.maybe(2);
        row.ended = self.maybe(2).then(|| Ended { status: self.status(), at: self.time() });
        row.late = self.maybe(4).then(|| self.status());
        row.round = self.pick(&[0, 1, 7]);
        row
    }

    /// A row of which most is as it was.
    fn reported(&self, was: &DeviceDeployment) -> DeviceDeployment {
        let (new, mut to) = (self.row(was.clone()), was.clone());
        match self.below(8) {
            7 => (to.status, to.round) = (new.status, new.round),
            6 => (to.status, to.late) = (new.status, new.late),
            0 => (to.substate, to.outcome) = (new.substate, new.outcome),
            4 => (to.phase, to.tries, to.failed) = (new.phase, new.tries, new.failed),
            1 => to.status = new.status,
            2 => (to.status, to.ended) = (new.status, new.ended),
            3 => (to.heard, to.fetching, to.shares) = (new.heard, new.fetching, new.shares),
            _ => (to.deleted, to.replaced) = (new.deleted, new.replaced),
        }
        to
    }

    pub(super) async fn commit_row(&self) {
        let (tenant, deployment, device) = (self.tenant(), self.deployment_id(), self.target());
        let stored =
            both!(self, |s| s.device_deployment(&tenant, &deployment, &device).await).unwrap();
        let first = DeviceDeployment::waiting(&deployment, device.clone(), self.time());
        let change = match stored {
            Some(was) if was.attempt < 4 && self.maybe(3) => {
                self.change(None, self.row(was.again()))
            }
            Some(was) if !self.maybe(3) => self.change(Some(was.clone()), self.reported(&was)),
            Some(was) => self.change(Some(was.clone()), self.row(was)),
            None => self.change(None, self.row(first)),
        };
        let commit = self.stamp(&tenant, change);
        let _ = both!(self, |s| s.commit_device_deployment(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.device_deployment(&tenant, &deployment, &device).await);
    }

    pub(super) async fn read_rows(&self) {
        let (tenant, skip, limit) = (self.tenant(), self.below(3), self.pick(&[0, 1, 2, 5, 100]));
        for _ in 0..4 {
            let (device, statuses) = (self.target(), self.statuses());
            let _ = both!(self, |s| sorted(s.current(&tenant, &device).await, key));
            let _ = both!(self, |s| s.newest_ended(&tenant, &device).await);
            let _ = both!(self, |s| s.history(&tenant, &device, &statuses, skip, limit).await);
            let _ = both!(self, |s| s.count_history(&tenant, &device, &statuses).await);
            let id = self.deployment_id();
            let _ = both!(self, |s| s.listed(&tenant, &id, &statuses, skip, limit).await);
            let _ = both!(self, |s| s.count_listed(&tenant, &id, &statuses).await);
            let after = format!("{id}/{device}/{}", self.below(4));
            let after = (!self.maybe(3)).then_some(after.as_str());
            let _ = both!(self, |s| s.rows(&tenant, &id, after, limit).await);
            let _ = both!(self, |s| s.open_rows(&tenant, &id, after, limit).await);
            let heard = self.time()..self.time();
            let _ = both!(self, |s| s.silent_rows(&tenant, &id, heard.clone(), limit).await);
        }
        let records = self.some(4, Self::id);
        let _ = both!(self, |s| sorted(s.records(&tenant, &records).await, key));
        let devices = self.some(6, Self::target);
        let _ = both!(self, |s| sorted(s.last_ended(&tenant, &devices).await, key));
        let ids = self.some(4, Self::deployment_id);
        let _ = both!(self, |s| s.tallies(&tenant, &ids).await);
        let _ = both!(self, |s| s.late(&tenant, &ids).await);
        let _ = both!(self, |s| sorted(s.begun(&tenant, &ids).await, DeploymentId::to_string));
        for id in ids {
            self.all_rows(&tenant, &id).await;
        }
    }

    async fn all_rows(&self, tenant: &TenantId, id: &DeploymentId) {
        let _ = both!(self, |s| s.listed(tenant, id, &[], 0, usize::MAX).await);
        let _ = both!(self, |s| s.listed(tenant, id, &Status::ALL, 0, usize::MAX).await);
        let _ = both!(self, |s| s.rows(tenant, id, None, usize::MAX).await);
        let _ = both!(self, |s| s.open_rows(tenant, id, None, usize::MAX).await);
        let _ = both!(self, |s| s
            .silent_rows(tenant, id, Time(i64::MIN)..Time(i64::MAX), usize::MAX)
            .await);
    }

    pub(super) async fn fill_or_erase(&self) {
        let (tenant, id) = (self.tenant(), self.deployment_id());
        let limit = self.pick(&[0, 1, 3]);
        if self.maybe(4) {
            let _ = both!(self, |s| s.erase_rows(&tenant, &id, limit).await);
        } else if self.maybe(6) {
            let _ = both!(self, |s| s.close_rows(&tenant, &id, limit).await);
        } else {
            let created = self.time();
            let row = |pair: &Self| DeviceDeployment::waiting(&id, pair.target(), created);
            let rows = self.some(8, row);
            let _ = both!(self, |s| s.fill(&tenant, &rows).await);
        }
        self.all_rows(&tenant, &id).await;
    }

    pub(super) async fn targets_and_logs(&self) {
        let tenant = self.tenant();
        let tickets = ["t1".to_owned(), "t2".to_owned()];
        let ticket = self.pick(&tickets);
        let n = usize::try_from(self.below(4)).unwrap();
        let new = Targets::new(&ticket, n, &self.some(4, Self::target));
        let stored = both!(self, |s| s.targets(&tenant, std::slice::from_ref(&new.key)).await);
        let commit = self.stamp(&tenant, self.change(stored.unwrap().pop(), new));
        let _ = both!(self, |s| s.commit_targets(&tenant, commit.clone()).await);
        let keys = self.some(4, |pair| Targets::key(&pair.pick(&tickets), pair.pick(&[0, 1, 3])));
        let _ = both!(self, |s| s.targets(&tenant, &keys).await);
        let (after, limit) = (Targets::key(&ticket, n), self.pick(&[0, 1, 2, 9]));
        let _ = both!(self, |s| s.targets_of(&tenant, &ticket, None, limit).await);
        let _ = both!(self, |s| s.targets_of(&tenant, &ticket, Some(&after), limit).await);

        let (id, device) = (self.deployment_id(), self.target());
        let stored = both!(self, |s| s.log(&tenant, &id, &device).await).unwrap();
        let message =
            |pair: &Self| Message { timestamp: pair.id(), level: pair.id(), message: pair.id() };
        let new = Log::new(&id, &device, self.some(3, message));
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_log(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.log(&tenant, &id, &device).await);
    }

    pub(super) async fn deployment_settings(&self) {
        let tenant = self.tenant();
        let stored = both!(self, |s| s.deployment_settings(&tenant).await).unwrap();
        let budget = |n| Budget { parallel: Some(n), bytes_per_second: None };
        let new = DeploymentSettings {
            micro_limit: self.maybe(2).then(|| self.time().0 - 1),
            budget: self.maybe(2).then(|| budget(self.below(9))),
            refilled: self.maybe(2).then(|| self.time()),
            version: Version(self.time().0),
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_deployment_settings(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.deployment_settings(&tenant).await);
    }
}
