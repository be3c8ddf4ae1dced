//! Random fleets: what devices and users do in any order, and what must stay true.

use std::collections::BTreeMap;

use super::*;
use crate::{deployments::Shown, env::Time};

const DEVICES: usize = 4;

const STEPS: usize = 150;

/// What was true of a deployment when it ended.
type Ends = BTreeMap<DeploymentId, Option<Time>>;

struct Fleet {
    w: World,
    /// What each device has done with what it was told: deployments may be told of twice.
    ended: Vec<Vec<(Time, DeploymentId)>>,
    ends: Ends,
}

impl Fleet {
    async fn new(seed: u64) -> Self {
        let w = World::seeded(seed).await;
        Self { w, ended: vec![Vec::new(); DEVICES], ends: Ends::new() }
    }

    fn below(&self, bound: u64) -> usize {
        usize::try_from(self.w.mender.env().below(bound)).unwrap()
    }

    async fn all(&self) -> Vec<Shown> {
        let page = PageRequest::new(1, 500);
        let all = self.w.service().deployments(&self.w.ctx, DeploymentQuery::default(), page);
        all.await.unwrap().0
    }

    async fn any(&self) -> Option<Shown> {
        let mut all = self.all().await;
        (!all.is_empty()).then(|| all.swap_remove(self.below(all.len() as u64)))
    }

    /// A device asks; what it is told is newer than all that it ended.
    async fn poll(&mut self, n: usize) -> Option<DeploymentId> {
        let id = self.w.told(n).await?;
        let shown = self.w.service().deployment(&self.w.ctx, &id).await.unwrap();
        assert_eq!(shown.deployment.state, State::Open, "told of {id}, which is not open");
        let created = shown.deployment.created;
        let older = self.ended[n].iter().any(|(other, _)| *other > created);
        assert!(!older, "device {n} is told of {id}, which is older than what it ended");
        Some(id)
    }

    /// A device reports; errors are those that devices know.
    async fn report(&mut self, id: &DeploymentId, n: usize, status: Status) {
        match self.w.report(id, n, status).await {
            Ok(()) if status.is_final() => {
                let shown = self.w.service().deployment(&self.w.ctx, id).await.unwrap();
                self.ended[n].push((shown.deployment.created, id.clone()));
            }
            Ok(()) => {}
            Err(error) => assert!(matches!(error.kind, Kind::NotFound | Kind::Conflict), "{error}"),
        }
    }

    async fn step(&mut self) {
        let n = self.below(DEVICES as u64);
        match self.below(20) {
            0 | 1 => {
                let some = (0..DEVICES).filter(|_| self.below(2) == 0).map(device).collect();
                let name = format!("d{}", self.below(3));
                match self.w.create(&self.w.ctx, &name, some).await {
                    Ok(_) => {}
                    Err(error) => assert!(
                        matches!(error.kind, Kind::Conflict | Kind::Invalid { .. }),
                        "{error}"
                    ),
                }
            }
            2..8 => drop(self.poll(n).await),
            8..13 => {
                if let Some(id) = self.poll(n).await {
                    let status = Status::ALL.into_iter().filter(|status| status.is_reportable());
                    let status: Vec<Status> = status.collect();
                    let status = status[self.below(status.len() as u64)];
                    self.report(&id, n, status).await;
                }
            }
            13..16 => {
                // Late, twice, or about what it has nothing to do with.
                if let Some(shown) = self.any().await {
                    let status = [Status::Downloading, Status::Failure, Status::Success];
                    let status = status[self.below(3)];
                    self.report(&shown.deployment.id, n, status).await;
                }
            }
            16 => {
                if let Some(shown) = self.any().await {
                    let aborted = self.w.service().abort(&self.w.ctx, &shown.deployment.id).await;
                    assert_eq!(aborted.is_err(), shown.deployment.is_finished());
                }
            }
            17 => self.w.service().abort_device(&self.w.ctx, &device(n)).await.unwrap(),
            18 => {
                self.w.service().reset_history(&self.w.ctx, &device(n)).await.unwrap();
                self.ended[n].clear();
            }
            _ => self.w.time.advance(std::time::Duration::from_millis(self.below(5) as u64)),
        }
    }

    /// Statistics add up, and what has ended stays as it ended.
    async fn check(&mut self) {
        for shown in self.all().await {
            let deployment = shown.deployment;
            let counted: u64 = shown.tally.counts.values().sum();
            if let Some(end) = deployment.finished {
                assert!(counted <= deployment.max_devices, "{:?}", shown.tally);
                let before = self.ends.insert(deployment.id.clone(), Some(end)).flatten();
                assert!(before.is_none_or(|before| before == end), "it ended twice");
                assert_eq!(shown.progress, Progress::Finished);
            } else {
                assert_eq!(counted, deployment.max_devices, "{:?}", shown.tally);
                let before = self.ends.insert(deployment.id.clone(), None).flatten();
                assert_eq!(before, None, "it began again");
            }
        }
    }

    /// Devices that do as they are told end everything.
    async fn finish(&mut self) {
        for n in 0..DEVICES {
            let mut rounds = 0;
            while let Some(id) = self.poll(n).await {
                self.report(&id, n, Status::Success).await;
                rounds += 1;
                assert!(rounds < STEPS, "device {n} is told the same again and again");
            }
        }
        for shown in self.all().await {
            let (tenant, id) = (&self.w.ctx.tenant, &shown.deployment.id);
            let rows = self.w.service().store.open_rows(tenant, id, None, 100).await.unwrap();
            // A device that said late that it is at it again is not told again.
            assert!(rows.iter().all(|row| row.ended.is_some()), "{id} is stuck: {rows:?}");
            assert!(shown.deployment.is_finished() || !rows.is_empty(), "{id} does not end");
        }
    }
}

#[tokio::test]
async fn random_fleets_keep_the_invariants() {
    for seed in 0..30 {
        let mut fleet = Fleet::new(seed).await;
        for _ in 0..STEPS {
            fleet.step().await;
            fleet.check().await;
        }
        fleet.finish().await;
        fleet.check().await;
        fleet.w.mender.drain().await.unwrap();
    }
}
