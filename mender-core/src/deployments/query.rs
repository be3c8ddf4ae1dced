//! Which deployments are meant.

use crate::{
    deployments::model::{Deployment, DeploymentId},
    env::Time,
    id::DeviceId,
};

/// How far deployments are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Progress {
    /// Its first phase has yet to begin.
    Scheduled,
    /// No device has done more than to ask.
    Pending,
    /// A device has.
    InProgress,
    /// It has ended.
    Finished,
}

/// Which deployments are meant; the newest come first.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct DeploymentQuery {
    /// How far they are.
    pub progress: Option<Progress>,
    /// By which time that is, for those that have yet to begin.
    pub now: Time,
    /// `software` or `configuration`.
    pub kind: Option<&'static str>,
    /// One of these.
    pub ids: Option<Vec<DeploymentId>>,
    /// Of one of these names.
    pub names: Option<Vec<String>>,
    /// With these words beside each other in a name.
    pub phrase: Option<String>,
    /// For this device: named like it, or it was meant.
    pub device: Option<DeviceId>,
    /// Created then or later.
    pub from: Option<Time>,
    /// Created then or earlier.
    pub to: Option<Time>,
    /// Of one of these groups.
    pub groups: Option<Vec<String>>,
    /// The oldest come first.
    pub ascending: bool,
}

/// Splits text into words as they are looked for.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let stemmer = rust_stemmers::Stemmer::create(rust_stemmers::Algorithm::English);
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| stemmer.stem(&part.to_lowercase()).into_owned()).collect()
}

impl DeploymentQuery {
    /// Tells whether a deployment is meant, as far as it tells by itself: not by how far it is, nor
    /// by its devices.
    #[must_use]
    pub fn fits(&self, deployment: &Deployment) -> bool {
        let Self {
            progress,
            now,
            kind,
            ids,
            names,
            phrase: _,
            device: _,
            from,
            to,
            groups,
            ascending: _,
        } = self;
        let finished = deployment.is_finished();
        let is_at = |progress| match progress {
            Progress::Scheduled => deployment.is_scheduled(*now),
            Progress::Pending => !finished && !deployment.is_scheduled(*now),
            Progress::InProgress => !finished,
            Progress::Finished => finished,
        };
        progress.is_none_or(is_at)
            && kind.is_none_or(|kind| kind == deployment.payload.kind())
            && ids.as_ref().is_none_or(|ids| ids.contains(&deployment.id))
            && names.as_ref().is_none_or(|names| names.contains(&deployment.name))
            && self.fits_names([&deployment.name, &deployment.artifact_name])
            && from.is_none_or(|from| deployment.created >= from)
            && to.is_none_or(|to| deployment.created <= to)
            && groups
                .as_ref()
                .is_none_or(|groups| deployment.groups.iter().any(|g| groups.contains(g)))
    }

    /// Tells whether one of these texts has the words of the phrase beside each other. No phrase
    /// is in all of them, one without words in none.
    #[must_use]
    pub fn fits_names(&self, names: [&str; 2]) -> bool {
        let Some(phrase) = self.phrase.as_deref().map(words) else {
            return true;
        };
        let has = |name: &str| words(name).windows(phrase.len()).any(|part| part == phrase);
        !phrase.is_empty() && names.into_iter().any(has)
    }
}
