//! The rules of releases, as pure functions from a state to a commit.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use regex::Regex;

use crate::{
    artifacts::{
        events::ArtifactEvent,
        model::{
            Artifact, ArtifactId, ArtifactSettings, MAX_COMBINATIONS, Release, Tag, TrustedKey,
        },
    },
    blob::BlobSettings,
    commit::{Change, Commit, Draw},
    env::Time,
    error::{Error, Result},
    event::Fact,
    id::Version,
    quota::{self, NO_LIMIT},
    signature::PublicKey,
};

pub mod deltas;

/// The kind of cached state that a change of a release spoils; the key is the name.
pub const TOPIC: &str = "artifacts.release";

/// The quota of bytes that a tenant's artifacts may have.
pub const STORAGE: &str = "artifacts.storage";

/// How many tags a release may have.
pub const MAX_TAGS: usize = 20;

/// How many bytes a description may have.
pub const MAX_DESCRIPTION: usize = 4096;

/// How many bytes the notes of a release may have.
pub const MAX_NOTES: usize = 1024;

/// A character that is no letter, mark, number, punctuation, symbol or space.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static HIDDEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]").unwrap());

/// Another artifact of the name fits devices that provide these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken(pub BTreeMap<String, String>);

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "taken: {:?}", self.0)
    }
}

impl std::error::Error for Taken {}

fn size_of(artifact: &Artifact) -> i64 {
    i64::try_from(artifact.size).unwrap_or(i64::MAX)
}

/// Checks what is true of every artifact that is stored.
///
/// # Errors
/// `Invalid { metadata }`, or of the field that is wrong.
pub fn check(artifact: &Artifact) -> Result<()> {
    let content = &artifact.content;
    let types = &content.device_types;
    // PostgreSQL can't keep U+0000.
    let sound = (1..=4096).contains(&content.name.len())
        && !content.name.contains('\0')
        && (1..=200).contains(&types.len())
        && types.iter().all(|text| text.len() <= 4096 && !text.contains('\0'));
    if !sound {
        return Err(Error::invalid("metadata", "Metadata invalid"));
    }
    if artifact.combinations() > MAX_COMBINATIONS {
        let what = "object complexity (array permutations) exceeded threshold";
        return Err(Error::invalid("depends", what));
    }
    check_description(artifact.description.as_deref().unwrap_or_default())
}

/// Checks what users say about an artifact.
///
/// # Errors
/// `Invalid { description }`.
pub fn check_description(text: &str) -> Result<()> {
    if text.len() > MAX_DESCRIPTION {
        return Err(Error::invalid("description", "the length must be no more than 4096"));
    }
    if text.contains('\0') {
        return Err(Error::invalid("description", "U+0000 can't be kept"));
    }
    Ok(())
}

/// Adds an artifact to the release of its name, which begins with its first one. A manifest has
/// no second one.
///
/// # Errors
/// `Conflict` because of [`Taken`], and `Invalid` as [`check`].
pub fn add(release: Option<Release>, artifact: Artifact, now: Time) -> Result<Commit<Release>> {
    check(&artifact)?;
    let (id, name) = (artifact.id.clone(), artifact.content.name.clone());
    let size = size_of(&artifact);
    let commit = match release {
        None => Commit::insert(Release {
            name: name.clone(),
            artifacts: vec![artifact],
            tags: Vec::new(),
            notes: String::new(),
            modified: now,
            leaving: None,
            // The name may have been used before: versions never repeat.
            version: Version(now.0),
        }),
        Some(release) if release.artifact(&id).is_some() => {
            return Err(Error::conflict("an artifact with the same id already exists"));
        }
        Some(was) => {
            if let Some(common) = was.artifacts.iter().find_map(|other| artifact.common(other)) {
                let what = "an artifact with the same name and depends already exists";
                return Err(Error::conflict(what).because(Taken(common)));
            }
            if was.is_manifest() || artifact.is_manifest() {
                return Err(name_taken(&name));
            }
            let mut to = was.clone();
            to.artifacts.push(artifact);
            to.modified = now;
            Commit::update(was, to)
        }
    };
    let stored = ArtifactEvent::Stored { id, name: name.clone() };
    Ok(commit.charge(STORAGE, Draw::Take(size)).event(stored.event()).invalidate(TOPIC, name))
}

/// The refusal of a manifest where there is a release, or of the other way round.
pub fn name_taken(name: &str) -> Error {
    let name = ("artifact_name".to_owned(), name.to_owned());
    Error::conflict("software with the same name already exists").because(Taken([name].into()))
}

/// Adds a manifest with its tags.
///
/// # Errors
/// As [`add`], and `Invalid { tags }` for too many.
pub fn add_manifest(
    release: Option<Release>,
    artifact: Artifact,
    tags: Vec<Tag>,
    now: Time,
) -> Result<Commit<Release>> {
    let tags = distinct(tags)?;
    let mut commit = add(release, artifact, now)?;
    if let Change::Insert(release) = &mut commit.change {
        release.tags = tags;
    }
    Ok(commit)
}

/// Describes an artifact anew.
///
/// # Errors
/// `NotFound` where the release has no such artifact, `Invalid` for a text that is too long.
pub fn describe(
    was: Release,
    id: &ArtifactId,
    description: String,
    now: Time,
) -> Result<Commit<Release>> {
    check_description(&description)?;
    let mut to = was.clone();
    let Some(artifact) = to.artifacts.iter_mut().find(|artifact| artifact.id == *id) else {
        return Err(Error::not_found("artifact"));
    };
    artifact.description = Some(description);
    artifact.modified = now;
    to.modified = now;
    let name = was.name.clone();
    let described = ArtifactEvent::Described { id: id.clone(), name: name.clone() };
    Ok(Commit::update(was, to).event(described.event()).invalidate(TOPIC, name))
}

/// Removes artifacts; with the last one the release ends.
pub fn remove(was: Release, gone: impl Fn(&Artifact) -> bool, now: Time) -> Commit<Release> {
    let name = was.name.clone();
    let removed: Vec<(ArtifactId, i64)> = was
        .artifacts
        .iter()
        .filter(|artifact| gone(artifact))
        .map(|artifact| (artifact.id.clone(), size_of(artifact)))
        .collect();
    if removed.is_empty() {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.artifacts.retain(|artifact| !gone(artifact));
    to.modified = now;
    to.leaving = None;
    let commit =
        if to.artifacts.is_empty() { Commit::delete(was) } else { Commit::update(was, to) };
    let freed = removed.iter().fold(0_i64, |sum, (_, size)| sum.saturating_add(*size));
    let commit = commit.charge(STORAGE, Draw::Give(freed)).invalidate(TOPIC, name.clone());
    removed.into_iter().fold(commit, |commit, (id, _)| {
        commit.event(ArtifactEvent::Removed { id, name: name.clone() }.event())
    })
}

/// Marks a release as leaving, or takes the mark off.
pub fn mark(was: Release, leaving: Option<Time>) -> Commit<Release> {
    if was.leaving == leaving {
        return Commit::nothing();
    }
    let name = was.name.clone();
    let to = Release { leaving, ..was.clone() };
    Commit::update(was, to).invalidate(TOPIC, name).quiet("an intent, undone or completed at once")
}

/// Notes something about a release.
///
/// # Errors
/// `Invalid { notes }`.
pub fn note(was: Release, notes: &str) -> Result<Commit<Release>> {
    check_notes(notes)?;
    let to = Release { notes: notes.to_owned(), ..was.clone() };
    Ok(annotate(was, to))
}

fn check_notes(notes: &str) -> Result<()> {
    if notes.len() > MAX_NOTES {
        return Err(Error::invalid("notes", "release notes too long"));
    }
    if let Some(hidden) = HIDDEN.find(notes) {
        let (c, at) = (hidden.as_str(), hidden.start());
        return Err(Error::invalid("notes", format!("invalid character '{c}' at offset {at}")));
    }
    Ok(())
}

/// Gives a release these tags, and no others.
///
/// # Errors
/// `Invalid { tags }` for too many.
pub fn tag(was: Release, tags: Vec<Tag>) -> Result<Commit<Release>> {
    let to = Release { tags: distinct(tags)?, ..was.clone() };
    Ok(annotate(was, to))
}

/// Returns each tag once.
///
/// # Errors
/// `Invalid { tags }` for too many.
pub fn distinct(tags: Vec<Tag>) -> Result<Vec<Tag>> {
    let mut once: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        if !once.contains(&tag) {
            once.push(tag);
        }
    }
    if once.len() > MAX_TAGS {
        let what = "the total number of tags per exceeded maximum of 20";
        return Err(Error::invalid("tags", what));
    }
    Ok(once)
}

/// Gives a release other notes and tags, where they are given.
///
/// # Errors
/// As [`note`] and [`tag`].
pub fn note_and_tag(
    was: Release,
    notes: Option<&str>,
    tags: Option<Vec<Tag>>,
) -> Result<Commit<Release>> {
    let mut to = was.clone();
    if let Some(notes) = notes {
        check_notes(notes)?;
        notes.clone_into(&mut to.notes);
    }
    if let Some(tags) = tags {
        to.tags = distinct(tags)?;
    }
    Ok(annotate(was, to))
}

fn annotate(was: Release, to: Release) -> Commit<Release> {
    if was == to {
        return Commit::nothing();
    }
    let name = was.name.clone();
    let annotated = ArtifactEvent::Annotated { name: name.clone() };
    Commit::update(was, to).event(annotated.event()).invalidate(TOPIC, name)
}

/// Remembers payload types; those beyond the limit are not.
pub fn remember_kinds(
    settings: Option<ArtifactSettings>,
    kinds: impl IntoIterator<Item = String>,
    now: Time,
) -> Commit<ArtifactSettings> {
    change_settings(settings, now, "payload types are only listed", |to| {
        for kind in kinds {
            if to.kinds.len() < ArtifactSettings::MAX_KINDS {
                to.kinds.insert(kind);
            }
        }
    })
}

/// Trusts these keys, and no others.
///
/// # Errors
/// `Invalid { keys }` for a key that cannot sign artifacts, or too many.
pub fn trust(
    settings: Option<ArtifactSettings>,
    policy: super::model::Policy,
    keys: Vec<TrustedKey>,
    now: Time,
) -> Result<Commit<ArtifactSettings>> {
    if keys.len() > ArtifactSettings::MAX_KEYS {
        return Err(Error::invalid("keys", "at most 16 keys can be trusted"));
    }
    for key in &keys {
        if !crate::id::is_plain(&key.name, 1) {
            return Err(Error::invalid("keys", "a name has 1 to 256 plain characters"));
        }
        PublicKey::from_pem(&key.pem)
            .map_err(|error| Error::invalid("keys", format!("{}: {error}", key.name)))?;
    }
    Ok(change_settings(settings, now, "read at every upload", |to| {
        to.policy = policy;
        to.keys = keys;
    }))
}

/// Keeps the bytes of what comes from now on here; `None`: where those of all tenants are.
pub fn store_in(
    settings: Option<ArtifactSettings>,
    storage: Option<BlobSettings>,
    now: Time,
) -> Commit<ArtifactSettings> {
    change_settings(settings, now, "read whenever bytes are", |to| to.storage = storage)
}

/// Limits how many bytes may be stored; -1 is no limit.
pub fn limit_storage(
    settings: Option<ArtifactSettings>,
    limit: i64,
    now: Time,
) -> Commit<ArtifactSettings> {
    let was = settings.as_ref().and_then(|settings| settings.storage_limit).unwrap_or(NO_LIMIT);
    let moved = quota::capacity(limit) - quota::capacity(was);
    let commit = change_settings(settings, now, "counted where something is stored", |to| {
        to.storage_limit = (limit != NO_LIMIT).then_some(limit);
    });
    if commit.is_nothing() { commit } else { moved_by(commit, moved) }
}

/// Removes what is kept for a tenant that left, its limit included.
pub fn forget_settings(was: ArtifactSettings) -> Commit<ArtifactSettings> {
    let limit = was.storage_limit.unwrap_or(NO_LIMIT);
    let moved = quota::capacity(NO_LIMIT) - quota::capacity(limit);
    moved_by(Commit::delete(was).quiet("a tenant left"), moved)
}

fn moved_by(commit: Commit<ArtifactSettings>, by: i64) -> Commit<ArtifactSettings> {
    if by == 0 { commit } else { commit.charge(STORAGE, Draw::Move(by)) }
}

fn change_settings(
    settings: Option<ArtifactSettings>,
    now: Time,
    reason: &'static str,
    change: impl FnOnce(&mut ArtifactSettings),
) -> Commit<ArtifactSettings> {
    let mut to = settings.clone().unwrap_or_default();
    change(&mut to);
    match settings {
        Some(was) if was == to => Commit::nothing(),
        Some(was) => Commit::update(was, to).quiet(reason),
        None => {
            to.version = Version(now.0);
            Commit::insert(to).quiet(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(notes: &str) -> Result<Commit<Release>> {
        let release = Release {
            name: "r".into(),
            artifacts: Vec::new(),
            tags: Vec::new(),
            notes: String::new(),
            modified: Time(0),
            leaving: None,
            version: Version(1),
        };
        note(release, notes)
    }

    #[test]
    fn notes_are_of_characters_that_show() {
        assert!(noted("Größe 3 → 4, done ✓").is_ok());
        for (hidden, at) in [("a\tb", 1), ("é\n", 2), ("a\u{ad}", 1), ("\u{200b}", 0)] {
            let error = noted(hidden).unwrap_err();
            assert!(error.what.ends_with(&format!("at offset {at}")), "{error}");
        }
        assert!(noted(&"é".repeat(512)).is_ok());
        assert!(noted(&"é".repeat(513)).is_err());
    }
}
