//! What is asked of artifacts.

use super::command::{index, pick, shown};
use crate::{
    artifacts::{
        Artifact, ArtifactId, ArtifactQuery, DeltaArgs, DeltaQuery, Policy, Release, ReleaseKind,
        ReleaseQuery, Tag, logic,
    },
    ctx::{Ctx, Scope},
    env::Env,
    error::{Error, Result},
    page::PageRequest,
    testing::{
        lockstep::{Side, TENANTS},
        release_queries::{
            artifact_query, kind_of_release, name, random_artifact, random_manifest, release_query,
            tag,
        },
    },
};

/// Where the names of releases come from.
pub(super) const SEED: u64 = 7;

/// A release of a tenant; may exist or not.
#[derive(Clone, Debug)]
pub(super) struct Which {
    tenant: usize,
    name: String,
}

/// Something that is asked of artifacts. One of a release's artifacts is named by a number.
#[derive(Clone, Debug)]
pub(super) enum Handling {
    Add(Which, Box<Artifact>),
    Describe(Which, usize, String),
    Remove(Which, usize),
    RemoveAll(usize, Vec<String>),
    Tag(Which, Vec<Tag>),
    Note(Which, &'static str),
    Mark(Which, bool),
    Show(Which, usize),
    Releases(usize, ReleaseQuery, PageRequest, Option<Vec<Tag>>),
    Artifacts(usize, ArtifactQuery, PageRequest, Option<Vec<Tag>>),
    Tags(usize, Option<ReleaseKind>),
    AddManifest(Which, Box<Artifact>, Vec<Tag>),
    RemoveManifests(usize, Vec<String>),
    ChangeManifest(Which, Option<&'static str>, Option<Vec<Tag>>),
    Trust(usize, Policy),
    ChooseDeltaArgs(usize, u64),
    MakeDelta(Which, String),
}

fn which(env: &Env) -> Which {
    Which { tenant: index(env, TENANTS), name: name(env, SEED) }
}

fn tags(env: &Env) -> Vec<Tag> {
    (0..env.below(4)).map(|_| tag(env)).collect()
}

fn page(env: &Env) -> PageRequest {
    PageRequest::new(pick(env, &[1, 1, 2, 3]), pick(env, &[1, 2, 3, 20]))
}

impl Handling {
    pub(super) fn random(env: &Env) -> Self {
        let (tenant, n) = (index(env, TENANTS), index(env, 3));
        let scope = || (env.below(4) == 0).then(|| tags(env));
        match env.below(25) {
            0..6 => {
                let which = which(env);
                let new = random_artifact(env, "none yet", &which.name);
                Self::Add(which, Box::new(new))
            }
            6 => Self::Describe(which(env), n, pick(env, &["", "text", "TEXT é"]).into()),
            7 => Self::Remove(which(env), n),
            8 => {
                let names = (0..=env.below(2)).map(|_| name(env, SEED));
                Self::RemoveAll(tenant, names.collect())
            }
            9..11 => Self::Tag(which(env), tags(env)),
            11 => Self::Note(which(env), pick(env, &["", "noted", "nötes\u{0}"])),
            12 => Self::Mark(which(env), env.below(2) == 0),
            13 => Self::Show(which(env), n),
            14..16 => Self::Releases(tenant, release_query(env, SEED), page(env), scope()),
            16..18 => Self::Artifacts(tenant, artifact_query(env, SEED), page(env), scope()),
            18 => Self::Tags(tenant, kind_of_release(env)),
            22 => {
                let which = which(env);
                let new = random_manifest(env, "none yet", &which.name);
                Self::AddManifest(which, Box::new(new), tags(env))
            }
            23 => Self::RemoveManifests(tenant, vec![name(env, SEED), name(env, SEED)]),
            24 => {
                let notes = pick(env, &[None, Some("noted"), Some("\u{0}")]);
                Self::ChangeManifest(which(env), notes, scope())
            }
            19 => Self::ChooseDeltaArgs(tenant, env.below(12)),
            20 => Self::MakeDelta(which(env), name(env, SEED)),
            _ => Self::Trust(tenant, pick(env, &[Policy::Any, Policy::Signed])),
        }
    }

    pub(super) async fn answer(&self, side: &Side) -> Result<String> {
        let artifacts = side.mender.artifacts();
        match self {
            Self::Add(w, new) => {
                let (ctx, env) = (side.ctx(w.tenant), side.mender.env());
                let was = artifacts.release(&ctx, &w.name).await.ok();
                let id = env.uuid().parse().map_err(|_| Error::internal("id"))?;
                let new = Artifact { id, stored: env.now(), ..(**new).clone() };
                let commit = logic::add(was, new, env.now())?;
                shown(side.mender.commit_release(&ctx, commit).await)
            }
            Self::Describe(w, n, text) => {
                let (ctx, release) = side.release(w).await?;
                shown(artifacts.describe(&ctx, &nth(&release, *n)?, text).await)
            }
            Self::Remove(w, n) => {
                let (ctx, release) = side.release(w).await?;
                shown(artifacts.delete_artifact(&ctx, &nth(&release, *n)?).await)
            }
            Self::RemoveAll(t, names) => {
                shown(artifacts.delete_releases(&side.ctx(*t), names).await)
            }
            Self::Tag(w, tags) => shown(artifacts.tag(&side.ctx(w.tenant), &w.name, tags).await),
            Self::Note(w, text) => shown(artifacts.note(&side.ctx(w.tenant), &w.name, text).await),
            Self::Mark(w, leaving) => {
                let (ctx, release) = side.release(w).await?;
                let commit = logic::mark(release, leaving.then(|| side.mender.env().now()));
                shown(side.mender.commit_release(&ctx, commit).await)
            }
            Self::Show(w, n) => {
                let (ctx, release) = side.release(w).await?;
                let artifact = artifacts.artifact(&ctx, &nth(&release, *n)?).await;
                shown(artifact.map(|artifact| (release, artifact)))
            }
            Self::Releases(t, query, page, scope) => {
                let ctx = side.scoped(*t, scope.as_deref());
                let found = artifacts.releases(&ctx, query.clone(), *page).await?;
                let count = artifacts.count_releases(&ctx, query.clone()).await;
                shown(count.map(|count| (count, found)))
            }
            Self::Artifacts(t, query, page, scope) => {
                let ctx = side.scoped(*t, scope.as_deref());
                let found = artifacts.artifacts(&ctx, query.clone(), *page).await?;
                let count = artifacts.count_artifacts(&ctx, query.clone()).await;
                shown(count.map(|count| (count, found)))
            }
            Self::Tags(t, of) => shown(artifacts.release_tags(&side.ctx(*t), *of).await),
            Self::AddManifest(w, new, tags) => {
                let (ctx, env) = (side.ctx(w.tenant), side.mender.env());
                let id = env.uuid().parse().map_err(|_| Error::internal("id"))?;
                let new = Artifact { id, stored: env.now(), ..(**new).clone() };
                let was = artifacts.manifest(&ctx, &w.name).await.ok();
                let commit = logic::add_manifest(was, new, tags.clone(), env.now())?;
                shown(side.mender.commit_release(&ctx, commit).await)
            }
            Self::RemoveManifests(t, names) => {
                shown(artifacts.delete_manifests(&side.ctx(*t), names).await)
            }
            Self::ChangeManifest(w, notes, tags) => {
                let ctx = side.ctx(w.tenant);
                let changed = artifacts.annotate_manifest(&ctx, &w.name, *notes, tags.as_deref());
                shown(changed.await)
            }
            Self::ChooseDeltaArgs(t, level) => {
                let args = DeltaArgs { compression_level: Some(*level), ..DeltaArgs::default() };
                shown(artifacts.choose_delta_args(&side.ctx(*t), args, None).await)
            }
            Self::MakeDelta(w, to) => {
                shown(artifacts.make_delta(&side.ctx(w.tenant), (&w.name, to), None).await)
            }
            Self::Trust(t, policy) => {
                let ctx = side.ctx(*t);
                artifacts.trust(&ctx, *policy, &[]).await?;
                shown(artifacts.settings(&ctx).await)
            }
        }
    }
}

fn nth(release: &Release, n: usize) -> Result<ArtifactId> {
    let at = n.checked_rem(release.artifacts.len()).unwrap_or_default();
    let found = release.artifacts.get(at).map(|artifact| artifact.id.clone());
    found.ok_or_else(|| Error::not_found("artifact"))
}

impl Side {
    /// Everything that is known of a tenant's artifacts.
    pub(super) async fn artifacts(&self, tenant: usize) -> Result<Vec<String>> {
        let (ctx, artifacts) = (self.ctx(tenant), self.mender.artifacts());
        let page = PageRequest::new(1, 500);
        Ok(vec![
            shown(artifacts.releases(&ctx, ReleaseQuery::default(), page).await)?,
            shown(artifacts.all_artifacts(&ctx, ArtifactQuery::default()).await)?,
            shown(artifacts.release_tags(&ctx, None).await)?,
            shown(artifacts.settings(&ctx).await)?,
            shown(artifacts.delta_jobs(&ctx, &DeltaQuery::default(), page).await)?,
        ])
    }

    async fn release(&self, which: &Which) -> Result<(Ctx, Release)> {
        let ctx = self.ctx(which.tenant);
        let release = self.mender.artifacts().release(&ctx, &which.name).await?;
        Ok((ctx, release))
    }

    fn scoped(&self, tenant: usize, tags: Option<&[Tag]>) -> Ctx {
        let mut ctx = self.ctx(tenant);
        if let Some(tags) = tags {
            let tags = tags.iter().map(|tag| tag.as_str().to_owned()).collect();
            ctx.scope = Scope::Only { groups: None, tags: Some(tags) };
        }
        ctx
    }
}
