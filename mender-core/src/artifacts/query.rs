//! Which releases and artifacts are meant, and their order.

use std::cmp::Ordering;

use crate::artifacts::model::{Artifact, ArtifactId, DeltaJob, DeltaJobId, Release};

/// Brings text into the form in which case does not matter.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// What a text must be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Text {
    /// One of these.
    Is(Vec<String>),
    /// Longer than this, or this.
    Starts(String),
    /// The same whatever the case; folded.
    StartsAnyCase(String),
    /// With this in it whatever the case; folded.
    Contains(String),
}

impl Text {
    /// Begins with this, whatever the case.
    #[must_use]
    pub fn starts_any_case(text: &str) -> Self {
        Self::StartsAnyCase(fold(text))
    }

    /// Has this in it, whatever the case.
    #[must_use]
    pub fn contains(text: &str) -> Self {
        Self::Contains(fold(text))
    }

    /// Tells whether a text is meant.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|t| t == text),
            Self::Starts(start) => text.starts_with(start),
            Self::StartsAnyCase(start) => fold(text).starts_with(start),
            Self::Contains(part) => fold(text).contains(part),
        }
    }
}

fn fits(wanted: Option<&Text>, text: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.fits(text))
}

fn fits_any<'a>(wanted: Option<&Text>, texts: impl IntoIterator<Item = &'a String>) -> bool {
    wanted.is_none_or(|wanted| texts.into_iter().any(|text| wanted.fits(text)))
}

/// What releases are sorted by; where that is alike, by name.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ReleaseSort {
    /// Their names.
    #[default]
    Name,
    /// When they were modified.
    Modified,
    /// The number of their artifacts.
    Artifacts,
    /// Their first tag, or last one where the greatest come first; those without come first, or
    /// last.
    Tags,
}

/// What releases are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReleaseKind {
    /// Artifacts that devices install.
    Release,
    /// A manifest.
    Manifest,
}

impl ReleaseKind {
    /// Tells whether a release is this.
    #[must_use]
    pub fn fits(self, release: &Release) -> bool {
        release.is_manifest() == (self == Self::Manifest)
    }
}

/// Which releases are meant.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ReleaseQuery {
    /// What they are.
    pub of: Option<ReleaseKind>,
    /// What their names must be.
    pub name: Option<Text>,
    /// What the description of one of their artifacts must be.
    pub description: Option<Text>,
    /// What a device type of one of their artifacts must be.
    pub device_type: Option<Text>,
    /// What installs a payload of one of their artifacts.
    pub kind: Option<String>,
    /// They have one tag of each of these lists.
    pub tags: Vec<Vec<String>>,
    /// What they are sorted by.
    pub sort: ReleaseSort,
    /// Whether the greatest come first.
    pub descending: bool,
}

impl ReleaseQuery {
    /// Tells whether a release is meant.
    #[must_use]
    pub fn fits(&self, release: &Release) -> bool {
        let artifacts = &release.artifacts;
        self.of.is_none_or(|of| of.fits(release))
            && fits(self.name.as_ref(), &release.name)
            && fits_any(
                self.description.as_ref(),
                artifacts.iter().filter_map(|artifact| artifact.description.as_ref()),
            )
            && fits_any(
                self.device_type.as_ref(),
                artifacts.iter().flat_map(|artifact| &artifact.content.device_types),
            )
            && self.kind.as_deref().is_none_or(|kind| release.kinds().contains(kind))
            && has_tags(&self.tags, release)
    }

    /// Compares releases in the order asked for.
    #[must_use]
    pub fn compare(&self, a: &Release, b: &Release) -> Ordering {
        let tag = |release: &Release| match self.descending {
            false => release.tags.iter().min().cloned(),
            true => release.tags.iter().max().cloned(),
        };
        let order = match self.sort {
            ReleaseSort::Name => Ordering::Equal,
            ReleaseSort::Modified => a.modified.cmp(&b.modified),
            ReleaseSort::Artifacts => a.artifacts.len().cmp(&b.artifacts.len()),
            ReleaseSort::Tags => tag(a).cmp(&tag(b)),
        };
        directed(order.then_with(|| a.name.cmp(&b.name)), self.descending)
    }
}

fn has_tags(wanted: &[Vec<String>], release: &Release) -> bool {
    let has = |tag: &String| release.tags.iter().any(|own| own.as_str() == tag);
    wanted.iter().all(|any| any.iter().any(has))
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// What artifacts are sorted by; where that is alike, by id.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ArtifactSort {
    /// Their names.
    #[default]
    Name,
    /// When they were modified.
    Modified,
    /// Nothing but their ids.
    Id,
}

/// Which artifacts are meant.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ArtifactQuery {
    /// What their names must be.
    pub name: Option<Text>,
    /// What their descriptions must be; one without has an empty one.
    pub description: Option<Text>,
    /// What one of their device types must be.
    pub device_type: Option<Text>,
    /// Their releases have one tag of each of these lists.
    pub tags: Vec<Vec<String>>,
    /// The checksum of the root file system image that they install.
    pub image: Option<String>,
    /// What they are sorted by.
    pub sort: ArtifactSort,
    /// Whether the greatest come first.
    pub descending: bool,
}

impl ArtifactQuery {
    /// Tells whether an artifact of a release is meant.
    #[must_use]
    pub fn fits(&self, release: &Release, artifact: &Artifact) -> bool {
        fits(self.name.as_ref(), &release.name)
            && fits(self.description.as_ref(), artifact.description.as_deref().unwrap_or(""))
            && fits_any(self.device_type.as_ref(), &artifact.content.device_types)
            && self.image.as_deref().is_none_or(|sum| artifact.image() == Some(sum))
            && has_tags(&self.tags, release)
    }

    /// Compares artifacts in the order asked for.
    #[must_use]
    pub fn compare(&self, a: &Artifact, b: &Artifact) -> Ordering {
        let order = match self.sort {
            ArtifactSort::Name => a.content.name.cmp(&b.content.name),
            ArtifactSort::Modified => a.modified.cmp(&b.modified),
            ArtifactSort::Id => Ordering::Equal,
        };
        directed(order.then_with(|| a.id.cmp(&b.id)), self.descending)
    }
}

/// What jobs that make deltas are sorted by; where that is alike, by id.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum DeltaSort {
    /// What clients call their status.
    #[default]
    Status,
    /// When they started.
    Started,
    /// The name of the source.
    From,
    /// The name of the target.
    To,
}

/// Which jobs that make deltas are meant.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct DeltaQuery {
    /// The one with this id.
    pub id: Option<DeltaJobId>,
    /// Those about this artifact: source, target or delta.
    pub artifact: Option<ArtifactId>,
    /// Those that this deployment asked for.
    pub deployment: Option<String>,
    /// Those that wait or work.
    pub open: bool,
    /// What they are sorted by.
    pub sort: DeltaSort,
    /// Whether the greatest come first.
    pub descending: bool,
}

impl DeltaQuery {
    /// Tells whether a job is meant.
    #[must_use]
    pub fn fits(&self, job: &DeltaJob) -> bool {
        self.id.as_ref().is_none_or(|id| job.id == *id)
            && self.artifact.as_ref().is_none_or(|id| job.is_about(id))
            && self.deployment.as_ref().is_none_or(|id| job.deployment.as_ref() == Some(id))
            && (!self.open || job.status.is_open())
    }

    /// Compares jobs in the order asked for.
    #[must_use]
    pub fn compare(&self, a: &DeltaJob, b: &DeltaJob) -> Ordering {
        let order = match self.sort {
            DeltaSort::Status => a.status.as_str().cmp(b.status.as_str()),
            DeltaSort::Started => a.started.cmp(&b.started),
            DeltaSort::From => a.from.cmp(&b.from),
            DeltaSort::To => a.to.cmp(&b.to),
        };
        directed(order.then_with(|| a.id.cmp(&b.id)), self.descending)
    }
}
