#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    artifacts::{ArtifactSettings, Generate, Policy, Retired, Upload, UploadState, Work},
    commit::Commit,
    env::Time,
    error::StoreResult,
    id::{TenantId, Version},
    testing::{
        artifacts::made::{artifact, described, retired, settings, upload},
        contract::{Harness, claims},
        fixtures::{ODD_IDS, at, fact, id, is_conflict, other_tenant, tenant},
    },
};

claims!["artifacts":
    a_retired_artifact_is_returned_as_it_was_stored,
    retired_artifacts_come_by_id,
    an_upload_is_returned_as_it_was_stored,
    an_upload_is_taken_once,
    settings_are_returned_as_they_were_stored,
    what_is_kept_changes_in_its_version_only,
    what_is_kept_tells_by_its_events,
    what_other_tenants_keep_does_not_exist,
];

async fn commit_retired(h: &Harness, t: &TenantId, commit: Commit<Retired>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_retired(t, stamped).await
}

pub(super) async fn commit_upload(
    h: &Harness,
    t: &TenantId,
    commit: Commit<Upload>,
) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_upload(t, stamped).await
}

async fn commit_settings(
    h: &Harness,
    t: &TenantId,
    commit: Commit<ArtifactSettings>,
) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_artifact_settings(t, stamped).await
}

async fn get_retired(h: &Harness, t: &TenantId, name: &str) -> Option<Retired> {
    h.stores.retired(t, &id(name)).await.unwrap()
}

pub(super) async fn get_upload(h: &Harness, t: &TenantId, name: &str) -> Option<Upload> {
    h.stores.upload(t, &id(name)).await.unwrap()
}

async fn get_settings(h: &Harness, t: &TenantId) -> Option<ArtifactSettings> {
    h.stores.artifact_settings(t).await.unwrap()
}

async fn a_retired_artifact_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(get_retired(h, &t, "a").await, None);
    let first = Retired { version: Version(1 << 50), ..retired("a") };
    commit_retired(h, &t, Commit::insert(first.clone())).await.unwrap();
    assert_eq!(get_retired(h, &t, "a").await, Some(first.clone()));
    let artifact = described(artifact("a", "other"), "é😀");
    let to = Retired { artifact, at: Time(-1), ..first.clone() };
    let change = Commit::update(first, to);
    commit_retired(h, &t, change.clone()).await.unwrap();
    assert_eq!(get_retired(h, &t, "a").await.as_ref(), change.aggregate());
    let last = change.aggregate().cloned().unwrap();
    commit_retired(h, &t, Commit::delete(last)).await.unwrap();
    assert_eq!(get_retired(h, &t, "a").await, None);
}

async fn retired_artifacts_come_by_id(h: &Harness) {
    let t = tenant();
    for name in ODD_IDS.into_iter().rev() {
        commit_retired(h, &t, Commit::insert(retired(name))).await.unwrap();
    }
    for limit in [1, 5, 100] {
        let mut walked: Vec<Retired> = Vec::new();
        loop {
            let after = walked.last().map(|retired| retired.artifact.id.clone());
            let chunk = h.stores.walk_retired(&t, after.as_ref(), limit).await.unwrap();
            assert!(chunk.len() <= limit);
            if chunk.is_empty() {
                break;
            }
            walked.extend(chunk);
        }
        let expected: Vec<Retired> = ODD_IDS.map(retired).into();
        assert_eq!(walked, expected);
    }
}

async fn an_upload_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(get_upload(h, &t, "a").await, None);
    let generate = Generate {
        name: "näme".into(),
        description: "\"'; --".into(),
        device_types: vec!["b".into(), "a".into(), "b".into()],
        args: r#"{"a":"\u0000"}"#.into(),
    };
    let works = [Work::Stream, Work::Verify, Work::Generate(generate)];
    let states = [UploadState::Open, UploadState::Ready, UploadState::Running];
    let mut now = Upload { version: Version(1 << 50), ..upload("a") };
    commit_upload(h, &t, Commit::insert(now.clone())).await.unwrap();
    for (n, work) in works.into_iter().enumerate() {
        assert_eq!(get_upload(h, &t, "a").await.as_ref(), Some(&now));
        let state = states[n % states.len()];
        let to = Upload { work, state, until: Time(-1), ..now.clone() };
        let change = Commit::update(now, to);
        commit_upload(h, &t, change.clone()).await.unwrap();
        now = change.aggregate().cloned().unwrap();
    }
    assert_eq!(get_upload(h, &t, "a").await.as_ref(), Some(&now));
    commit_upload(h, &t, Commit::delete(now)).await.unwrap();
    assert_eq!(get_upload(h, &t, "a").await, None);
}

async fn an_upload_is_taken_once(h: &Harness) {
    let t = tenant();
    let open = upload("a");
    commit_upload(h, &t, Commit::insert(open.clone())).await.unwrap();
    is_conflict(commit_upload(h, &t, Commit::insert(open.clone())).await);
    let taken = |until: i64| {
        let to = Upload { state: UploadState::Running, until: at(until), ..open.clone() };
        Commit::update(open.clone(), to)
    };
    commit_upload(h, &t, taken(10)).await.unwrap();
    is_conflict(commit_upload(h, &t, taken(20)).await);
    is_conflict(commit_upload(h, &t, Commit::delete(open.clone())).await);
    assert_eq!(get_upload(h, &t, "a").await.as_ref(), taken(10).aggregate());
}

async fn settings_are_returned_as_they_were_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(get_settings(h, &t).await, None);
    let first = settings();
    commit_settings(h, &t, Commit::insert(first.clone())).await.unwrap();
    assert_eq!(get_settings(h, &t).await, Some(first.clone()));
    is_conflict(commit_settings(h, &t, Commit::insert(first.clone())).await);
    let mut to = ArtifactSettings { policy: Policy::Signed, keys: vec![], ..first.clone() };
    to.kinds.extend((0..ArtifactSettings::MAX_KINDS).map(|n| format!("kind {n}")));
    let change = Commit::update(first, to);
    commit_settings(h, &t, change.clone()).await.unwrap();
    assert_eq!(get_settings(h, &t).await.as_ref(), change.aggregate());
    let last = change.aggregate().cloned().unwrap();
    commit_settings(h, &t, Commit::delete(last)).await.unwrap();
    assert_eq!(get_settings(h, &t).await, None);
}

async fn what_is_kept_changes_in_its_version_only(h: &Harness) {
    let t = tenant();
    let (gone, coming, kept) = (retired("a"), upload("a"), settings());
    for round in 0..2 {
        // First there is nothing; then what there is has another version.
        let event = || fact("late");
        let change = Commit::update(gone.clone(), gone.clone()).event(event());
        is_conflict(commit_retired(h, &t, change).await);
        is_conflict(commit_retired(h, &t, Commit::delete(gone.clone()).event(event())).await);
        let change = Commit::update(coming.clone(), coming.clone()).event(event());
        is_conflict(commit_upload(h, &t, change).await);
        is_conflict(commit_upload(h, &t, Commit::delete(coming.clone()).event(event())).await);
        let change = Commit::update(kept.clone(), kept.clone()).event(event());
        is_conflict(commit_settings(h, &t, change).await);
        is_conflict(commit_settings(h, &t, Commit::delete(kept.clone()).event(event())).await);
        if round == 0 {
            let version = Version(at(9).0);
            let newer = Retired { version, ..gone.clone() };
            commit_retired(h, &t, Commit::insert(newer)).await.unwrap();
            let newer = Upload { version, ..coming.clone() };
            commit_upload(h, &t, Commit::insert(newer)).await.unwrap();
            let newer = ArtifactSettings { version, ..kept.clone() };
            commit_settings(h, &t, Commit::insert(newer)).await.unwrap();
        }
    }
    assert!(get_retired(h, &t, "a").await.is_some());
    assert!(get_upload(h, &t, "a").await.is_some());
    assert!(get_settings(h, &t).await.is_some());
    assert_eq!(h.events().await, []);
}

async fn what_is_kept_tells_by_its_events(h: &Harness) {
    let t = tenant();
    let gone = h.stamp(&t, Commit::insert(retired("a")).event(fact("retired")));
    h.stores.commit_retired(&t, gone.clone()).await.unwrap();
    let coming = h.stamp(&t, Commit::insert(upload("a")).event(fact("upload")));
    h.stores.commit_upload(&t, coming.clone()).await.unwrap();
    let kept = h.stamp(&t, Commit::insert(settings()).event(fact("settings")));
    h.stores.commit_artifact_settings(&t, kept.clone()).await.unwrap();
    let mut expected = [gone.events, coming.events, kept.events].concat();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut events = h.events().await;
    events.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(events, expected);
}

async fn what_other_tenants_keep_does_not_exist(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let (gone, coming, kept) = (retired("a"), upload("a"), settings());
    commit_retired(h, &t, Commit::insert(gone.clone())).await.unwrap();
    commit_upload(h, &t, Commit::insert(coming.clone())).await.unwrap();
    commit_settings(h, &t, Commit::insert(kept.clone())).await.unwrap();
    assert_eq!(get_retired(h, &other, "a").await, None);
    assert_eq!(h.stores.walk_retired(&other, None, 10).await.unwrap(), []);
    assert_eq!(get_upload(h, &other, "a").await, None);
    assert_eq!(get_settings(h, &other).await, None);
    is_conflict(commit_retired(h, &other, Commit::delete(gone.clone())).await);
    is_conflict(commit_upload(h, &other, Commit::delete(coming.clone())).await);
    is_conflict(commit_settings(h, &other, Commit::delete(kept.clone())).await);
    commit_retired(h, &other, Commit::insert(gone.clone())).await.unwrap();
    commit_upload(h, &other, Commit::insert(coming.clone())).await.unwrap();
    commit_settings(h, &other, Commit::insert(kept.clone())).await.unwrap();
    commit_retired(h, &other, Commit::delete(gone.clone())).await.unwrap();
    commit_upload(h, &other, Commit::delete(coming.clone())).await.unwrap();
    commit_settings(h, &other, Commit::delete(kept.clone())).await.unwrap();
    assert_eq!(get_retired(h, &t, "a").await, Some(gone));
    assert_eq!(get_upload(h, &t, "a").await, Some(coming));
    assert_eq!(get_settings(h, &t).await, Some(kept));
}
