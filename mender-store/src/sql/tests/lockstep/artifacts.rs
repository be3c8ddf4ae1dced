//! Artifacts: releases, what left them, and what is on its way.

use mender_core::{
    Version,
    artifacts::{
        Artifact, ArtifactId, ArtifactSettings, DeltaJob, DeltaQuery, DeltaSettings, DeltaSizes,
        DeltaSort, DeltaStatus, Generate, Policy, Release, Retired, Store as _, Tag, Upload,
        UploadState, Work,
    },
    testing::release_queries::{
        artifact_query, kind_of_release, random_artifact, random_manifest, release_query,
    },
};

use super::{Pair, text};

impl Pair {
    fn tag(&self) -> Tag {
        Tag::new(self.pick(&["a", "b", "z.z", "_"])).unwrap()
    }

    /// Artifacts of a release in any order, each once; of another release's ids never.
    fn artifacts(&self, name: &str) -> Vec<Artifact> {
        let mut known = std::collections::HashSet::new();
        let make = |pair: &Self| {
            let make = if pair.maybe(6) { random_manifest } else { random_artifact };
            make(&pair.env, &format!("{name} {}", pair.below(6)), name)
        };
        let mut all = self.some(5, make);
        all.truncate(usize::try_from(self.below(6)).unwrap());
        all.retain(|artifact| known.insert(artifact.id.clone()));
        all
    }

    fn release(&self, name: &str) -> Release {
        let mut tags = self.some(4, Self::tag);
        tags.truncate(usize::try_from(self.below(4)).unwrap());
        Release {
            name: name.to_owned(),
            artifacts: self.artifacts(name),
            tags,
            notes: self.id(),
            modified: self.time(),
            leaving: self.maybe(3).then(|| self.time()),
            version: Version(self.time().0),
        }
    }

    /// A release of which most is as it was.
    fn changed(&self, was: &Release) -> Release {
        let new = self.release(&was.name);
        let mut to = Release { version: new.version, ..was.clone() };
        match self.below(6) {
            0 => to.notes = new.notes,
            1 => to.tags = new.tags,
            2 => to.leaving = new.leaving,
            3 => (to.artifacts, to.modified) = (new.artifacts, new.modified),
            4 => {
                let known = |new: &Artifact| to.artifacts.iter().any(|old| old.id == new.id);
                let more: Vec<Artifact> =
                    new.artifacts.into_iter().filter(|new| !known(new)).collect();
                to.artifacts.retain(|_| !self.maybe(4));
                to.artifacts.extend(more);
            }
            _ => {
                if let Some(last) = to.artifacts.last_mut() {
                    last.description = self.maybe(2).then(|| self.id());
                    last.modified = self.time();
                }
            }
        }
        to
    }

    pub(super) async fn commit_release(&self) {
        let (tenant, name) = (self.tenant(), self.id());
        let stored = both!(self, |s| s.release(&tenant, &name).await).unwrap();
        let new = match stored.as_ref().filter(|_| !self.maybe(5)) {
            Some(was) => self.changed(was),
            None => self.release(&name),
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_release(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.release(&tenant, &name).await);
    }

    pub(super) async fn read_releases(&self) {
        let tenant = self.tenant();
        for _ in 0..6 {
            let (skip, limit) = (self.below(4), self.pick(&[0, 1, 2, 5, 100]));
            let query = release_query(&self.env, 0);
            let _ = both!(self, |s| s.releases(&tenant, &query, skip, limit).await);
            let _ = both!(self, |s| s.count_releases(&tenant, &query).await);
            let query = artifact_query(&self.env, 0);
            let _ = both!(self, |s| s.artifacts(&tenant, &query, skip, limit).await);
            let _ = both!(self, |s| s.count_artifacts(&tenant, &query).await);
            let id: ArtifactId = format!("{} {}", self.id(), self.below(6)).parse().unwrap();
            let _ = both!(self, |s| s.release_of(&tenant, &id).await);
        }
        let of = kind_of_release(&self.env);
        let _ = both!(self, |s| s.release_tags(&tenant, of).await);
    }

    fn work(&self) -> Work {
        let generate = Generate {
            name: self.id(),
            description: self.id(),
            device_types: self.some(3, Self::id),
            args: self.id(),
        };
        self.pick(&[Work::Stream, Work::Verify, Work::Generate(generate)])
    }

    fn delta_job(&self, source: &ArtifactId, target: &ArtifactId) -> DeltaJob {
        let states =
            [DeltaStatus::Queued, DeltaStatus::Pending, DeltaStatus::Success, DeltaStatus::Failed];
        DeltaJob {
            pair: DeltaJob::pair(source, target),
            id: format!("{source} {target}").parse().unwrap(),
            worker_id: self.id(),
            source: source.clone(),
            target: target.clone(),
            from: self.id(),
            to: self.id(),
            device_types: self.some(3, Self::id),
            deployment: self.maybe(2).then(|| self.id()),
            sizes: DeltaSizes::default(),
            patience: std::time::Duration::from_secs(self.below(9)),
            status: self.pick(&states),
            started: self.time(),
            finished: self.maybe(2).then(|| self.time()),
            until: self.time(),
            notes: Vec::new(),
            target_size: None,
            delta_size: self.maybe(2).then(|| self.below(100)),
            delta: self.maybe(2).then(|| self.id().parse().unwrap()),
            version: Version(self.time().0),
        }
    }

    fn delta_query(&self) -> DeltaQuery {
        let sorts = [DeltaSort::Status, DeltaSort::Started, DeltaSort::From, DeltaSort::To];
        DeltaQuery {
            id: None,
            artifact: self.maybe(3).then(|| self.id().parse().unwrap()),
            deployment: self.maybe(4).then(|| self.id()),
            open: self.maybe(3),
            sort: self.pick(&sorts),
            descending: self.maybe(2),
        }
    }

    pub(super) async fn delta_jobs(&self) {
        let tenant = self.tenant();
        let (source, target) = (self.id().parse().unwrap(), self.id().parse().unwrap());
        let new = self.delta_job(&source, &target);
        let pair = new.pair.clone();
        let stored = both!(self, |s| s.delta_job(&tenant, &pair).await).unwrap();
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_delta_job(&tenant, commit.clone()).await);
        for _ in 0..4 {
            let (query, skip) = (self.delta_query(), self.below(3));
            let limit = self.pick(&[0, 1, 2, 100]);
            let _ = both!(self, |s| s.delta_jobs(&tenant, &query, skip, limit).await);
            let _ = both!(self, |s| s.count_delta_jobs(&tenant, &query).await);
        }
    }

    pub(super) async fn kept_artifacts(&self) {
        let (tenant, name) = (self.tenant(), self.id());
        let id: ArtifactId = name.parse().unwrap();
        let stored = both!(self, |s| s.retired(&tenant, &id).await).unwrap();
        let artifact = random_artifact(&self.env, &name, "r");
        let new = Retired { artifact, at: self.time(), version: Version(self.time().0) };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_retired(&tenant, commit.clone()).await);
        let _ = both!(self, |s| s.walk_retired(&tenant, None, 3).await);
        let _ = both!(self, |s| s.walk_retired(&tenant, Some(&id), 2).await);

        let stored = both!(self, |s| s.upload(&tenant, &id).await).unwrap();
        let states = [UploadState::Open, UploadState::Ready, UploadState::Running];
        let new = Upload {
            id: id.clone(),
            work: self.work(),
            state: self.pick(&states),
            until: self.time(),
            version: Version(self.time().0),
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_upload(&tenant, commit.clone()).await);

        let stored = both!(self, |s| s.artifact_settings(&tenant).await).unwrap();
        let new = ArtifactSettings {
            policy: self.pick(&[Policy::Any, Policy::Signed]),
            kinds: self.some(3, Self::id).into_iter().collect(),
            delta: self.maybe(2).then(Box::<DeltaSettings>::default),
            version: Version(self.time().0),
            ..ArtifactSettings::default()
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_artifact_settings(&tenant, commit.clone()).await);
    }
}
