//! Random releases and queries, and two stores that must find the same.

#![expect(clippy::expect_used, reason = "two stores that cannot even be filled are a failed test")]

use std::collections::BTreeSet;

use crate::{
    artifacts::{
        Artifact, ArtifactQuery, ArtifactSort, Release, ReleaseKind, ReleaseQuery, ReleaseSort,
        Tag, Text,
        format::{Component, Payload, SystemManifest},
        logic,
    },
    commit::{Aggregate, Commit, Stamped},
    env::{Env, Time},
    id::TenantId,
    mender::Stores,
    testing::{
        TestEnv,
        artifacts::made::{artifact, for_types},
    },
};

/// How many queries a case makes.
const QUERIES: usize = 60;

/// How many different names there are.
const NAMES: usize = 8;

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "ba",
    "é",
    "É",
    "e\u{301}",
    "İ",
    "i\u{307}",
    "ΑΣ",
    "ας",
    "ασα",
    "\u{ffff}",
    "\u{1f600}",
    "\u{1f600}a",
    "\u{7f}",
    "\u{10ffff}",
    "%",
    "_",
    "'",
    "$1",
    "\\",
    " ",
    "\n",
    "a b",
    "1.0",
    "1.0.1",
    "10",
];

fn pick<T: Clone>(env: &Env, from: &[T]) -> T {
    from[usize::try_from(env.below(from.len() as u64)).unwrap_or_default()].clone()
}

fn some<T>(env: &Env, bound: u64, make: impl Fn(&Env) -> T) -> Vec<T> {
    (0..env.below(bound)).map(|_| make(env)).collect()
}

fn text(env: &Env) -> String {
    let short = pick(env, TEXTS).to_owned();
    match env.below(12) {
        // Longer than what indexes keep as it is; alike in all of that.
        0 => pick(env, &["x", "é", "xY"]).repeat(pick(env, &[50, 99, 100, 150])) + &short,
        1 => short + pick(env, TEXTS),
        _ => short,
    }
}

/// The name of a release: one of a few.
pub(super) fn name(env: &Env, seed: u64) -> String {
    let names = TestEnv::seeded(seed).env();
    let all: Vec<String> = (0..NAMES).map(|n| format!("{}{}", text(&names), n % 3)).collect();
    pick(env, &all)
}

pub(super) fn tag(env: &Env) -> Tag {
    let text = pick(env, &["a", "b", "c", "0", "_", "-", "z.z", "zz"]);
    Tag::new(text).expect("a tag")
}

/// An artifact of a release.
#[must_use]
pub fn random_artifact(env: &Env, id: &str, of: &str) -> Artifact {
    let mut new = artifact(id, of);
    let types: Vec<String> = (0..=env.below(3)).map(|_| text(env)).collect();
    new = for_types(new, &types.iter().map(String::as_str).collect::<Vec<_>>());
    new.description = (env.below(3) > 0).then(|| text(env));
    (new.size, new.modified) = (env.below(1000), time(env));
    let payload = |env: &Env| Payload {
        kind: (env.below(5) > 0).then(|| pick(env, &["rootfs-image", "a", "A", ""]).to_owned()),
        ..Payload::default()
    };
    new.content.payloads = some(env, 3, payload);
    if env.below(2) == 0 {
        let key = "rootfs-image.checksum".to_owned();
        new.content.provides.insert(key, image(env));
    }
    new
}

/// An artifact that is a manifest, of which more may be known or not.
#[must_use]
pub fn random_manifest(env: &Env, id: &str, of: &str) -> Artifact {
    let mut new = random_artifact(env, id, of);
    let kind = Some(SystemManifest::PAYLOAD.to_owned());
    new.content.payloads.push(Payload { kind, ..Payload::default() });
    let component = |env: &Env| Component {
        artifact_name: (env.below(2) == 0).then(|| text(env)),
        artifact_path: Some(text(env)),
        order: u32::try_from(env.below(100)).unwrap_or_default(),
    };
    new.content.system = (env.below(4) > 0).then(|| {
        let component_types = some(env, 3, |env| (text(env), component(env)));
        Box::new(SystemManifest {
            name: of.to_owned(),
            system_types: new.content.device_types.clone(),
            component_types: component_types.into_iter().collect(),
        })
    });
    new
}

/// What is asked for of releases and manifests.
#[must_use]
pub fn kind_of_release(env: &Env) -> Option<ReleaseKind> {
    pick(env, &[None, Some(ReleaseKind::Release), Some(ReleaseKind::Manifest)])
}

/// A checksum of an image, or what is none.
fn image(env: &Env) -> String {
    pick(env, &["ab", "01", "0", ""]).repeat(32)
}

fn time(env: &Env) -> Time {
    // Several have the same.
    Time(i64::try_from(env.below(6)).unwrap_or_default() - 2)
}

fn wanted(env: &Env) -> Text {
    match env.below(4) {
        0 => Text::Is(some(env, 4, text)),
        1 => Text::Starts(text(env)),
        2 => Text::starts_any_case(&text(env)),
        _ => Text::contains(&text(env)),
    }
}

fn wanted_name(env: &Env, seed: u64) -> Text {
    let name = name(env, seed);
    let cut = |env: &Env| name.chars().take(pick(env, &[1, 2, 60, 100, 120])).collect::<String>();
    match env.below(8) {
        0 => Text::Is(vec![name.clone(), text(env)]),
        1 => Text::Starts(cut(env)),
        2 => Text::starts_any_case(&cut(env)),
        3 => Text::contains(&cut(env)),
        _ => wanted(env),
    }
}

fn wanted_tags(env: &Env) -> Vec<Vec<String>> {
    some(env, 3, |env| some(env, 4, |env| tag(env).as_str().to_owned()))
}

/// Which releases are asked for.
#[must_use]
pub fn release_query(env: &Env, seed: u64) -> ReleaseQuery {
    use ReleaseSort::{Artifacts, Modified, Name, Tags};
    let is_one_of = |n: u64| env.below(n) == 0;
    ReleaseQuery {
        of: kind_of_release(env),
        name: is_one_of(3).then(|| wanted_name(env, seed)),
        description: is_one_of(5).then(|| wanted(env)),
        device_type: is_one_of(5).then(|| wanted(env)),
        kind: is_one_of(5).then(|| pick(env, &["rootfs-image", "a", "A", "b", ""]).to_owned()),
        tags: if is_one_of(3) { wanted_tags(env) } else { vec![] },
        sort: pick(env, &[Name, Modified, Artifacts, Tags]),
        descending: is_one_of(2),
    }
}

/// Which artifacts are asked for.
#[must_use]
pub fn artifact_query(env: &Env, seed: u64) -> ArtifactQuery {
    let is_one_of = |n: u64| env.below(n) == 0;
    ArtifactQuery {
        name: is_one_of(3).then(|| wanted_name(env, seed)),
        description: is_one_of(3).then(|| wanted(env)),
        device_type: is_one_of(3).then(|| wanted(env)),
        tags: if is_one_of(3) { wanted_tags(env) } else { vec![] },
        image: is_one_of(6).then(|| image(env)),
        sort: pick(env, &[ArtifactSort::Name, ArtifactSort::Modified, ArtifactSort::Id]),
        descending: is_one_of(2),
    }
}

fn stamped<A: Aggregate>(env: &Env, commit: Commit<A>) -> Stamped<A> {
    Stamped {
        id: env.uuid(),
        change: commit.change,
        charges: commit.charges,
        events: Vec::new(),
        lease_until: Time(0),
        invalidates: Vec::new(),
        at: Time(0),
    }
}

/// What becomes of a release, or of the name of one.
fn happens(env: &Env, name: &str, was: Option<Release>) -> Commit<Release> {
    let Some(was) = was else {
        let make = if env.below(4) == 0 { random_manifest } else { random_artifact };
        let new = make(env, &env.uuid(), name);
        return logic::add(None, new, time(env)).unwrap_or_else(|_| Commit::nothing());
    };
    let ids: Vec<_> = was.artifacts.iter().map(|artifact| artifact.id.clone()).collect();
    let id = pick(env, &ids);
    match env.below(10) {
        0 => logic::remove(was, |_| true, time(env)),
        1 | 2 => logic::remove(was, |artifact| artifact.id == id, time(env)),
        3 => logic::note(was, "noted").unwrap_or_else(|_| Commit::nothing()),
        4 | 5 => logic::tag(was, some(env, 4, tag)).unwrap_or_else(|_| Commit::nothing()),
        6 => logic::describe(was, &id, text(env), time(env)).unwrap_or_else(|_| Commit::nothing()),
        7 => logic::mark(was, (env.below(2) == 0).then(|| time(env))),
        _ => {
            let new = random_artifact(env, &env.uuid(), name);
            logic::add(Some(was), new, time(env)).unwrap_or_else(|_| Commit::nothing())
        }
    }
}

/// Stores the same random releases in two empty stores, and compares what random queries find,
/// with each other and with what core says that they mean.
///
/// # Panics
/// Where they differ: with the seed, what was asked for, and both answers.
pub async fn releases_alike(seed: u64, left: &impl Stores, right: &impl Stores) {
    let env = TestEnv::seeded(seed).env();
    let tenant = TenantId::default();
    for _ in 0..env.below(60) {
        let name = name(&env, seed);
        let was = left.release(&tenant, &name).await.expect("a release");
        let same = right.release(&tenant, &name).await.expect("a release");
        assert_eq!(was, same, "seed {seed}: {name:?}");
        let commit = stamped(&env, happens(&env, &name, was));
        left.commit_release(&tenant, commit.clone()).await.expect("a change");
        right.commit_release(&tenant, commit).await.expect("a change");
    }
    let all = left.releases(&tenant, &ReleaseQuery::default(), 0, 1000).await.expect("releases");
    for _ in 0..QUERIES {
        let (skip, limit) = (pick(&env, &[0, 0, 1, 2, 5]), pick(&env, &[1, 2, 5, 500]));
        let query = release_query(&env, seed);
        let mut expected: Vec<Release> = all.clone();
        expected.retain(|release| query.fits(release));
        expected.sort_by(|a, b| query.compare(a, b));
        let page: Vec<Release> = expected.iter().skip(skip).take(limit).cloned().collect();
        let what = format!("seed {seed}: {query:?} {skip} {limit} of {all:#?}");
        for found in [
            left.releases(&tenant, &query, skip as u64, limit).await.expect("releases"),
            right.releases(&tenant, &query, skip as u64, limit).await.expect("releases"),
        ] {
            assert!(found == page, "{what}: found {found:#?} and not {page:#?}");
        }
        let count = expected.len() as u64;
        assert_eq!(left.count_releases(&tenant, &query).await.expect("a count"), count, "{what}");
        assert_eq!(right.count_releases(&tenant, &query).await.expect("a count"), count, "{what}");

        let query = artifact_query(&env, seed);
        let mut expected: Vec<Artifact> = Vec::new();
        for release in &all {
            let fits = |artifact: &&Artifact| query.fits(release, artifact);
            expected.extend(release.artifacts.iter().filter(fits).cloned());
        }
        expected.sort_by(|a, b| query.compare(a, b));
        let page: Vec<Artifact> = expected.iter().skip(skip).take(limit).cloned().collect();
        let what = format!("seed {seed}: {query:?} {skip} {limit} of {all:#?}");
        for found in [
            left.artifacts(&tenant, &query, skip as u64, limit).await.expect("artifacts"),
            right.artifacts(&tenant, &query, skip as u64, limit).await.expect("artifacts"),
        ] {
            assert!(found == page, "{what}: found {found:#?} and not {page:#?}");
        }
        let count = expected.len() as u64;
        assert_eq!(left.count_artifacts(&tenant, &query).await.expect("a count"), count, "{what}");
        assert_eq!(right.count_artifacts(&tenant, &query).await.expect("a count"), count, "{what}");
    }
    for of in [None, Some(ReleaseKind::Release), Some(ReleaseKind::Manifest)] {
        let fits = |release: &&Release| of.is_none_or(|of| of.fits(release));
        let tags = all.iter().filter(fits).flat_map(|release| &release.tags);
        let tags: BTreeSet<String> = tags.map(|tag| tag.as_str().to_owned()).collect();
        let tags: Vec<String> = tags.into_iter().collect();
        assert_eq!(left.release_tags(&tenant, of).await.expect("tags"), tags, "seed {seed}");
        assert_eq!(right.release_tags(&tenant, of).await.expect("tags"), tags, "seed {seed}");
    }
    for release in all {
        for one in &release.artifacts {
            let found = right.release_of(&tenant, &one.id).await.expect("a release");
            assert_eq!(found.as_ref(), Some(&release), "seed {seed}");
        }
    }
}
