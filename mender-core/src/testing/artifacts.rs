#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

pub(super) mod deltas;
pub(super) mod kept;
pub(super) mod lists;
pub(super) mod made;
pub(super) mod races;

use serde_json::json;

use crate::{
    artifacts::{
        Artifact, ArtifactQuery, Release, ReleaseQuery, Verification,
        format::{Depend, File, Payload},
        logic::{self, STORAGE, TOPIC},
    },
    commit::{Commit, Draw},
    env::Time,
    error::StoreResult,
    id::{TenantId, Version},
    quota::UNLIMITED,
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, at, fact, id, is_conflict, is_over_limit, other_tenant, tenant},
    },
};
use made::{artifact, described, for_types, release, tagged};

claims!["artifacts":
    an_unknown_release_is_none,
    a_release_is_returned_as_it_was_stored,
    each_part_of_a_release_changes_alone,
    artifacts_keep_their_order,
    odd_and_long_texts_are_kept_and_found,
    the_largest_release_is_kept,
    a_change_applies_to_its_version_only,
    a_taken_name_conflicts,
    versions_of_a_name_never_repeat,
    a_release_is_found_by_each_of_its_artifacts,
    events_and_the_feed_tell_of_what_is_stored,
    storage_is_taken_and_given_back,
    nothing_is_stored_beyond_the_limit,
    releases_of_other_tenants_do_not_exist,
];

pub(super) async fn commit(h: &Harness, t: &TenantId, commit: Commit<Release>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_release(t, stamped).await
}

pub(super) async fn put(h: &Harness, t: &TenantId, release: &Release) {
    commit(h, t, Commit::insert(release.clone())).await.unwrap();
}

pub(super) async fn get(h: &Harness, t: &TenantId, name: &str) -> Option<Release> {
    h.stores.release(t, name).await.unwrap()
}

/// Stores the next state of a release, and returns it as it is read.
async fn change(h: &Harness, was: &Release, to: Release) -> Release {
    let change = Commit::update(was.clone(), to);
    commit(h, &tenant(), change.clone()).await.unwrap();
    let stored = get(h, &tenant(), &was.name).await.unwrap();
    assert_eq!(Some(&stored), change.aggregate());
    stored
}

pub(super) async fn by_artifact(h: &Harness, t: &TenantId, name: &str) -> Option<Release> {
    h.stores.release_of(t, &id(name)).await.unwrap()
}

async fn names(h: &Harness, query: ReleaseQuery) -> Vec<String> {
    let found = h.stores.releases(&tenant(), &query, 0, 1000).await.unwrap();
    found.into_iter().map(|release| release.name).collect()
}

async fn count(h: &Harness, t: &TenantId) -> (u64, u64) {
    let releases = h.stores.count_releases(t, &ReleaseQuery::default()).await.unwrap();
    (releases, h.stores.count_artifacts(t, &ArtifactQuery::default()).await.unwrap())
}

async fn an_unknown_release_is_none(h: &Harness) {
    let t = tenant();
    for name in ["ghost", "", "\0", "%"] {
        assert_eq!(get(h, &t, name).await, None);
    }
    assert_eq!(by_artifact(h, &t, "ghost").await, None);
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), [""; 0]);
    assert_eq!(count(h, &t).await, (0, 0));
}

/// An artifact with something in every field.
fn full(name: &str, of: &str) -> Artifact {
    let mut full = artifact(name, of);
    let file = File {
        name: "rootfs é.img".into(),
        checksum: "ab".repeat(32),
        size: u64::MAX,
        modified: -1,
    };
    let meta = json!({"a.b": {"$c": [1, 0.1 + 0.2, -1e300, null, "é\u{0}😀"]}, "": true});
    full.description = Some("é😀\u{7f}\u{ffff}\"\\\n'; --".into());
    full.size = u64::MAX;
    full.verification = Some(Verification::Trusted { key: "kéy".into() });
    (full.stored, full.modified) = (Time(-1), Time(253_402_300_799_999));
    let content = &mut full.content;
    (content.version, content.signed) = (2, true);
    content.device_types = ["b", "a", "b", "", "é😀"].map(str::to_owned).into();
    content.payloads = vec![
        Payload {
            kind: Some("rootfs-image".into()),
            files: vec![file.clone(), file],
            meta_data: meta.as_object().cloned().unwrap(),
        },
        Payload { kind: None, ..Payload::default() },
    ];
    content.depends.insert("one".into(), Depend::One("x".into()));
    content.depends.insert("any".into(), Depend::Any(vec!["y".into(), "x".into()]));
    content.clears = vec!["*".into(), "a.b.*".into()];
    content.scripts = vec!["ArtifactInstall_Enter_00".into()];
    full
}

async fn a_release_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    let mut whole = release("whole é", vec![full("a1", "whole é"), artifact("a2", "whole é")]);
    whole.artifacts[1].verification = Some(Verification::Untrusted);
    whole.artifacts.push(described(artifact("a3", "whole é"), ""));
    whole.artifacts[2].verification = Some(Verification::Unsigned);
    whole = tagged(whole, &["z", "a", "m"]);
    whole.notes = "nötes\u{7f}\"'; --".into();
    (whole.modified, whole.leaving) = (at(7), Some(Time(-5)));
    whole.version = Version(1 << 50);
    put(h, &t, &whole).await;
    assert_eq!(get(h, &t, "whole é").await, Some(whole.clone()));
    let listed = h.stores.releases(&t, &ReleaseQuery::default(), 0, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&whole));
    let artifacts = h.stores.artifacts(&t, &ArtifactQuery::default(), 0, 10).await.unwrap();
    assert_eq!(artifacts, whole.artifacts);

    let bare = change(h, &whole, release("whole é", vec![])).await;
    assert_eq!(by_artifact(h, &t, "a1").await, None);
    assert_eq!(names(h, ReleaseQuery::default()).await, ["whole é"]);
    let back = change(h, &bare, whole.clone()).await;
    assert_eq!(by_artifact(h, &t, "a1").await, Some(back.clone()));
    commit(h, &t, Commit::delete(back)).await.unwrap();
    assert_eq!(get(h, &t, "whole é").await, None);
    assert_eq!(by_artifact(h, &t, "a1").await, None);
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), [""; 0]);
    assert_eq!(count(h, &t).await, (0, 0));
}

async fn each_part_of_a_release_changes_alone(h: &Harness) {
    let mut now = tagged(release("r", vec![full("a1", "r"), artifact("a2", "r")]), &["a", "b"]);
    put(h, &tenant(), &now).await;
    type Part = fn(&mut Release);
    let parts: &[Part] = &[
        |r| r.notes = "noted".into(),
        |r| r.leaving = Some(at(1)),
        |r| r.leaving = None,
        |r| r.modified = at(9),
        |r| r.tags.reverse(),
        |r| r.tags.truncate(1),
        |r| r.tags.clear(),
        |r| *r = tagged(r.clone(), &["c", "a"]),
        |r| r.artifacts[0] = described(r.artifacts[0].clone(), "other"),
        |r| r.artifacts[0].description = None,
        |r| r.artifacts[0].modified = at(11),
        |r| r.artifacts[0].size = 1,
        |r| r.artifacts[0].verification = None,
        |r| r.artifacts[0].stored = at(12),
        |r| r.artifacts[1].content.device_types.push("more".into()),
        |r| r.artifacts[1].content.payloads[0].kind = Some("other".into()),
        |r| r.artifacts[1].content.payloads.clear(),
        |r| r.artifacts.push(artifact("a3", "r")),
        |r| r.artifacts.insert(0, artifact("a0", "r")),
        |r| drop(r.artifacts.remove(1)),
        |_| {},
    ];
    for part in parts {
        let mut to = now.clone();
        part(&mut to);
        now = change(h, &now, to).await;
        // What it is found by changed with it.
        let query = |kind: &str, tags: &[&str]| ReleaseQuery {
            kind: Some(kind.into()).filter(|kind: &String| !kind.is_empty()),
            tags: tags.iter().map(|tag| vec![(*tag).to_owned()]).collect(),
            ..ReleaseQuery::default()
        };
        for query in [query("other", &[]), query("rootfs-image", &[]), query("", &["a", "c"])] {
            let fits = names(h, query.clone()).await.len() == 1;
            assert_eq!(fits, query.fits(&now), "{query:?}");
        }
    }
}

async fn artifacts_keep_their_order(h: &Harness) {
    let ids = |release: &Release| -> Vec<String> {
        release.artifacts.iter().map(|artifact| artifact.id.to_string()).collect()
    };
    let mut now = release("r", vec![artifact("z", "r")]);
    put(h, &tenant(), &now).await;
    for name in ["m", "a", "y", "b"] {
        let mut to = now.clone();
        to.artifacts.push(artifact(name, "r"));
        now = change(h, &now, to).await;
    }
    assert_eq!(ids(&now), ["z", "m", "a", "y", "b"]);
    let mut to = now.clone();
    to.artifacts.retain(|artifact| !["z", "a"].contains(&artifact.id.as_str()));
    to.artifacts.extend([artifact("x", "r"), artifact("c", "r"), artifact("a", "r")]);
    now = change(h, &now, to).await;
    assert_eq!(ids(&now), ["m", "y", "b", "x", "c", "a"]);
    let mut to = now.clone();
    to.artifacts.reverse();
    let now = change(h, &now, to).await;
    assert_eq!(ids(&now), ["a", "c", "x", "b", "y", "m"]);
    assert_eq!(by_artifact(h, &tenant(), "y").await, Some(now));
}

/// A text that does not become shorter where it is compressed.
fn noise(seed: u64, len: usize) -> String {
    let env = crate::testing::TestEnv::seeded(seed).env();
    (0..len).map(|_| char::from(b'!' + u8::try_from(env.below(90)).unwrap())).collect()
}

async fn odd_and_long_texts_are_kept_and_found(h: &Harness) {
    let t: TenantId = id(&"😀".repeat(256));
    let long = noise(1, 2000);
    let mut texts: Vec<String> = ODD_IDS.map(str::to_owned).into();
    texts.extend(["\n", "$set", "a.b.c", "__proto__", "uk"].map(str::to_owned));
    texts.extend([noise(2, 4096), "é".repeat(2048), "😀".repeat(1024)]);
    // Alike in more than indexes hold.
    texts.extend(["", "a", "b"].map(|end| format!("{long}{end}")));
    for (n, text) in texts.iter().enumerate() {
        let mut odd = described(for_types(artifact(&format!("a{n}"), text), &[text]), text);
        odd.content.payloads[0].kind = Some(text.clone());
        let odd = tagged(release(text, vec![odd]), &[&format!("t{n}"), &"z".repeat(1024)]);
        put(h, &t, &odd).await;
    }
    let mut sorted = texts.clone();
    sorted.sort();
    for descending in [false, true] {
        let query = ReleaseQuery { descending, ..ReleaseQuery::default() };
        let found = h.stores.releases(&t, &query, 0, 100).await.unwrap();
        assert_eq!(
            found.iter().map(|r| &r.name).collect::<Vec<_>>(),
            sorted.iter().collect::<Vec<_>>()
        );
        sorted.reverse();
    }
    for text in &texts {
        let is = || Some(crate::artifacts::Text::Is(vec![text.clone()]));
        let all = ReleaseQuery::default;
        let stored = get(h, &t, text).await.unwrap();
        for query in [
            ReleaseQuery { name: is(), ..all() },
            ReleaseQuery { description: is(), ..all() },
            ReleaseQuery { device_type: is(), ..all() },
            ReleaseQuery { kind: Some(text.clone()), ..all() },
        ] {
            let found = h.stores.releases(&t, &query, 0, 10).await.unwrap();
            assert_eq!(found, std::slice::from_ref(&stored), "{query:?}");
            assert_eq!(h.stores.count_releases(&t, &query).await.unwrap(), 1);
        }
    }
    let starts = ReleaseQuery {
        name: Some(crate::artifacts::Text::Starts(long)),
        ..ReleaseQuery::default()
    };
    assert_eq!(h.stores.count_releases(&t, &starts).await.unwrap(), 3);
    for text in &texts {
        let stored = get(h, &t, text).await.unwrap();
        commit(h, &t, Commit::delete(stored)).await.unwrap();
    }
    assert_eq!(count(h, &t).await, (0, 0));
}

async fn the_largest_release_is_kept(h: &Harness) {
    let t = tenant();
    let mut artifacts = Vec::new();
    for n in 0..300 {
        let mut one = artifact(&format!("a{n}"), "large");
        let types: Vec<String> = (0..20).map(|m| format!("type {n} {m}")).collect();
        one.content.device_types = types;
        one.content.scripts = vec!["é".repeat(5000)];
        artifacts.push(one);
    }
    let large = release("large", artifacts);
    put(h, &t, &large).await;
    assert_eq!(get(h, &t, "large").await, Some(large.clone()));
    assert_eq!(by_artifact(h, &t, "a299").await, Some(large.clone()));
    let mut to = large.clone();
    to.artifacts.retain(|artifact| artifact.id != id("a0"));
    let now = change(h, &large, to).await;
    commit(h, &t, Commit::delete(now)).await.unwrap();
    assert_eq!(count(h, &t).await, (0, 0));
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = release("r", vec![artifact("a1", "r")]);
    let mut to = tagged(first.clone(), &["a"]);
    to.artifacts.push(artifact("a2", "r"));
    let change = || Commit::update(first.clone(), to.clone()).event(fact("r"));
    is_conflict(commit(h, &t, change()).await);
    is_conflict(commit(h, &t, Commit::delete(first.clone()).event(fact("r"))).await);
    put(h, &t, &first).await;
    let mut noted = first.clone();
    noted.notes = "first".into();
    let quiet = Commit::update(first.clone(), noted);
    commit(h, &t, quiet.clone()).await.unwrap();
    is_conflict(commit(h, &t, change()).await);
    is_conflict(commit(h, &t, Commit::delete(first.clone()).event(fact("r"))).await);
    assert_eq!(get(h, &t, "r").await.as_ref(), quiet.aggregate());
    assert_eq!(by_artifact(h, &t, "a2").await, None);
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), [""; 0]);
    assert_eq!(count(h, &t).await, (1, 1));
    assert_eq!(h.events().await, []);
}

async fn a_taken_name_conflicts(h: &Harness) {
    let t = tenant();
    let first = release("r", vec![artifact("a1", "r")]);
    put(h, &t, &first).await;
    let second = release("r", vec![artifact("a2", "r")]);
    is_conflict(commit(h, &t, Commit::insert(second).event(fact("r"))).await);
    assert_eq!(get(h, &t, "r").await, Some(first));
    assert_eq!(by_artifact(h, &t, "a2").await, None);
    assert_eq!(h.events().await, []);
    put(h, &t, &release("R", vec![artifact("a2", "R")])).await;
    put(h, &other_tenant(), &release("r", vec![artifact("a1", "r")])).await;
}

async fn versions_of_a_name_never_repeat(h: &Harness) {
    let t = tenant();
    let mut seen = Vec::new();
    for round in 0..4 {
        let now = at(round * 1000);
        let new = logic::add(None, artifact(&format!("a{round}"), "r"), now).unwrap();
        let first = new.aggregate().cloned().unwrap();
        commit(h, &t, new).await.unwrap();
        let note = logic::note(first.clone(), "noted").unwrap();
        commit(h, &t, note).await.unwrap();
        let stored = get(h, &t, "r").await.unwrap();
        commit(h, &t, logic::remove(stored.clone(), |_| true, now)).await.unwrap();
        assert_eq!(get(h, &t, "r").await, None);
        for old in &seen {
            is_conflict(commit(h, &t, Commit::delete(Release::clone(old))).await);
        }
        let versions = |r: &Release| r.version;
        assert!(seen.iter().map(versions).all(|v| v < first.version && v < stored.version));
        seen.extend([first, stored]);
    }
}

async fn a_release_is_found_by_each_of_its_artifacts(h: &Harness) {
    let t = tenant();
    let one = release("one", vec![artifact("a1", "one"), artifact("a2", "one")]);
    let two = release("two", vec![artifact("a3", "two")]);
    put(h, &t, &one).await;
    put(h, &t, &two).await;
    assert_eq!(by_artifact(h, &t, "a1").await.as_ref(), Some(&one));
    assert_eq!(by_artifact(h, &t, "a2").await.as_ref(), Some(&one));
    assert_eq!(by_artifact(h, &t, "a3").await, Some(two));
    for odd in ["A1", "a", "a11", "%"] {
        assert_eq!(by_artifact(h, &t, odd).await, None);
    }
    let removed = logic::remove(one.clone(), |artifact| artifact.id == id("a1"), at(1));
    commit(h, &t, removed).await.unwrap();
    assert_eq!(by_artifact(h, &t, "a1").await, None);
    let left = by_artifact(h, &t, "a2").await.unwrap();
    assert_eq!(left.artifacts, one.artifacts[1..]);
}

async fn events_and_the_feed_tell_of_what_is_stored(h: &Harness) {
    let t = tenant();
    let mut expected = Vec::new();
    let first = logic::add(None, artifact("a1", "r"), at(0)).unwrap();
    let was = first.aggregate().cloned().unwrap();
    let second = logic::add(Some(was), for_types(artifact("a2", "r"), &["x"]), at(1)).unwrap();
    let was = second.aggregate().cloned().unwrap();
    let third = logic::describe(was, &id("a2"), "text".into(), at(2)).unwrap();
    let was = third.aggregate().cloned().unwrap();
    let last = logic::remove(was, |_| true, at(3));
    for commit in [first, second, third, last] {
        let stamped = h.stamp(&t, commit);
        expected.extend(stamped.events.clone());
        h.stores.commit_release(&t, stamped).await.unwrap();
    }
    let kinds: Vec<&str> = expected.iter().map(|event| event.kind.as_str()).collect();
    let (stored, removed) = ("artifact.stored", "artifact.removed");
    assert_eq!(kinds, [stored, stored, "artifact.described", removed, removed]);
    assert!(expected.iter().all(|event| event.key == "r"));
    let by_id = |mut events: Vec<crate::event::Event>| {
        events.sort_by(|a, b| a.id.cmp(&b.id));
        events
    };
    let entries = h.stores.feed_since(Time(0)).await.unwrap();
    let of = entries.iter().map(|e| (e.kind.as_str(), e.key.as_str()));
    assert_eq!(of.collect::<Vec<_>>(), [(TOPIC, "r"); 4]);
    assert_eq!(by_id(h.events().await), by_id(expected));
}

/// Sets how many bytes the tenant's artifacts may have.
async fn limit(h: &Harness, t: &TenantId, limit: i64) {
    let settings = made::settings();
    let commit = Commit::insert(settings).charge(STORAGE, Draw::Move(limit - UNLIMITED));
    let stamped = h.stamp(t, commit);
    h.stores.commit_artifact_settings(t, stamped).await.unwrap();
}

fn sized(name: &str, size: u64) -> Artifact {
    Artifact { size, ..for_types(artifact(name, "r"), &[name]) }
}

async fn storage_is_taken_and_given_back(h: &Harness) {
    let t = tenant();
    limit(h, &t, 100).await;
    let first = logic::add(None, sized("a1", 30), at(0)).unwrap();
    let was = first.aggregate().cloned();
    commit(h, &t, first).await.unwrap();
    assert_eq!(h.settled_quota(&t, STORAGE).await, (70, 30));
    let second = logic::add(was, sized("a2", 70), at(1)).unwrap();
    let was = second.aggregate().cloned().unwrap();
    commit(h, &t, second).await.unwrap();
    assert_eq!(h.settled_quota(&t, STORAGE).await, (0, 100));
    let less = logic::remove(was, |artifact| artifact.id == id("a1"), at(2));
    let was = less.aggregate().cloned().unwrap();
    commit(h, &t, less).await.unwrap();
    assert_eq!(h.settled_quota(&t, STORAGE).await, (30, 70));
    commit(h, &t, logic::remove(was, |_| true, at(3))).await.unwrap();
    assert_eq!(h.settled_quota(&t, STORAGE).await, (100, 0));
    assert_eq!(h.settled_quota(&other_tenant(), STORAGE).await, (UNLIMITED, 0));
}

async fn nothing_is_stored_beyond_the_limit(h: &Harness) {
    let t = tenant();
    limit(h, &t, 100).await;
    is_over_limit(commit(h, &t, logic::add(None, sized("a0", 101), at(0)).unwrap()).await, STORAGE);
    assert_eq!(get(h, &t, "r").await, None);
    let first = logic::add(None, sized("a1", 60), at(0)).unwrap();
    let was = first.aggregate().cloned();
    commit(h, &t, first).await.unwrap();
    let events = h.events().await.len();
    let second = logic::add(was.clone(), sized("a2", 41), at(1)).unwrap();
    is_over_limit(commit(h, &t, second).await, STORAGE);
    assert_eq!(get(h, &t, "r").await, was);
    assert_eq!(by_artifact(h, &t, "a2").await, None);
    assert_eq!(count(h, &t).await, (1, 1));
    assert_eq!(h.settled_quota(&t, STORAGE).await, (40, 60));
    assert_eq!(h.events().await.len(), events);
    let third = logic::add(was, sized("a3", 40), at(1)).unwrap();
    commit(h, &t, third).await.unwrap();
    assert_eq!(h.settled_quota(&t, STORAGE).await, (0, 100));
}

async fn releases_of_other_tenants_do_not_exist(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let mine = tagged(release("r", vec![artifact("a1", "r")]), &["a"]);
    put(h, &t, &mine).await;
    for tenant in [&other, &TenantId::default(), &id("on"), &id("one%")] {
        assert_eq!(get(h, tenant, "r").await, None);
        assert_eq!(by_artifact(h, tenant, "a1").await, None);
        assert_eq!(count(h, tenant).await, (0, 0));
        assert_eq!(h.stores.releases(tenant, &ReleaseQuery::default(), 0, 9).await.unwrap(), []);
        assert_eq!(h.stores.artifacts(tenant, &ArtifactQuery::default(), 0, 9).await.unwrap(), []);
        assert_eq!(h.stores.release_tags(tenant, None).await.unwrap(), [""; 0]);
        is_conflict(commit(h, tenant, Commit::update(mine.clone(), mine.clone())).await);
        is_conflict(commit(h, tenant, Commit::delete(mine.clone())).await);
    }
    let theirs = tagged(release("r", vec![artifact("a1", "r")]), &["b"]);
    put(h, &other, &theirs).await;
    commit(h, &other, Commit::delete(theirs)).await.unwrap();
    assert_eq!(get(h, &t, "r").await.as_ref(), Some(&mine));
    assert_eq!(by_artifact(h, &t, "a1").await, Some(mine));
    assert_eq!(h.stores.release_tags(&t, None).await.unwrap(), ["a"]);
}
