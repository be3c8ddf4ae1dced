#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    commit::Commit,
    deployments::{
        Deployment, DeploymentQuery, DeviceDeployment, Payload, Progress, Stage, Status,
    },
    testing::{
        contract::{Harness, claims},
        deployments::{
            commit,
            made::{deployment, finished, record, scheduled, waiting},
            put,
            rows::{change_row, commit_row, put_row},
        },
        fixtures::{at, id, other_tenant, tenant},
    },
};

claims!["deployments":
    deployments_come_by_age,
    every_query_finds_what_core_means,
    conditions_hold_together,
    a_phrase_is_words_beside_each_other,
    progress_follows_the_records,
    a_device_finds_what_was_meant_for_it,
    open_deployments_and_the_last_end_are_those_of_the_release,
    the_newest_deployment_tells_when_it_was_created,
];

/// Deployments that differ in everything that they are found by.
fn fleet() -> Vec<Deployment> {
    let named = |id: &str, millis, name: &str, artifact: &str, groups: &[&str]| Deployment {
        name: name.into(),
        artifact_name: artifact.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..deployment(id, millis)
    };
    let mut configuration = named("c", 5, "device-1", "device-1", &[]);
    configuration.payload = Payload::Configuration("{}".into());
    let mut ended = named("e", -7, "device-1", "nightly builds", &["g1", "é"]);
    ended.payload = Payload::Configuration("{}".into());
    vec![
        named("a", 9, "Nightly Builds", "release-1", &["g1"]),
        finished(named("b", 2, "nightly build 2", "release-2", &["g2", "g1"]), 3),
        configuration,
        finished(named("d", 5, "build nightly", "élan%_", &["g2"]), 20),
        finished(ended, 10),
        scheduled(named("f", 5, "", "", &["other"]), 50),
    ]
}

async fn fill(h: &Harness) {
    for deployment in fleet() {
        put(h, &deployment).await;
    }
    for deployment in fleet() {
        commit(h, &other_tenant(), Commit::insert(deployment)).await.unwrap();
    }
}

/// Returns all deployments of a query, after pages of every size gave the same.
async fn found(h: &Harness, query: &DeploymentQuery) -> Vec<Deployment> {
    let t = tenant();
    let all = h.stores.deployments(&t, query, 0, 1000).await.unwrap();
    assert_eq!(h.stores.count_deployments(&t, query).await.unwrap(), all.len() as u64, "{query:?}");
    for skip in 0..=all.len() {
        let page = h.stores.deployments(&t, query, skip as u64, 2).await.unwrap();
        let end = all.len().min(skip + 2);
        assert_eq!(page, all[skip..end], "{query:?}");
    }
    assert_eq!(h.stores.deployments(&t, query, u64::MAX, usize::MAX).await.unwrap(), []);
    assert_eq!(h.stores.deployments(&t, query, 0, 0).await.unwrap(), []);
    assert_eq!(h.stores.deployments(&t, query, 0, usize::MAX).await.unwrap(), all);
    all
}

async fn ids(h: &Harness, query: DeploymentQuery) -> String {
    found(h, &query).await.iter().map(|deployment| deployment.id.as_str()).collect()
}

async fn deployments_come_by_age(h: &Harness) {
    fill(h).await;
    let all = DeploymentQuery::default;
    assert_eq!(ids(h, all()).await, "acdfbe");
    assert_eq!(ids(h, DeploymentQuery { ascending: true, ..all() }).await, "ebcdfa");
}

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// A query of each form, with values of all kinds.
fn queries() -> Vec<DeploymentQuery> {
    let all = DeploymentQuery::default;
    let mut queries = vec![all(), DeploymentQuery { ascending: true, ..all() }];
    for kind in ["software", "configuration"] {
        queries.push(DeploymentQuery { kind: Some(kind), ..all() });
    }
    queries.push(DeploymentQuery { progress: Some(Progress::Finished), ..all() });
    for now in [at(49), at(50)] {
        for progress in [Progress::Scheduled, Progress::Pending] {
            queries.push(DeploymentQuery { progress: Some(progress), now, ..all() });
        }
    }
    for some in [&["a"][..], &["e", "b", "ghost", "e"], &[]] {
        let ids = Some(some.iter().map(|some| id(some)).collect());
        queries.push(DeploymentQuery { ids, ..all() });
    }
    for names in [&["device-1"][..], &["", "build nightly", "\0"], &["Device-1"], &[]] {
        queries.push(DeploymentQuery { names: texts(names), ..all() });
    }
    for groups in [&["g1"][..], &["g2", "é", "g2"], &["G1", "\0", ""], &[]] {
        queries.push(DeploymentQuery { groups: texts(groups), ascending: true, ..all() });
    }
    for phrase in ["nightly", "NIGHTLY build", "build-nightly", "1", "device", "é", "", "-", "\0"]
    {
        queries.push(DeploymentQuery { phrase: Some(phrase.into()), ..all() });
    }
    for millis in [-8, -7, 5, 9, 10] {
        queries.push(DeploymentQuery { from: Some(at(millis)), ..all() });
        queries.push(DeploymentQuery { to: Some(at(millis)), ..all() });
        queries.push(DeploymentQuery { from: Some(at(2)), to: Some(at(millis)), ..all() });
    }
    queries
}

/// What core means, in the order of lists.
fn expected(query: &DeploymentQuery) -> Vec<Deployment> {
    let mut expected = fleet();
    expected.retain(|deployment| query.fits(deployment));
    expected.sort_by(|a, b| {
        let by_age = a.created.cmp(&b.created);
        let by_age = if query.ascending { by_age } else { by_age.reverse() };
        by_age.then_with(|| a.id.cmp(&b.id))
    });
    expected
}

async fn every_query_finds_what_core_means(h: &Harness) {
    fill(h).await;
    for query in queries() {
        assert_eq!(found(h, &query).await, expected(&query), "{query:?}");
    }
}

async fn conditions_hold_together(h: &Harness) {
    fill(h).await;
    let queries = queries();
    let t = tenant();
    for (n, one) in queries.iter().enumerate() {
        for other in &queries[n..] {
            let query = DeploymentQuery {
                progress: one.progress.or(other.progress),
                now: one.now.max(other.now),
                kind: one.kind.or(other.kind),
                ids: one.ids.clone().or(other.ids.clone()),
                names: one.names.clone().or(other.names.clone()),
                phrase: one.phrase.clone().or(other.phrase.clone()),
                device: None,
                from: one.from.or(other.from),
                to: one.to.or(other.to),
                groups: one.groups.clone().or(other.groups.clone()),
                ascending: other.ascending,
            };
            let expected = expected(&query);
            let found = h.stores.deployments(&t, &query, 0, 100).await.unwrap();
            assert_eq!(found, expected, "{query:?}");
            let count = h.stores.count_deployments(&t, &query).await.unwrap();
            assert_eq!(count, expected.len() as u64, "{query:?}");
        }
    }
}

async fn a_phrase_is_words_beside_each_other(h: &Harness) {
    fill(h).await;
    let cases = [
        ("nightly", "adbe"),
        ("Nightly!", "adbe"),
        ("nightly build", "abe"),
        ("builds, NIGHTLY", "d"),
        ("build 2", "b"),
        ("nightl", ""),
        ("release", "ab"),
        ("release 1", "a"),
        ("device-1", "ce"),
        ("1 device", ""),
        ("ÉLAN", "d"),
        ("builds release", ""),
        ("%", ""),
        ("", ""),
    ];
    for (phrase, expected) in cases {
        let query = DeploymentQuery { phrase: Some(phrase.into()), ..DeploymentQuery::default() };
        assert_eq!(ids(h, query).await, expected, "{phrase}");
    }
}

async fn by_progress(h: &Harness, progress: Progress) -> String {
    // All of them have begun.
    let (progress, now) = (Some(progress), at(1000));
    ids(h, DeploymentQuery { progress, now, ..DeploymentQuery::default() }).await
}

async fn progress_follows_the_records(h: &Harness) {
    fill(h).await;
    let mut row = waiting("a", "d");
    put_row(h, &row).await;
    // What is another's, or has ended, makes no difference.
    let other = record("c", "d", Status::Installing);
    commit_row(h, &other_tenant(), Commit::insert(other)).await.unwrap();
    for status in [Status::Failure, Status::Installing] {
        put_row(h, &record("b", &format!("{status:?}"), status)).await;
    }
    let is = async |h: &Harness, row: &DeviceDeployment, expected: bool| {
        let (pending, begun) = if expected { ("cf", "a") } else { ("acf", "") };
        assert_eq!(by_progress(h, Progress::Pending).await, pending, "{row:?}");
        assert_eq!(by_progress(h, Progress::InProgress).await, begun, "{row:?}");
        assert_eq!(by_progress(h, Progress::Finished).await, "dbe");
    };
    is(h, &row, false).await;
    for status in Status::ALL {
        let to = DeviceDeployment { version: row.version, ..record("a", "d", status) };
        row = change_row(h, &row, to).await;
        is(h, &row, status.is_begun()).await;
        let replaced = DeviceDeployment { replaced: true, deleted: Some(at(1)), ..row.clone() };
        row = change_row(h, &row, replaced).await;
        is(h, &row, false).await;
        let reset = DeviceDeployment { replaced: false, ..row.clone() };
        row = change_row(h, &row, reset).await;
        is(h, &row, status.is_begun()).await;
    }
    let dropped =
        DeviceDeployment { stage: Stage::Dropped, status: Status::Success, ..row.clone() };
    row = change_row(h, &row, dropped).await;
    is(h, &row, false).await;
    // One that has begun is found once, however many of its devices have.
    for n in 0..5 {
        put_row(h, &record("f", &format!("d{n}"), Status::ALL[n])).await;
    }
    assert_eq!(by_progress(h, Progress::InProgress).await, "f");
    assert_eq!(by_progress(h, Progress::Pending).await, "ac");
    let query = DeploymentQuery {
        progress: Some(Progress::InProgress),
        groups: texts(&["other", "g1"]),
        kind: Some("software"),
        ascending: true,
        ..DeploymentQuery::default()
    };
    assert_eq!(ids(h, query).await, "f");
}

async fn a_device_finds_what_was_meant_for_it(h: &Harness) {
    fill(h).await;
    let meant = async |h: &Harness, device: &str| {
        let device = Some(id(device));
        ids(h, DeploymentQuery { device, ..DeploymentQuery::default() }).await
    };
    assert_eq!(meant(h, "device-1").await, "ce");
    assert_eq!(meant(h, "device-2").await, "");
    put_row(h, &waiting("a", "device-1")).await;
    put_row(h, &waiting("c", "device-1")).await;
    let theirs = record("b", "device-1", Status::Success);
    commit_row(h, &other_tenant(), Commit::insert(theirs)).await.unwrap();
    assert_eq!(meant(h, "device-1").await, "ace");
    let mut row = waiting("b", "device-2");
    put_row(h, &row).await;
    let of = |status| record("b", "device-2", status);
    let states = [
        of(Status::Pending),
        of(Status::Success),
        DeviceDeployment { deleted: Some(at(1)), ..of(Status::Success) },
        DeviceDeployment { deleted: Some(at(1)), replaced: true, ..of(Status::Failure) },
        DeviceDeployment { stage: Stage::Dropped, ..waiting("b", "device-2") },
    ];
    for to in states {
        row = change_row(h, &row, to).await;
        assert_eq!(meant(h, "device-2").await, "b", "{row:?}");
    }
    put_row(h, &row.again()).await;
    put_row(h, &record("d", "device-2", Status::Aborted)).await;
    put_row(h, &waiting("f", "device-2")).await;
    assert_eq!(meant(h, "device-2").await, "dfb");
    let query = DeploymentQuery {
        device: Some(id("device-2")),
        progress: Some(Progress::Finished),
        phrase: Some("nightly".into()),
        ascending: true,
        ..DeploymentQuery::default()
    };
    assert_eq!(ids(h, query).await, "bd");
    commit_row(h, &tenant(), Commit::delete(row.again())).await.unwrap();
    commit_row(h, &tenant(), Commit::delete(row)).await.unwrap();
    assert_eq!(meant(h, "device-2").await, "df");
}

async fn open_deployments_and_the_last_end_are_those_of_the_release(h: &Harness) {
    let t = tenant();
    let of = |name: &str, release: &str, millis| Deployment {
        artifact_name: release.into(),
        ..deployment(name, millis)
    };
    for open in [of("1", "r", 1), of("2", "r", 2), of("3", "s", 3), of("4", "other", 4)] {
        put(h, &open).await;
    }
    let open = async |releases: &[&str]| {
        let releases = texts(releases).unwrap();
        let mut found = h.stores.open_deployments(&t, &releases).await.unwrap();
        found.sort();
        found.iter().map(|id| id.as_str().to_owned()).collect::<String>()
    };
    let last = async |release| h.stores.last_end(&t, release).await.unwrap();
    assert_eq!(open(&["r", "s", "r", "ghost"]).await, "123");
    assert_eq!(open(&["R"]).await, "");
    assert_eq!(open(&[]).await, "");
    assert_eq!(last("r").await, None);
    for (name, created, ended) in [("1", 1, 50), ("2", 2, -3)] {
        let was = of(name, "r", created);
        let change = Commit::update(was.clone(), finished(was, ended));
        commit(h, &t, change).await.unwrap();
    }
    put(h, &finished(of("5", "r", 9), 60)).await;
    assert_eq!(open(&["r", "s"]).await, "3");
    assert_eq!(last("r").await, Some(at(60)));
    assert_eq!(last("s").await, None);
    commit(h, &t, Commit::delete(finished(of("5", "r", 9), 60))).await.unwrap();
    assert_eq!(last("r").await, Some(at(50)));
}

async fn the_newest_deployment_tells_when_it_was_created(h: &Harness) {
    let t = tenant();
    for millis in [5, -3, 7, 6] {
        put(h, &deployment(&millis.to_string(), millis)).await;
    }
    assert_eq!(h.stores.newest_deployment(&t).await.unwrap(), Some(at(7)));
    commit(h, &t, Commit::delete(deployment("7", 7))).await.unwrap();
    assert_eq!(h.stores.newest_deployment(&t).await.unwrap(), Some(at(6)));
}
