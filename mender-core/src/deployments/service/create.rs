use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Service, fill::complete_job, is_duplicate};
use crate::{
    commit::Commit,
    ctx::{Actor, Ctx},
    deployments::{
        logic::{self, MAX_ARTIFACT_NAME, MAX_NAME, MAX_RETRIES, Phases, plan},
        model::{
            Audience, Budget, CHUNK, Conduct, Deployment, DeploymentId, DeviceDeployment, Payload,
            Rollout, State, Targets, Threshold, Window,
        },
        query::{DeploymentQuery, Progress},
    },
    env::Time,
    error::{Error, Kind, Result, StoreError},
    id::{DeviceId, UserId, Version},
    inventory::{Filter, FilterId},
    secret::token_hash,
};

/// How many bytes a control map may have.
const MAX_MAP: usize = 64 << 10;

/// For whom a deployment is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// These devices, known or not.
    Devices(Vec<DeviceId>),
    /// The accepted devices that a static group has now.
    Group(String),
    /// The devices that are accepted now.
    All,
    /// Devices that are accepted and fit a saved filter when they ask; they join one by one.
    Filter {
        /// The filter, as it is now.
        id: FilterId,
        /// At most so many devices, after which it ends; 0: as many as ask, until it is aborted.
        max_devices: u64,
    },
}

/// What is wanted of a new deployment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewDeployment {
    /// Its name.
    pub name: String,
    /// The name of the release.
    pub artifact_name: String,
    /// Devices install what they have already.
    pub force_installation: bool,
    /// For whom it is.
    pub whom: Whom,
    /// How it goes about it.
    pub course: Course,
}

/// How a new deployment goes about it. By default: all devices at once, each once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Course {
    /// In which phases; `None`: all devices at once.
    pub phases: Option<Phases>,
    /// How often a device that failed tries again.
    pub retries: u32,
    /// Where devices wait for a word, as they understand it.
    pub control_map: Option<Map<String, Value>>,
    /// Devices get deltas where there can be any.
    pub delta: bool,
    /// Of two deployments for a device, the one with the greater priority comes first.
    pub priority: i32,
    /// When devices may begin; none: at any time.
    pub windows: Vec<Window>,
    /// What stops the whole of it.
    pub thresholds: Vec<Threshold>,
    /// What may be fetched at once.
    pub budget: Option<Budget>,
    /// After how many minutes a device that began and says nothing more has failed.
    pub silence_minutes: Option<u32>,
}

/// Returns the user who calls.
pub(super) fn user_of(ctx: &Ctx) -> Option<UserId> {
    match &ctx.actor {
        Actor::User(id) => Some(id.clone()),
        Actor::Device(_) | Actor::System => None,
    }
}

/// For whom a deployment turns out to be.
struct Resolved {
    audience: Audience,
    /// Those who are meant; none where devices join later.
    devices: Vec<DeviceId>,
    max_devices: u64,
}

/// Names the deployment in a control map.
pub(super) fn named(mut map: Map<String, Value>, id: &DeploymentId) -> Map<String, Value> {
    map.insert("id".into(), id.as_str().into());
    map
}

/// Checks a control map: every store can keep it.
pub(super) fn check_map(map: &Map<String, Value>) -> Result<()> {
    let text = serde_json::to_string(map).unwrap_or_default();
    if text.len() > MAX_MAP {
        return Err(Error::invalid("update_control_map", "too long"));
    }
    if text.contains("\\u0000") {
        return Err(Error::invalid("update_control_map", "U+0000 can't be kept"));
    }
    Ok(())
}

/// Checks the names of a deployment.
pub(super) fn check_names(name: &str, artifact_name: &str) -> Result<()> {
    let texts = [
        ("name", name, MAX_NAME, "the length must be no more than 256"),
        (
            "artifact_name",
            artifact_name,
            MAX_ARTIFACT_NAME,
            "the length must be between 1 and 4096",
        ),
    ];
    for (field, text, max, too_long) in texts {
        if text.is_empty() {
            return Err(Error::invalid(field, "cannot be blank"));
        }
        if text.len() > max {
            return Err(Error::invalid(field, too_long));
        }
        if text.contains('\0') {
            return Err(Error::invalid(field, "U+0000 can't be kept"));
        }
    }
    Ok(())
}

/// Refuses what another open deployment brings to the same devices.
fn duplicate() -> Error {
    let what = "there is already an active deployment with the same parameters";
    Error::conflict(format!("Invalid deployment definition: {what}"))
}

/// Refuses a deployment that has nothing to give.
fn no_artifact() -> Error {
    Error::invalid("release", "No artifact for the deployment")
}

impl Service {
    /// Creates a deployment.
    ///
    /// # Errors
    /// `Invalid { devices }` where there are none, `Invalid { release }` where there is no such
    /// release, `Conflict` where the same is open, `Forbidden` for users who may not reach those
    /// devices or that release, `LimitReached` beyond the limit of active ones, and those of the
    /// stores.
    pub async fn create(&self, ctx: &Ctx, new: NewDeployment) -> Result<DeploymentId> {
        let NewDeployment { name, artifact_name, force_installation, whom, course } = new;
        check_names(&name, &artifact_name)?;
        self.check_whom(ctx, &whom).await?;
        let all = whom == Whom::All;
        let Resolved { audience, devices, max_devices } = self.resolve(ctx, whom).await?;
        let total = match &audience {
            Audience::Filter { initial, .. } => *initial,
            _ => devices.len() as u64,
        };
        let is_dynamic = matches!(audience, Audience::Filter { .. });
        if total == 0 && !(is_dynamic && course.phases.is_none()) {
            return Err(Error::invalid("devices", "No devices for the deployment"));
        }
        let groups = self.groups_of(ctx, &audience, &devices).await?;
        if !self.releases.is_visible(ctx, &artifact_name).await? {
            // Whether there is one is not told to those who may not see it.
            return Err(match ctx.scope.tags() {
                Some(_) => Error::forbidden("a release outside of the tags of the user"),
                None => no_artifact(),
            });
        }
        self.check_active(ctx).await?;
        let id = self.new_id()?;
        let rollout = self.rollout(&id, course, total)?;
        let mut same = json!([name, artifact_name, devices, all, force_installation]);
        if let (Audience::Filter { id, .. }, Some(same)) = (&audience, same.as_array_mut()) {
            same.push(json!([id, max_devices]));
        }
        let deployment = Deployment {
            id,
            name,
            artifact_name,
            force_installation,
            payload: Payload::Software,
            audience,
            groups,
            fingerprint: Some(token_hash(&same.to_string())),
            max_devices,
            rollout,
            conduct: Conduct { creator: user_of(ctx), ..Conduct::default() },
            ticket: self.kernel.env().uuid(),
            created: self.now(),
            state: State::Filling,
            finished: None,
            artifacts: Vec::new(),
            tally: None,
            version: Version::FIRST,
        };
        self.place(ctx, deployment, devices)
            .await
            .map_err(|error| if is_duplicate(&error) { duplicate() } else { error })
    }

    /// Refuses users of some groups what is for more than one of them, or for one device of them.
    async fn check_whom(&self, ctx: &Ctx, whom: &Whom) -> Result<()> {
        if ctx.scope.groups().is_none() {
            return Ok(());
        }
        let may = match whom {
            Whom::Devices(devices) => match &devices[..] {
                [device, more @ ..] if more.iter().all(|other| other == device) => {
                    return self.check_device(ctx, device).await;
                }
                _ => false,
            },
            Whom::Group(group) => ctx.scope.has_group(Some(group)),
            Whom::All | Whom::Filter { .. } => false,
        };
        if may {
            return Ok(());
        }
        Err(Error::forbidden("devices outside of the groups of the user"))
    }

    /// Refuses a deployment beyond as many as a tenant may have at a time.
    async fn check_active(&self, ctx: &Ctx) -> Result<()> {
        let Some(limit) = self.config.max_active else { return Ok(()) };
        let mut active = 0;
        for progress in [Progress::Scheduled, Progress::Pending, Progress::InProgress] {
            let query = DeploymentQuery {
                progress: Some(progress),
                now: self.now(),
                kind: Some(Payload::Software.kind()),
                ..DeploymentQuery::default()
            };
            active += self.store.count_deployments(&ctx.tenant, &query).await?;
        }
        if active < limit {
            return Ok(());
        }
        let what = format!("no more than {limit} deployments may be active");
        Err(Error::new(Kind::LimitReached, what))
    }

    /// Plans how a deployment for so many devices goes about it.
    pub(super) fn rollout(
        &self,
        id: &DeploymentId,
        course: Course,
        devices: u64,
    ) -> Result<Rollout> {
        let Course { phases, retries, control_map, delta, .. } = course;
        if retries > MAX_RETRIES {
            return Err(Error::invalid("retries", "must be no greater than 100"));
        }
        // None at all is a map that nobody gave.
        let control_map = control_map.filter(|map| !map.is_empty());
        control_map.as_ref().map(check_map).transpose()?;
        let planned = match &phases {
            Some(asked) => plan(asked, devices, self.now(), || self.kernel.env().uuid())?,
            None => Vec::new(),
        };
        let uniform = match phases {
            Some(Phases::Uniform(uniform)) => Some(uniform),
            _ => None,
        };
        let control_map = control_map.map(|map| named(map, id));
        let Course { priority, windows, thresholds, budget, silence_minutes, .. } = course;
        let rollout = Rollout {
            phases: planned,
            uniform,
            retries,
            control_map,
            delta,
            priority,
            windows,
            thresholds,
            budget: budget.filter(Budget::is_any),
            silence_minutes,
        };
        logic::check(&rollout)?;
        Ok(rollout)
    }

    pub(super) fn new_id(&self) -> Result<DeploymentId> {
        self.kernel.env().uuid().parse().map_err(|e| Error::internal("id").because(e))
    }

    async fn resolve(&self, ctx: &Ctx, whom: Whom) -> Result<Resolved> {
        let (audience, devices) = match whom {
            Whom::Devices(mut devices) => {
                let mut seen = HashSet::new();
                devices.retain(|device| seen.insert(device.clone()));
                (Audience::Devices, devices)
            }
            Whom::Group(group) => {
                let devices = self.fleet.accepted(&ctx.tenant, Some(&group)).await?;
                (Audience::Group(group), devices)
            }
            Whom::All => (Audience::All, self.fleet.accepted(&ctx.tenant, None).await?),
            Whom::Filter { id, max_devices } => {
                let Some(filter) = self.fleet.filter(ctx, &id).await? else {
                    return Err(Error::invalid("filter_id", "there is no such filter"));
                };
                let Filter { name, terms, .. } = filter;
                let initial = self.fleet.count(&ctx.tenant, &terms).await?;
                let audience = Audience::Filter { id, name, terms, initial };
                return Ok(Resolved { audience, devices: Vec::new(), max_devices });
            }
        };
        let max_devices = devices.len() as u64;
        Ok(Resolved { audience, devices, max_devices })
    }

    /// Returns the groups that a deployment concerns: that of its only device, or the one meant.
    pub(super) async fn groups_of(
        &self,
        ctx: &Ctx,
        audience: &Audience,
        devices: &[DeviceId],
    ) -> Result<Vec<String>> {
        Ok(match (audience, devices) {
            (Audience::Group(group), _) => vec![group.clone()],
            (_, [device]) => self.fleet.group_of(&ctx.tenant, device).await?.into_iter().collect(),
            _ => Vec::new(),
        })
    }

    /// Stores a deployment: its devices first, then itself, which makes them its own; then its rows.
    pub(super) async fn place(
        &self,
        ctx: &Ctx,
        deployment: Deployment,
        devices: Vec<DeviceId>,
    ) -> Result<DeploymentId> {
        let id = deployment.id.clone();
        let job = complete_job(&ctx.tenant, &id, &deployment.ticket, self.now());
        self.kernel.jobs.put_jobs(&[job]).await?;
        for (n, chunk) in devices.chunks(CHUNK).enumerate() {
            let targets = Targets::new(&deployment.ticket, n, chunk);
            let commit = Commit::insert(targets).quiet("the deployment is told");
            self.commit_targets(ctx, commit).await?;
        }
        let is_software = deployment.payload == Payload::Software;
        let (ticket, release) = (deployment.ticket.clone(), deployment.artifact_name.clone());
        let deployment = match Box::pin(self.store_new(ctx, deployment)).await {
            Ok(deployment) => deployment,
            Err(error) => {
                // Of anything else nobody knows whether it was stored: the job finds out.
                if is_duplicate(&error) || error.is_stale() {
                    self.drop_targets(ctx, &ticket).await?;
                }
                return Err(error);
            }
        };
        // Whoever deletes the release marks it first, and then looks for deployments.
        if is_software && self.releases.of_release(&ctx.tenant, &release).await?.is_empty() {
            self.commit(ctx, logic::forget(deployment)).await?;
            return Err(no_artifact());
        }
        self.begin_watch(ctx, &deployment).await?;
        self.begin_walk(ctx, &id, devices.len()).await?;
        Ok(id)
    }

    /// Stores a deployment that is newer than all that there were, and returns it.
    async fn store_new(&self, ctx: &Ctx, deployment: Deployment) -> Result<Deployment> {
        // Of those that come at once all but one would be refused, each time.
        let _turn = self.turn.lock().await;
        let attempt = || async {
            let mut deployment = deployment.clone();
            let last = self.quotas.quota(&ctx.tenant, logic::CREATED).await?.used;
            let last = match last {
                // Those that are there may be older than the quota.
                0 => self.store.newest_deployment(&ctx.tenant).await?.unwrap_or_default(),
                last => Time(last),
            };
            deployment.created = self.now().max(Time(last.0 + 1));
            match self.commit(ctx, logic::create(deployment.clone())).await {
                Ok(()) => Ok(Ok(deployment)),
                // Another one was created by then. Nothing else that it draws on is limited.
                Err(error) if error.kind == Kind::LimitReached => {
                    Err(Error::from(StoreError::Conflict))
                }
                Err(error) => Ok(Err(error)),
            }
        };
        self.kernel.retry(attempt).await?
    }

    pub(super) fn rows(deployment: &Deployment, devices: &[DeviceId]) -> Vec<DeviceDeployment> {
        let row = |device: &DeviceId| {
            DeviceDeployment::waiting(&deployment.id, device.clone(), deployment.created)
        };
        devices.iter().map(row).collect()
    }
}
