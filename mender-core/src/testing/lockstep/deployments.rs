//! What is asked of deployments, by users and by devices.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde_json::{Map, json};

use super::{
    artifacts::SEED,
    command::{index, pick, shown},
};
use crate::{
    artifacts::{Artifact, ArtifactQuery},
    ctx::{Ctx, Scope},
    deployments::{
        Batch, Budget, Course, DeploymentId, DeploymentQuery, Instructions, Message,
        NewConfiguration, NewDeployment, NewPhase, Phases, Progress, Remedy, Request,
        Side as Outcome, Status, Threshold, Whom,
    },
    env::Env,
    error::{Error, Result},
    id::DeviceId,
    page::PageRequest,
    testing::{
        lockstep::{Side, TENANTS},
        release_queries::name,
    },
};

/// Devices that deployments are for, beside those that asked to be accepted.
const DEVICES: [&str; 3] = ["d1", "é 2", "😀"];

/// A deployment of a tenant by its place in the list, and a device.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    tenant: usize,
    nth: usize,
    device: usize,
}

/// Something that is asked of deployments.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Where there is such a release, of that.
    Create(Pair, NewDeployment),
    Configure(Pair, &'static str),
    Poll(Pair, Request),
    Report(Pair, Status, &'static str),
    Abort(Pair),
    AbortDevice(Pair),
    Decommission(Pair),
    Reset(Pair),
    Pause(Pair),
    Resume(Pair),
    /// What all devices of a tenant may fetch at once.
    Share(usize, Option<Budget>),
    Log(Pair, &'static str),
    List(usize, DeploymentQuery, PageRequest, Option<&'static str>),
    Devices(Pair, Vec<Status>, PageRequest),
    History(Pair, Vec<Status>, PageRequest),
}

fn pair(env: &Env) -> Pair {
    // Most of it happens in one of the tenants.
    let tenant = if env.below(4) == 0 { index(env, TENANTS) } else { 0 };
    Pair { tenant, nth: index(env, 3), device: index(env, DEVICES.len()) }
}

fn device(n: usize) -> Result<DeviceId> {
    DEVICES[n].parse().map_err(|e| Error::internal("id").because(e))
}

fn page(env: &Env) -> PageRequest {
    PageRequest::new(pick(env, &[1, 1, 2, 3]), pick(env, &[1, 2, 3, 20]))
}

fn statuses(env: &Env) -> Vec<Status> {
    (0..env.below(4)).map(|_| pick(env, &Status::ALL)).collect()
}

fn new(env: &Env) -> NewDeployment {
    let devices = (0..1 + env.below(5)).filter_map(|_| device(index(env, DEVICES.len())).ok());
    let some = Whom::Devices(devices.collect());
    let rare = pick(env, &[Whom::All, Whom::Group("group".into())]);
    NewDeployment {
        name: pick(env, &["nightly builds", "Nightly 2", "2 nights", "d1"]).into(),
        artifact_name: name(env, SEED),
        force_installation: env.below(2) == 0,
        whom: if env.below(6) == 0 { rare } else { some },
        course: course(env),
    }
}

fn course(env: &Env) -> Course {
    let batch = pick(env, &[Batch::Percent(40), Batch::Devices(1)]);
    let later = pick(env, &[env.now(), env.now() + Duration::from_secs(2)]);
    let failures = Threshold {
        side: Outcome::Failure,
        limit: pick(env, &[Batch::Percent(50), Batch::Devices(1)]),
        sample: env.below(2),
        remedy: pick(env, &[Remedy::Pause, Remedy::Abort]),
    };
    let thresholds = || if env.below(4) == 0 { vec![failures] } else { Vec::new() };
    let phase = NewPhase {
        batch: Some(batch),
        starts: pick(env, &[None, Some(later)]),
        needs_approval: env.below(4) == 0,
        thresholds: thresholds(),
    };
    let last = NewPhase { starts: Some(later), ..NewPhase::default() };
    let budget = Budget {
        parallel: pick(env, &[None, Some(1)]),
        bytes_per_second: pick(env, &[None, Some(1 + env.below(100))]),
    };
    let phases = Phases::Each(vec![phase, last]);
    let map = || Map::from_iter([("states é".to_owned(), json!({ "n": env.below(2) }))]);
    Course {
        phases: (env.below(4) == 0).then_some(phases),
        retries: pick(env, &[0, 0, 1]),
        control_map: (env.below(4) == 0).then(map),
        delta: env.below(4) == 0,
        priority: pick(env, &[0, 0, -1, 1]),
        windows: Vec::new(),
        thresholds: thresholds(),
        budget: (env.below(4) == 0).then_some(budget),
        silence_minutes: (env.below(4) == 0).then_some(1),
    }
}

fn request(env: &Env) -> Request {
    Request {
        artifact_name: pick(env, &["old", "", "a0"]).into(),
        device_type: pick(env, &["board", "", "", ""]).into(),
        provides: [].into(),
        control_map: env.below(2) == 0,
    }
}

fn query(env: &Env) -> DeploymentQuery {
    let progress =
        [Progress::Scheduled, Progress::Pending, Progress::InProgress, Progress::Finished];
    let some = |n| env.below(n) == 0;
    DeploymentQuery {
        progress: some(2).then(|| pick(env, &progress)),
        kind: some(4).then(|| pick(env, &["software", "configuration"])),
        names: some(6).then(|| vec![pick(env, &["d1", "Nightly 2"]).into()]),
        phrase: some(4).then(|| pick(env, &["nightly", "build nightly", "2"]).into()),
        device: if some(4) { device(index(env, DEVICES.len())).ok() } else { None },
        ascending: some(2),
        ..DeploymentQuery::default()
    }
}

impl Order {
    pub(super) fn random(env: &Env) -> Self {
        let pair = pair(env);
        match env.below(35) {
            0..4 => Self::Create(pair, new(env)),
            4..6 => Self::Configure(pair, pick(env, &["{}", "{}", "{\"é\":1}", "\0"])),
            6..14 => Self::Poll(pair, request(env)),
            14..20 => Self::Report(pair, pick(env, &Status::ALL), pick(env, &["", "half", "é"])),
            20 => Self::Abort(pair),
            21 => pick(env, &[Self::AbortDevice(pair.clone()), Self::Decommission(pair)]),
            22..24 => Self::Reset(pair),
            24 => Self::Log(pair, pick(env, &["it failed", "é\u{1}"])),
            25..28 => {
                let scope = pick(env, &[None, None, Some("group"), Some("grüppe")]);
                Self::List(pair.tenant, query(env), page(env), scope)
            }
            28..30 => Self::Devices(pair, statuses(env), page(env)),
            30..32 => Self::History(pair, statuses(env), page(env)),
            32 => Self::Pause(pair),
            33 => {
                let bytes_per_second = pick(env, &[None, Some(1 + env.below(100))]);
                let budget = Budget { parallel: pick(env, &[None, Some(1)]), bytes_per_second };
                Self::Share(pair.tenant, pick(env, &[None, Some(budget)]))
            }
            _ => Self::Resume(pair),
        }
    }

    pub(super) async fn answer(&self, side: &Side) -> Result<String> {
        let deployments = side.mender.deployments();
        match self {
            Self::Create(p, new) => {
                let (ctx, mut new) = (side.ctx(p.tenant), new.clone());
                if let Some(artifact) = side.some_artifact(p).await? {
                    new.artifact_name = artifact.content.name;
                }
                shown(deployments.create(&ctx, new).await)
            }
            Self::Configure(p, configuration) => {
                // The id is the caller's choice: one of a few.
                let id = format!("configuration {}", p.nth);
                let new = NewConfiguration {
                    id: id.parse().map_err(|_| Error::internal("id"))?,
                    device: device(p.device)?,
                    name: DEVICES[p.device].into(),
                    configuration: (*configuration).into(),
                    retries: u32::from(p.nth == 0),
                    control_map: None,
                };
                shown(deployments.configure(&side.ctx(p.tenant), new).await)
            }
            Self::Poll(p, request) => {
                let (ctx, mut request) = (side.ctx(p.tenant), request.clone());
                let artifact = side.some_artifact(p).await?;
                let fitting = artifact.and_then(|mut found| found.content.device_types.pop());
                if let Some(fitting) = fitting.filter(|_| request.device_type != "board") {
                    request.device_type = fitting;
                }
                let next = deployments.next(&ctx, &device(p.device)?, &request, "").await?;
                shown(Ok::<_, Error>(next.map(|next| match next {
                    Instructions::Install { deployment, artifact, .. } => {
                        (deployment, artifact.id.to_string())
                    }
                    Instructions::Configure { deployment } => {
                        (deployment.id.clone(), format!("{deployment:?}"))
                    }
                })))
            }
            Self::Report(p, status, substate) => {
                let (ctx, id) = side.nth(p).await?;
                let device = device(p.device)?;
                shown(deployments.report(&ctx, &id, &device, *status, substate).await)
            }
            Self::Abort(p) => {
                let (ctx, id) = side.nth(p).await?;
                shown(deployments.abort(&ctx, &id).await)
            }
            Self::AbortDevice(p) => {
                shown(deployments.abort_device(&side.ctx(p.tenant), &device(p.device)?).await)
            }
            Self::Decommission(p) => {
                shown(deployments.decommission(&side.ctx(p.tenant), &device(p.device)?).await)
            }
            Self::Reset(p) => {
                shown(deployments.reset_history(&side.ctx(p.tenant), &device(p.device)?).await)
            }
            Self::Pause(p) => {
                let (ctx, id) = side.nth(p).await?;
                shown(deployments.pause(&ctx, &id, "to look").await)
            }
            Self::Resume(p) => {
                let (ctx, id) = side.nth(p).await?;
                shown(deployments.resume(&ctx, &id).await)
            }
            Self::Share(tenant, budget) => {
                let ctx = side.ctx(*tenant);
                deployments.set_download_budget(&ctx, *budget).await?;
                shown(deployments.download_budget(&ctx).await)
            }
            Self::Log(p, text) => {
                let (ctx, id) = side.nth(p).await?;
                let device = device(p.device)?;
                let message = Message {
                    timestamp: "now".into(),
                    level: "info".into(),
                    message: (*text).into(),
                };
                deployments.put_log(&ctx, &id, &device, vec![message]).await?;
                shown(deployments.log(&ctx, &id, &device).await)
            }
            Self::List(t, query, page, scope) => {
                let mut ctx = side.ctx(*t);
                if let Some(group) = scope {
                    let groups = Some(vec![(*group).to_owned()]);
                    ctx.scope = Scope::Only { groups, tags: None };
                }
                shown(deployments.deployments(&ctx, query.clone(), *page).await)
            }
            Self::Devices(p, statuses, page) => {
                let (ctx, id) = side.nth(p).await?;
                let devices = deployments.devices(&ctx, &id, statuses, *page).await?;
                let targets: Vec<_> = deployments.targets(&ctx, &id).await?.try_collect().await?;
                shown(deployments.deployment(&ctx, &id).await.map(|d| (d, devices, targets)))
            }
            Self::History(p, statuses, page) => {
                let (ctx, device) = (side.ctx(p.tenant), device(p.device)?);
                shown(deployments.history(&ctx, &device, statuses, *page).await)
            }
        }
    }
}

impl Side {
    /// Everything that is known of a tenant's deployments.
    pub(super) async fn deployments(&self, tenant: usize) -> Result<Vec<String>> {
        let (ctx, deployments) = (self.ctx(tenant), self.mender.deployments());
        let page = PageRequest::new(1, 500);
        let (all, _) = deployments.deployments(&ctx, DeploymentQuery::default(), page).await?;
        let mut known = Vec::new();
        for one in &all {
            let id = &one.deployment.id;
            let all: Result<Vec<_>> = deployments.all_devices(&ctx, id).await?.try_collect().await;
            known.push(shown(all)?);
            let all: Result<Vec<_>> = deployments.targets(&ctx, id).await?.try_collect().await;
            known.push(shown(all)?);
        }
        let named = deployments.named(&ctx, all.iter().map(|one| &one.deployment));
        known.push(shown(named.try_collect::<Vec<_>>().await)?);
        known.push(shown(Ok::<_, Error>(all))?);
        for n in 0..DEVICES.len() {
            let device = device(n)?;
            known.push(shown(deployments.history(&ctx, &device, &[], page).await)?);
            known.push(shown(deployments.last_statuses(&ctx, &[device]).await)?);
        }
        Ok(known)
    }

    /// Finds an artifact by its place in the list.
    async fn some_artifact(&self, pair: &Pair) -> Result<Option<Artifact>> {
        let (ctx, query) = (self.ctx(pair.tenant), ArtifactQuery::default());
        let mut all = self.mender.artifacts().all_artifacts(&ctx, query).await?;
        let at = pair.nth.checked_rem(all.len());
        Ok(at.map(|at| all.swap_remove(at)))
    }

    /// Finds a deployment by its place in the list.
    async fn nth(&self, pair: &Pair) -> Result<(Ctx, DeploymentId)> {
        let (ctx, page) = (self.ctx(pair.tenant), PageRequest::new(1, 500));
        let query = DeploymentQuery::default();
        let (all, _) = self.mender.deployments().deployments(&ctx, query, page).await?;
        let at = pair.nth.checked_rem(all.len()).unwrap_or_default();
        let id = all.get(at).map(|shown| shown.deployment.id.clone());
        Ok((ctx, id.ok_or_else(|| Error::not_found("deployment"))?))
    }
}
