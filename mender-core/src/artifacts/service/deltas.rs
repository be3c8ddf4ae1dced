//! Deltas: how they are made, who asks for them, and the jobs that make them.

use std::collections::BTreeMap;

use crate::{
    artifacts::{
        logic::deltas::{self, CHECKSUM, KIND, checksum_of, image_of, is_delta},
        model::{
            Artifact, ArtifactId, ArtifactSettings, DeltaArgs, DeltaJob, DeltaJobId, DeltaSettings,
            DeltaStatus,
        },
        query::{ArtifactQuery, DeltaQuery},
        service::{Service, check_scope, deltas_work},
    },
    commit::Commit,
    ctx::Ctx,
    error::{Error, Kind, Result},
    page::PageRequest,
};

/// How many jobs are looked at together.
const CHUNK: usize = 100;

/// What a device provides where it can install deltas.
const MODULE: &str = "rootfs-image.update-module.mender-binary-delta.mender_update_module";
const MODULE_VERSION: &str = "rootfs-image.update-module.mender-binary-delta.version";
const VERSION: &str = "rootfs-image.version";

/// Why there is none where as many are being made as may.
const TOO_MANY: &str = "too many deltas are being made";

/// What a delta is asked for.
#[derive(Clone, Copy, Debug)]
pub struct DeltaRequest<'a> {
    /// The artifact that the device would be given.
    pub target: &'a ArtifactId,
    /// What the device provides.
    pub provides: &'a BTreeMap<String, String>,
    /// The deployment that gives it.
    pub deployment: Option<&'a str>,
    /// Where there is none yet, none is made: it is only told what would come of it.
    pub looks: bool,
}

/// What became of a delta that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum DeltaState {
    /// There can be none, for this reason: the artifact itself has to do.
    NotPossible(&'static str),
    /// There is none yet; it would be made for whoever does not only look.
    Absent,
    /// It will be there later.
    Generating(DeltaJobId),
    /// It is there.
    Ready(ArtifactId),
    /// There will be none: the artifact itself has to do.
    Failed(DeltaJobId),
}

fn not_found() -> Error {
    Error::not_found("Resource not found")
}

impl Service {
    /// Returns how deltas are made for the tenant; `None`: nobody said so, and none are.
    ///
    /// # Errors
    /// `Forbidden` for users who are limited to some devices or releases, and those of the store.
    pub async fn delta_settings(&self, ctx: &Ctx) -> Result<Option<DeltaSettings>> {
        check_scope(ctx)?;
        let own = self.settings(ctx).await?.delta.map(|own| *own);
        Ok(own.or_else(|| self.config.delta.enabled.then(|| self.usual_deltas())))
    }

    /// How deltas are made where nobody said so.
    fn usual_deltas(&self) -> DeltaSettings {
        DeltaSettings { enabled: self.config.delta.enabled, ..DeltaSettings::default() }
    }

    /// Says how deltas are made for the tenant from now on. `seen`: only where that is what this
    /// ETag says.
    ///
    /// # Errors
    /// `Invalid` for what no tool does, `Conflict` for another ETag, and those of the store.
    pub async fn configure_deltas(
        &self,
        ctx: &Ctx,
        new: DeltaSettings,
        seen: Option<&str>,
    ) -> Result<()> {
        let usual = self.usual_deltas();
        let decide = |was: Option<ArtifactSettings>| {
            deltas::configure(was, new.clone(), seen, &usual, self.now())
        };
        self.change_settings(ctx, decide).await
    }

    /// Chooses how deltas are encoded from now on. `seen`: as above.
    ///
    /// # Errors
    /// As above, `NotFound` where nothing is configured, and `Forbidden` where none are made, or for
    /// users who are limited to some devices or releases.
    pub async fn choose_delta_args(
        &self,
        ctx: &Ctx,
        args: DeltaArgs,
        seen: Option<&str>,
    ) -> Result<()> {
        check_scope(ctx)?;
        let usual = self.usual_deltas();
        let decide = |was: Option<ArtifactSettings>| {
            deltas::choose_args(was, args, seen, &usual, self.now())
        };
        self.change_settings(ctx, decide).await
    }

    /// Tells whether there is a delta that makes the artifact of what a device has; where there
    /// can be one, it is made, once for all devices, unless the request only looks.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delta(&self, ctx: &Ctx, request: DeltaRequest<'_>) -> Result<DeltaState> {
        let DeltaRequest { target, provides, deployment, looks } = request;
        let not = |why| Ok(DeltaState::NotPossible(why));
        let settings = self.delta_settings(ctx).await?.filter(|settings| settings.enabled);
        let Some(settings) = settings else { return not("deltas are not made") };
        let says = |key: &str| provides.get(key).map(String::as_str);
        let (Some(version), Some(checksum)) = (says(VERSION), says(CHECKSUM)) else {
            return not("the device does not say what it has");
        };
        if says(MODULE) != Some(KIND) || says(MODULE_VERSION).is_none() {
            return not("the device installs no deltas");
        }
        let Some(release) = self.store.release_of(&ctx.tenant, target).await? else {
            return not("there is no such artifact");
        };
        let Some(target) = release.artifact(target) else {
            return not("there is no such artifact");
        };
        let query = ArtifactQuery { image: Some(checksum.to_owned()), ..ArtifactQuery::default() };
        let sources = self.store.artifacts(&ctx.tenant, &query, 0, CHUNK).await?;
        let is_source = |source: &&Artifact| {
            let content = &source.content;
            content.provides.get(VERSION).is_some_and(|own| own == version)
                && content.device_types.iter().any(|t| target.content.device_types.contains(t))
        };
        let Some(source) = sources.iter().find(is_source) else {
            return not("there is no artifact of what the device has");
        };
        if let Err(why) = self.check_pair(source, target) {
            return not(why);
        }
        let mut known = release.artifacts.iter();
        if let Some(delta) = known.find(|a| is_delta(a, &source.content, &target.content)) {
            return Ok(DeltaState::Ready(delta.id.clone()));
        }
        let pair = DeltaJob::pair(&source.id, &target.id);
        let job = match self.store.delta_job(&ctx.tenant, &pair).await? {
            Some(job) => job,
            None if looks => {
                let has_room = deltas::has_room(&self.open_deltas(ctx).await?, &settings);
                return if has_room { Ok(DeltaState::Absent) } else { not(TOO_MANY) };
            }
            None => match self.queue(ctx, (source, target), deployment, &settings).await {
                Err(error) if error.kind == Kind::LimitReached => {
                    return not(TOO_MANY);
                }
                queued => queued?,
            },
        };
        Ok(match (job.status, job.delta) {
            (DeltaStatus::Queued | DeltaStatus::Pending, _) => DeltaState::Generating(job.id),
            (DeltaStatus::Success, Some(delta)) => DeltaState::Ready(delta),
            (DeltaStatus::Success, None) | (DeltaStatus::Failed, _) => DeltaState::Failed(job.id),
        })
    }

    /// Tells whether a delta can be made between two artifacts.
    fn check_pair(&self, source: &Artifact, target: &Artifact) -> Result<(), &'static str> {
        for artifact in [source, target] {
            if image_of(&artifact.content)?.size > self.config.delta.max_image {
                return Err("has too large an image");
            }
        }
        let (from, to) = (checksum_of(&source.content), checksum_of(&target.content));
        match (from, to) {
            (Some((_, from)), Some((_, to))) if from != to => Ok(()),
            (Some(_), Some(_)) => Err("has the same image"),
            _ => Err("does not provide the checksum of its image"),
        }
    }

    /// Has the delta between two releases made, for one type of devices, or the only one that
    /// both are for.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where there is a delta, or none can be made; `Forbidden` where none
    /// are, and for users who are limited to some tags; `LimitReached`; and those of the store.
    pub async fn make_delta(
        &self,
        ctx: &Ctx,
        (from, to): (&str, &str),
        device_type: Option<&str>,
    ) -> Result<DeltaJob> {
        check_scope(ctx)?;
        let settings = self.delta_settings(ctx).await?.filter(|settings| settings.enabled);
        let settings = settings.ok_or_else(|| Error::forbidden("delta generation is disabled"))?;
        let (from, to) = (self.release(ctx, from).await?, self.release(ctx, to).await?);
        let (source, target) = deltas::only_pair(&from, &to, device_type)?;
        if let Err(why) = self.check_pair(source, target) {
            return Err(Error::conflict(format!("an artifact {why}")));
        }
        if to.artifacts.iter().any(|a| is_delta(a, &source.content, &target.content)) {
            return Err(Error::conflict("there is a delta between these releases"));
        }
        let pair = DeltaJob::pair(&source.id, &target.id);
        match self.store.delta_job(&ctx.tenant, &pair).await? {
            Some(job) if job.status.is_open() => return Ok(job),
            Some(job) => self.forget_job(ctx, job).await?,
            None => {}
        }
        self.queue(ctx, (source, target), None, &settings).await
    }

    /// Stores a job, and has it run. Somebody else may do so at the same time: then it is theirs.
    async fn queue(
        &self,
        ctx: &Ctx,
        (source, target): (&Artifact, &Artifact),
        deployment: Option<&str>,
        settings: &DeltaSettings,
    ) -> Result<DeltaJob> {
        let env = self.kernel.env();
        let id = env.uuid().parse().map_err(|e| Error::internal("no id").because(e))?;
        let ids = (id, env.object_id());
        let deployment = deployment.map(str::to_owned);
        let job = deltas::new_job(ids, (source, target), deployment, settings, self.now());
        let open = self.open_deltas(ctx).await?;
        let commit = deltas::queue(job.clone(), &open, settings)?;
        self.put_delta_job(ctx, &job.pair, deltas_work::WATCH).await?;
        match self.commit_delta(ctx, commit).await {
            Ok(()) => Ok(job),
            Err(error) if error.is_stale() || error.kind == Kind::Conflict => {
                let theirs = self.store.delta_job(&ctx.tenant, &job.pair).await?;
                theirs.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the jobs that wait or work.
    pub(super) async fn open_deltas(&self, ctx: &Ctx) -> Result<Vec<DeltaJob>> {
        let query = DeltaQuery { open: true, ..DeltaQuery::default() };
        Ok(self.store.delta_jobs(&ctx.tenant, &query, 0, CHUNK).await?)
    }

    /// Returns a page of the jobs that make deltas, and how many there are.
    ///
    /// # Errors
    /// `Forbidden` for users who are limited to some tags, and those of the store.
    pub async fn delta_jobs(
        &self,
        ctx: &Ctx,
        query: &DeltaQuery,
        page: PageRequest,
    ) -> Result<(Vec<DeltaJob>, u64)> {
        check_scope(ctx)?;
        let limit = page.size as usize;
        let jobs = self.store.delta_jobs(&ctx.tenant, query, page.skip(), limit).await?;
        Ok((jobs, self.store.count_delta_jobs(&ctx.tenant, query).await?))
    }

    /// Returns a job that makes a delta.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for users who are limited to some tags, and those of the store.
    pub async fn delta_job(&self, ctx: &Ctx, id: &DeltaJobId) -> Result<DeltaJob> {
        check_scope(ctx)?;
        let query = DeltaQuery { id: Some(id.clone()), ..DeltaQuery::default() };
        let found = self.store.delta_jobs(&ctx.tenant, &query, 0, 1).await?.pop();
        found.ok_or_else(not_found)
    }

    /// Ends a job whose delta somebody else made, or did not; by any of its ids. What has ended,
    /// or never was, is no error.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_delta_job(&self, ctx: &Ctx, id: &str, success: bool) -> Result<()> {
        let attempt = || async {
            let open = self.open_deltas(ctx).await?;
            let is_meant = |job: &DeltaJob| job.worker_id == id || job.id.as_str() == id;
            let Some(job) = open.into_iter().find(is_meant) else { return Ok(()) };
            let made = if success { Ok(None) } else { Err("its worker failed") };
            self.commit_delta(ctx, deltas::finish(job, made, self.now())).await
        };
        self.kernel.retry(attempt).await
    }

    pub(super) async fn commit_delta(&self, ctx: &Ctx, commit: Commit<DeltaJob>) -> Result<()> {
        let write = |commit| self.store.commit_delta_job(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn forget_job(&self, ctx: &Ctx, job: DeltaJob) -> Result<()> {
        self.commit_delta(ctx, Commit::delete(job).quiet("jobs are only listed")).await
    }

    /// Forgets the jobs about an artifact, or all; whoever works on one finds it gone.
    pub(super) async fn forget_deltas(&self, ctx: &Ctx, about: Option<&ArtifactId>) -> Result<()> {
        let query = DeltaQuery { artifact: about.cloned(), ..DeltaQuery::default() };
        loop {
            let jobs = self.store.delta_jobs(&ctx.tenant, &query, 0, CHUNK).await?;
            if jobs.is_empty() {
                return Ok(());
            }
            for job in jobs {
                match self.forget_job(ctx, job).await {
                    // It goes on meanwhile: it is read again.
                    Err(error) if error.is_stale() => {}
                    forgotten => forgotten?,
                }
            }
        }
    }
}
