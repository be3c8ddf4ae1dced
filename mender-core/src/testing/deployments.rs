#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

pub(super) mod counts;
pub(super) mod kept;
pub(super) mod lists;
pub(super) mod made;
pub(super) mod races;
pub(super) mod reads;
pub(super) mod rows;

use crate::{
    commit::Commit,
    deployments::{Audience, Deployment, DeploymentQuery, Payload, State, logic},
    env::Time,
    error::StoreResult,
    id::{TenantId, Version},
    testing::{
        contract::{Harness, claims},
        fixtures::{
            ODD_IDS, at, fact, id, is_conflict, is_duplicate, is_over_limit, other_tenant, tenant,
        },
    },
};
use made::{deployment, finished};

claims!["deployments":
    an_unknown_deployment_is_none,
    a_deployment_is_returned_as_it_was_stored,
    each_part_of_a_deployment_changes_alone,
    odd_and_long_texts_are_kept_and_found,
    the_largest_deployment_is_kept,
    a_change_applies_to_its_version_only,
    a_taken_id_conflicts,
    a_fingerprint_is_unique_among_those_that_have_not_ended,
    without_a_fingerprint_nothing_is_there_twice,
    a_deployment_is_created_after_all_that_there_were,
    events_and_the_feed_tell_of_what_is_stored,
    deployments_of_other_tenants_do_not_exist,
];

pub(super) async fn commit(
    h: &Harness,
    t: &TenantId,
    commit: Commit<Deployment>,
) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_deployment(t, stamped).await
}

pub(super) async fn put(h: &Harness, deployment: &Deployment) {
    commit(h, &tenant(), Commit::insert(deployment.clone())).await.unwrap();
}

pub(super) async fn get(h: &Harness, t: &TenantId, name: &str) -> Option<Deployment> {
    h.stores.deployment(t, &id(name)).await.unwrap()
}

/// Stores the next state of a deployment, and returns it as it is read.
async fn change(h: &Harness, was: &Deployment, to: Deployment) -> Deployment {
    let change = Commit::update(was.clone(), to);
    commit(h, &tenant(), change.clone()).await.unwrap();
    let stored = get(h, &tenant(), was.id.as_str()).await.unwrap();
    assert_eq!(Some(&stored), change.aggregate());
    stored
}

async fn all(h: &Harness, t: &TenantId) -> Vec<Deployment> {
    h.stores.deployments(t, &DeploymentQuery::default(), 0, 1000).await.unwrap()
}

async fn an_unknown_deployment_is_none(h: &Harness) {
    let t = tenant();
    assert_eq!(get(h, &t, "ghost").await, None);
    assert_eq!(h.stores.deployments_by_id(&t, &[id("ghost")]).await.unwrap(), []);
    assert_eq!(h.stores.deployments_by_id(&t, &[]).await.unwrap(), []);
    assert_eq!(all(h, &t).await, []);
    let query = DeploymentQuery::default();
    assert_eq!(h.stores.count_deployments(&t, &query).await.unwrap(), 0);
    assert_eq!(h.stores.newest_deployment(&t).await.unwrap(), None);
    assert_eq!(h.stores.open_deployments(&t, &["r".into()]).await.unwrap(), []);
    assert_eq!(h.stores.last_end(&t, "r").await.unwrap(), None);
}

/// A deployment with something in every field.
fn whole(name: &str) -> Deployment {
    Deployment {
        name: "é😀\u{7f}\u{ffff}\"\\\n'; --".into(),
        artifact_name: "ärtifact".into(),
        force_installation: true,
        payload: Payload::Configuration("{\"é\": \"\\u0000\"}".into()),
        audience: Audience::Group("grüppe \"1\"".into()),
        groups: ["z", "a", "z", "é"].map(str::to_owned).into(),
        max_devices: 1 << 50,
        ticket: "tïcket/1".into(),
        created: Time(-1),
        artifacts: vec![id("b"), id("a"), id("b")],
        version: Version(1 << 50),
        finished: Some(Time(253_402_300_799_999)),
        state: State::Closed,
        ..deployment(name, 0)
    }
}

async fn a_deployment_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    let first = whole("whole");
    put(h, &first).await;
    assert_eq!(get(h, &t, "whole").await, Some(first.clone()));
    assert_eq!(all(h, &t).await, std::slice::from_ref(&first));
    let by_id = h.stores.deployments_by_id(&t, &[id("whole"), id("whole"), id("x")]).await;
    assert_eq!(by_id.unwrap(), std::slice::from_ref(&first));
    let bare = change(h, &first, deployment("whole", 3)).await;
    assert_eq!(all(h, &t).await, std::slice::from_ref(&bare));
    let back = change(h, &bare, whole("whole")).await;
    commit(h, &t, Commit::delete(back)).await.unwrap();
    assert_eq!(get(h, &t, "whole").await, None);
    assert_eq!(all(h, &t).await, []);
    put(h, &first).await;
    assert_eq!(get(h, &t, "whole").await, Some(first));
}

async fn each_part_of_a_deployment_changes_alone(h: &Harness) {
    let mut now = whole("d");
    put(h, &now).await;
    type Part = fn(&mut Deployment);
    let parts: &[Part] = &[
        |d| d.name = "other words".into(),
        |d| d.artifact_name = "another release".into(),
        |d| d.force_installation = false,
        |d| d.payload = Payload::Software,
        |d| d.payload = Payload::Configuration(String::new()),
        |d| d.audience = Audience::All,
        |d| d.audience = made::dynamic(d.clone()).audience,
        |d| d.conduct = made::scheduled(d.clone(), 3).conduct,
        |d| d.conduct.hold = None,
        |d| d.groups.reverse(),
        |d| d.groups = vec!["b".into(), "a".into()],
        |d| d.groups.clear(),
        |d| d.fingerprint = None,
        |d| d.fingerprint = Some("other".into()),
        |d| d.max_devices = 0,
        |d| d.ticket = "other".into(),
        |d| d.created = at(7),
        |d| d.state = State::Closing,
        |d| d.finished = None,
        |d| d.state = State::Filling,
        |d| d.finished = Some(at(8)),
        |d| d.artifacts.clear(),
        |_| {},
    ];
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    for part in parts {
        let mut to = now.clone();
        part(&mut to);
        now = change(h, &now, to).await;
        // What it is found by changed with it.
        let all = DeploymentQuery::default;
        for query in [
            DeploymentQuery { names: texts(&["other words"]), ..all() },
            DeploymentQuery { phrase: Some("words".into()), ..all() },
            DeploymentQuery { phrase: Some("another release".into()), ..all() },
            DeploymentQuery { phrase: Some("ärtifact".into()), ..all() },
            DeploymentQuery { kind: Some("software"), ..all() },
            DeploymentQuery { groups: texts(&["b"]), ..all() },
            DeploymentQuery { groups: texts(&["z"]), ..all() },
            DeploymentQuery { from: Some(at(7)), ..all() },
            DeploymentQuery { progress: Some(crate::deployments::Progress::Finished), ..all() },
        ] {
            let found = h.stores.count_deployments(&tenant(), &query).await.unwrap();
            assert_eq!(found == 1, query.fits(&now), "{query:?}");
        }
    }
}

async fn odd_and_long_texts_are_kept_and_found(h: &Harness) {
    let t = tenant();
    for (n, name) in (0..).zip(ODD_IDS) {
        let mut odd = deployment(name, n);
        (odd.name, odd.artifact_name) = (name.into(), name.into());
        put(h, &odd).await;
        assert_eq!(get(h, &t, name).await, Some(odd.clone()));
        let names = Some(vec![name.into(), "\0".into()]);
        let query = DeploymentQuery { names, ..DeploymentQuery::default() };
        assert_eq!(h.stores.deployments(&t, &query, 0, 9).await.unwrap(), [odd]);
        assert_eq!(h.stores.open_deployments(&t, &[name.into()]).await.unwrap(), [id(name)]);
    }
    // They differ at their ends alone.
    let long = |end: &str| format!("{}{end}", "wörd".repeat(1000));
    for (n, name) in (100..).zip(["x", "y"]) {
        let mut odd = deployment(name, n);
        (odd.name, odd.artifact_name) = (long(name), long(&format!(" release {name}")));
        put(h, &odd).await;
    }
    for name in ["x", "y"] {
        let all = DeploymentQuery::default;
        for query in [
            DeploymentQuery { names: Some(vec![long(name)]), ..all() },
            DeploymentQuery { phrase: Some(long(name)), ..all() },
            DeploymentQuery { phrase: Some(long(&format!("-RELEASE_{name}"))), ..all() },
        ] {
            let found = h.stores.deployments(&t, &query, 0, 9).await.unwrap();
            let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
            assert_eq!(ids, [name]);
            assert_eq!(h.stores.count_deployments(&t, &query).await.unwrap(), 1);
        }
        let release = long(&format!(" release {name}"));
        assert_eq!(h.stores.open_deployments(&t, &[release]).await.unwrap(), [id(name)]);
    }
}

async fn the_largest_deployment_is_kept(h: &Harness) {
    let env = h.time.env();
    let noise = |len| (0..len).map(|_| char::from(b'!' + u8::try_from(env.below(90)).unwrap()));
    let payload = Payload::Configuration(noise(1 << 20).collect());
    let artifacts = (0..10_000).map(|_| id(&env.uuid())).collect();
    let groups = (0..1000).map(|n| format!("group {n}")).collect();
    let large = Deployment { payload, artifacts, groups, ..deployment("large", 0) };
    put(h, &large).await;
    assert_eq!(all(h, &tenant()).await, std::slice::from_ref(&large));
    let large = change(h, &large, finished(large.clone(), 1)).await;
    assert_eq!(get(h, &tenant(), "large").await, Some(large));
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = deployment("d", 0);
    put(h, &first).await;
    let second = change(h, &first, finished(first.clone(), 5)).await;
    is_conflict(commit(h, &t, Commit::update(first.clone(), first.clone())).await);
    is_conflict(commit(h, &t, Commit::delete(first.clone())).await);
    let ghost = deployment("ghost", 0);
    is_conflict(commit(h, &t, Commit::update(ghost.clone(), ghost.clone())).await);
    is_conflict(commit(h, &t, Commit::delete(ghost)).await);
    assert_eq!(all(h, &t).await, [second]);
    commit(h, &t, Commit::nothing()).await.unwrap();
}

async fn a_taken_id_conflicts(h: &Harness) {
    let t = tenant();
    let first = deployment("d", 0);
    put(h, &first).await;
    let other = Deployment { fingerprint: None, ..deployment("d", 1) };
    is_conflict(commit(h, &t, Commit::insert(other.clone())).await);
    assert_eq!(all(h, &t).await, std::slice::from_ref(&first));
    commit(h, &t, Commit::delete(first)).await.unwrap();
    put(h, &other).await;
}

async fn a_fingerprint_is_unique_among_those_that_have_not_ended(h: &Harness) {
    let t = tenant();
    let alike = |name: &str, millis| Deployment {
        fingerprint: Some("alike".into()),
        ..deployment(name, millis)
    };
    let first = alike("1", 1);
    put(h, &first).await;
    is_duplicate(commit(h, &t, Commit::insert(alike("2", 2))).await, "fingerprint");
    assert_eq!(get(h, &t, "2").await, None);
    let ended = change(h, &first, finished(first.clone(), 5)).await;
    let second = alike("2", 2);
    put(h, &second).await;
    is_duplicate(commit(h, &t, Commit::insert(alike("3", 3))).await, "fingerprint");
    // Those that have ended don't mind each other, nor one that has not.
    let second = change(h, &second, finished(second.clone(), 6)).await;
    put(h, &alike("3", 3)).await;
    is_duplicate(commit(h, &t, Commit::update(second, alike("2", 2))).await, "fingerprint");
    is_duplicate(commit(h, &t, Commit::update(ended, alike("1", 1))).await, "fingerprint");
    commit(h, &t, Commit::delete(alike("3", 3))).await.unwrap();
    put(h, &alike("4", 4)).await;
    commit(h, &other_tenant(), Commit::insert(alike("4", 4))).await.unwrap();
}

async fn without_a_fingerprint_nothing_is_there_twice(h: &Harness) {
    for (n, name) in (0..).zip(["1", "2", "3"]) {
        put(h, &Deployment { fingerprint: None, ..deployment(name, n) }).await;
    }
    assert_eq!(all(h, &tenant()).await.len(), 3);
}

async fn a_deployment_is_created_after_all_that_there_were(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let create = async |t: &TenantId, name: &str, millis| {
        commit(h, t, logic::create(deployment(name, millis))).await
    };
    create(&t, "first", 5).await.unwrap();
    for (name, millis) in [("same", 5), ("older", 4)] {
        is_over_limit(create(&t, name, millis).await, logic::CREATED);
        assert_eq!(get(h, &t, name).await, None);
    }
    let first = get(h, &t, "first").await.unwrap();
    commit(h, &t, logic::forget(first)).await.unwrap();
    is_over_limit(create(&t, "after", 5).await, logic::CREATED);
    create(&t, "second", 6).await.unwrap();
    create(&other, "first", 1).await.unwrap();
    assert_eq!(h.stores.newest_deployment(&t).await.unwrap(), Some(at(6)));
}

async fn events_and_the_feed_tell_of_what_is_stored(h: &Harness) {
    let t = tenant();
    let first = deployment("d", 0);
    let now = h.time.env().now();
    commit(h, &t, logic::create(first.clone())).await.unwrap();
    let again = Deployment { created: at(1), ..first.clone() };
    let taken = commit(h, &t, logic::create(again)).await;
    crate::testing::fixtures::is_taken(&taken);
    let ended = logic::finish(first, vec![], at(9)).event(fact("more"));
    let was = ended.aggregate().cloned().unwrap();
    commit(h, &t, ended.clone()).await.unwrap();
    is_conflict(commit(h, &t, ended).await);
    commit(h, &t, Commit::delete(was)).await.unwrap();
    let feed = h.stores.feed_since(now).await.unwrap();
    let told: Vec<(&str, &str)> =
        feed.iter().map(|entry| (entry.kind.as_str(), entry.key.as_str())).collect();
    assert!(told.len() >= 2 && told.iter().all(|told| *told == (logic::TOPIC, "d")), "{told:?}");
    let events = h.events().await;
    let mut kinds: Vec<(&str, i64)> =
        events.iter().map(|event| (event.kind.as_str(), event.version.0)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("deployment.created", 1), ("deployment.finished", 2), ("more", 2)]);
    assert!(events.iter().all(|event| (event.key.as_str(), &event.tenant) == ("d", &t)));
}

async fn deployments_of_other_tenants_do_not_exist(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let mut ours = deployment("d", 1);
    ours.groups = vec!["g".into()];
    put(h, &ours).await;
    assert_eq!(get(h, &other, "d").await, None);
    assert_eq!(h.stores.deployments_by_id(&other, &[id("d")]).await.unwrap(), []);
    assert_eq!(h.stores.newest_deployment(&other).await.unwrap(), None);
    let release = ours.artifact_name.clone();
    assert_eq!(h.stores.open_deployments(&other, &[release]).await.unwrap(), []);
    let all_of = DeploymentQuery::default;
    for query in [
        all_of(),
        DeploymentQuery { ids: Some(vec![id("d")]), ..all_of() },
        DeploymentQuery { names: Some(vec![ours.name.clone()]), ..all_of() },
        DeploymentQuery { phrase: Some("name".into()), ..all_of() },
        DeploymentQuery { groups: Some(vec!["g".into()]), ..all_of() },
        DeploymentQuery { kind: Some("software"), ..all_of() },
    ] {
        assert_eq!(h.stores.count_deployments(&t, &query).await.unwrap(), 1, "{query:?}");
        assert_eq!(h.stores.deployments(&other, &query, 0, 9).await.unwrap(), [], "{query:?}");
        assert_eq!(h.stores.count_deployments(&other, &query).await.unwrap(), 0, "{query:?}");
    }
    is_conflict(commit(h, &other, Commit::update(ours.clone(), ours.clone())).await);
    is_conflict(commit(h, &other, Commit::delete(ours.clone())).await);
    commit(h, &other, Commit::insert(finished(ours.clone(), 5))).await.unwrap();
    assert_eq!(h.stores.last_end(&other, &ours.artifact_name).await.unwrap(), Some(at(5)));
    assert_eq!(h.stores.last_end(&t, &ours.artifact_name).await.unwrap(), None);
    assert_eq!(get(h, &t, "d").await, Some(ours));
}
