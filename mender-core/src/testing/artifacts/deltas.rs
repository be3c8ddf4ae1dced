#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::time::Duration;

use crate::{
    artifacts::{
        ArtifactQuery, DeltaJob, DeltaNote, DeltaQuery, DeltaSizes, DeltaSort, DeltaStatus,
    },
    commit::Commit,
    env::Time,
    error::StoreResult,
    id::{TenantId, Version},
    testing::{
        artifacts::{
            commit as commit_release,
            made::{artifact, described, release},
        },
        contract::{Harness, claims},
        fixtures::{ODD_IDS, at, fact, id, is_conflict, other_tenant, tenant},
    },
};

claims!["artifacts":
    a_job_is_returned_as_it_was_stored,
    a_pair_has_one_job,
    jobs_are_found_by_what_they_are_about,
    jobs_come_in_every_order,
    a_job_changes_in_its_version_only,
    jobs_of_other_tenants_do_not_exist,
    artifacts_are_found_by_their_image,
];

fn job(name: &str, source: &str, target: &str) -> DeltaJob {
    DeltaJob {
        pair: DeltaJob::pair(&id(source), &id(target)),
        id: id(name),
        worker_id: format!("w{name}"),
        source: id(source),
        target: id(target),
        from: format!("release {source}"),
        to: format!("release {target}"),
        device_types: vec!["board".into()],
        deployment: None,
        sizes: DeltaSizes::default(),
        patience: Duration::from_secs(60),
        status: DeltaStatus::Queued,
        started: at(1),
        finished: None,
        until: at(2),
        notes: Vec::new(),
        target_size: None,
        delta_size: None,
        delta: None,
        version: Version(at(0).0),
    }
}

async fn commit(h: &Harness, t: &TenantId, commit: Commit<DeltaJob>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_delta_job(t, stamped).await
}

async fn put(h: &Harness, job: &DeltaJob) {
    commit(h, &tenant(), Commit::insert(job.clone())).await.unwrap();
}

async fn get(h: &Harness, t: &TenantId, job: &DeltaJob) -> Option<DeltaJob> {
    h.stores.delta_job(t, &job.pair).await.unwrap()
}

/// The ids of the jobs of a query.
async fn ids(h: &Harness, query: &DeltaQuery) -> String {
    let found = h.stores.delta_jobs(&tenant(), query, 0, 100).await.unwrap();
    let count = h.stores.count_delta_jobs(&tenant(), query).await.unwrap();
    assert_eq!(found.len() as u64, count, "{query:?}");
    found.iter().map(|job| job.id.as_str()).collect::<Vec<_>>().join(" ")
}

async fn a_job_is_returned_as_it_was_stored(h: &Harness) {
    let first = DeltaJob {
        from: "é😀'; --".into(),
        device_types: vec!["b".into(), "a".into(), String::new()],
        deployment: Some("d\"1".into()),
        version: Version(1 << 50),
        ..job("j", "a", "b")
    };
    assert_eq!(get(h, &tenant(), &first).await, None);
    put(h, &first).await;
    assert_eq!(get(h, &tenant(), &first).await.as_ref(), Some(&first));
    let to = DeltaJob {
        status: DeltaStatus::Success,
        started: Time(-1),
        finished: Some(at(9)),
        until: Time(0),
        notes: vec![DeltaNote { at: at(3), text: "dé\"\n".into() }],
        target_size: Some(u64::MAX),
        delta_size: Some(0),
        delta: Some(id("c")),
        ..first.clone()
    };
    let change = Commit::update(first, to);
    commit(h, &tenant(), change.clone()).await.unwrap();
    let last = change.aggregate().cloned().unwrap();
    assert_eq!(get(h, &tenant(), &last).await.as_ref(), Some(&last));
    assert_eq!(
        h.stores.delta_jobs(&tenant(), &DeltaQuery::default(), 0, 9).await.unwrap(),
        std::slice::from_ref(&last)
    );
    commit(h, &tenant(), Commit::delete(last.clone())).await.unwrap();
    assert_eq!(get(h, &tenant(), &last).await, None);
    assert_eq!(ids(h, &DeltaQuery::default()).await, "");
}

async fn a_pair_has_one_job(h: &Harness) {
    let first = job("j1", "a", "b");
    put(h, &first).await;
    let second = job("j2", "a", "b");
    is_conflict(commit(h, &tenant(), Commit::insert(second).event(fact("late"))).await);
    put(h, &job("j3", "b", "a")).await;
    assert_eq!(get(h, &tenant(), &first).await, Some(first));
    assert_eq!(h.events().await, []);
    for (n, odd) in ODD_IDS.into_iter().enumerate() {
        let odd = job(&format!("odd {n}"), odd, "other");
        put(h, &odd).await;
        assert_eq!(get(h, &tenant(), &odd).await, Some(odd));
    }
}

async fn jobs_are_found_by_what_they_are_about(h: &Harness) {
    let mut jobs = [job("1", "a", "b"), job("2", "b", "c"), job("3", "c", "a")];
    jobs[0].status = DeltaStatus::Failed;
    (jobs[1].status, jobs[1].delta) = (DeltaStatus::Success, Some(id("d")));
    (jobs[2].status, jobs[2].deployment) = (DeltaStatus::Pending, Some("x".into()));
    let jobs = [&jobs[..], &[job("4", "e", "e")]].concat();
    for job in &jobs {
        put(h, job).await;
    }
    let all = DeltaQuery { sort: DeltaSort::Started, ..DeltaQuery::default() };
    let about = |name: &str| DeltaQuery { artifact: Some(id(name)), ..all.clone() };
    let queries = [
        (DeltaQuery { id: Some(id("2")), ..all.clone() }, "2"),
        (DeltaQuery { id: Some(id("9")), ..all.clone() }, ""),
        (about("a"), "1 3"),
        (about("b"), "1 2"),
        (about("d"), "2"),
        (about("e"), "4"),
        (about("ghost"), ""),
        (DeltaQuery { deployment: Some("x".into()), ..all.clone() }, "3"),
        (DeltaQuery { open: true, ..all.clone() }, "3 4"),
        (DeltaQuery { open: true, ..about("a") }, "3"),
        (DeltaQuery { open: true, id: Some(id("1")), ..all.clone() }, ""),
        (all, "1 2 3 4"),
    ];
    for (query, expected) in queries {
        assert_eq!(ids(h, &query).await, expected, "{query:?}");
        let fits = jobs.iter().filter(|job| query.fits(job)).count();
        assert_eq!(fits, expected.split_whitespace().count(), "{query:?}");
    }
}

async fn jobs_come_in_every_order(h: &Harness) {
    let mut jobs = Vec::new();
    let states =
        [DeltaStatus::Success, DeltaStatus::Queued, DeltaStatus::Failed, DeltaStatus::Pending];
    for n in 0..12_usize {
        let mut new = job(&format!("j{n:02}"), &format!("s{n}"), "t");
        new.status = states[n % 4];
        new.started = Time((7 - n.cast_signed() as i64).rem_euclid(5) - 2);
        new.from = ["b", "é", "a", &"a".repeat(120), &("a".repeat(119) + "b"), ""][n % 6].into();
        new.to = ["B", "b", "\u{ffff}", "😀"][n % 4].into();
        put(h, &new).await;
        jobs.push(new);
    }
    for sort in [DeltaSort::Status, DeltaSort::Started, DeltaSort::From, DeltaSort::To] {
        for descending in [false, true] {
            let query = DeltaQuery { sort, descending, ..DeltaQuery::default() };
            jobs.sort_by(|a, b| query.compare(a, b));
            for (skip, limit) in [(0, 100), (0, 5), (5, 4), (11, 3), (12, 1), (3, 0)] {
                let page: Vec<_> = jobs.iter().skip(skip).take(limit).cloned().collect();
                let skip = skip as u64;
                let found = h.stores.delta_jobs(&tenant(), &query, skip, limit).await.unwrap();
                assert_eq!(found, page, "{query:?} {skip} {limit}");
            }
        }
    }
}

async fn a_job_changes_in_its_version_only(h: &Harness) {
    let t = tenant();
    let first = job("j", "a", "b");
    for round in 0..2 {
        // First there is none; then it has another version.
        let change = Commit::update(first.clone(), first.clone()).event(fact("late"));
        is_conflict(commit(h, &t, change).await);
        is_conflict(commit(h, &t, Commit::delete(first.clone()).event(fact("late"))).await);
        if round == 0 {
            put(h, &DeltaJob { version: Version(at(9).0), ..first.clone() }).await;
        }
    }
    assert_eq!(get(h, &t, &first).await.unwrap().version, Version(at(9).0));
    assert_eq!(h.events().await, []);
    let told = h.stamp(&t, Commit::insert(job("k", "a", "c")).event(fact("told")));
    h.stores.commit_delta_job(&t, told.clone()).await.unwrap();
    assert_eq!(h.events().await, told.events);
}

async fn jobs_of_other_tenants_do_not_exist(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let first = job("j", "a", "b");
    put(h, &first).await;
    assert_eq!(get(h, &other, &first).await, None);
    assert_eq!(h.stores.delta_jobs(&other, &DeltaQuery::default(), 0, 9).await.unwrap(), []);
    assert_eq!(h.stores.count_delta_jobs(&other, &DeltaQuery::default()).await.unwrap(), 0);
    is_conflict(commit(h, &other, Commit::delete(first.clone())).await);
    commit(h, &other, Commit::insert(first.clone())).await.unwrap();
    commit(h, &other, Commit::delete(first.clone())).await.unwrap();
    assert_eq!(get(h, &t, &first).await, Some(first));
}

async fn artifacts_are_found_by_their_image(h: &Harness) {
    let t = tenant();
    let sum = "ab".repeat(32);
    let mut image = artifact("a1", "r");
    image.content.provides.insert("rootfs-image.checksum".into(), sum.clone());
    let mut delta = image.clone();
    (delta.id, delta.content.payloads[0].kind) = (id("a2"), Some("mender-binary-delta".into()));
    let mut short = image.clone();
    short.id = id("a3");
    short.content.provides.insert("rootfs-image.checksum".into(), "ab".into());
    let was = release("r", vec![image.clone(), delta, short]);
    commit_release(h, &t, Commit::insert(was.clone())).await.unwrap();
    let find = async |image: &str| {
        let query = ArtifactQuery { image: Some(image.into()), ..ArtifactQuery::default() };
        let found = h.stores.artifacts(&t, &query, 0, 9).await.unwrap();
        assert_eq!(h.stores.count_artifacts(&t, &query).await.unwrap(), found.len() as u64);
        found
    };
    assert_eq!(find(&sum).await, [image.clone()]);
    for other in ["ab", "", "\0", &"cd".repeat(32)] {
        assert_eq!(find(other).await, []);
    }
    let mut to = was.clone();
    to.artifacts[0] = described(image, "other");
    let expected = to.artifacts[0].clone();
    let change = Commit::update(was, to);
    commit_release(h, &t, change.clone()).await.unwrap();
    assert_eq!(find(&sum).await, [expected]);
    let mut to = change.aggregate().cloned().unwrap();
    let was = to.clone();
    to.artifacts.remove(0);
    commit_release(h, &t, Commit::update(was, to)).await.unwrap();
    assert_eq!(find(&sum).await, []);
}
