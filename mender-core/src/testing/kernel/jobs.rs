#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    env::Time,
    jobs::{Claim, DeadJob, Job, NewJob, Verdict},
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, TASKS, at},
    },
};

claims!["jobs":
    a_job_that_is_there_already_stays_as_it_is,
    due_jobs_are_claimed_the_longest_due_first,
    a_claim_takes_its_kinds_and_at_most_its_limit,
    odd_keys_and_payloads_are_kept,
    a_job_is_handed_over_when_its_lease_ends,
    a_job_that_is_done_is_forgotten_and_may_come_again,
    a_job_runs_again_with_its_new_payload_and_time,
    attempts_count_failures_and_start_anew_after_what_was_planned,
    settling_an_outdated_attempt_does_nothing,
    an_attempt_is_outdated_also_when_its_number_comes_again,
    settling_an_unknown_job_is_no_error,
    dead_jobs_are_listed_oldest_first_and_never_claimed,
    dead_jobs_are_made_due_again_by_kind,
    the_next_due_job_is_told,
    no_attempt_goes_to_two_callers,
];

pub(super) fn job(kind: &str, key: &str, due: i64) -> NewJob {
    NewJob {
        kind: kind.into(),
        key: key.into(),
        lane: String::new(),
        due_at: at(due),
        payload: json!({ "of": key }),
    }
}

pub(super) async fn put(h: &Harness, jobs: &[NewJob]) {
    h.stores.put_jobs(jobs).await.unwrap();
}

/// Claims for 100 ms.
pub(super) async fn claim(h: &Harness, kinds: &[&str], now: i64, limit: usize) -> Vec<Job> {
    let claim = Claim {
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        now: at(now),
        lease_until: at(now + 100),
        limit,
    };
    let jobs = h.stores.claim_jobs(&claim).await.unwrap();
    assert!(jobs.len() <= limit);
    jobs
}

pub(super) fn keys(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.key.as_str()).collect()
}

pub(super) async fn settle(h: &Harness, job: &Job, verdict: Verdict) {
    let settled = [(job.clone(), verdict)];
    h.stores.settle_jobs(&settled).await.unwrap();
}

fn again(due: i64, payload: Value, error: &str) -> Verdict {
    Verdict::Again { due_at: at(due), payload, error: error.into() }
}

fn dead(millis: i64) -> Verdict {
    Verdict::Dead { at: at(millis), error: "bröken".into() }
}

async fn claim_one(h: &Harness, now: i64) -> Job {
    let mut jobs = claim(h, &["k"], now, 10).await;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

async fn a_job_that_is_there_already_stays_as_it_is(h: &Harness) {
    let first = job("k", "a", 5);
    put(h, std::slice::from_ref(&first)).await;
    let mut second = job("k", "a", 1);
    second.payload = json!("another");
    put(h, &[second.clone(), second.clone(), job("other", "a", 9)]).await;
    assert_eq!(claim(h, &["k"], 4, 10).await, []);
    let claimed = claim_one(h, 5).await;
    assert_eq!((claimed.payload.clone(), claimed.due_at), (first.payload, at(5)));
    put(h, std::slice::from_ref(&second)).await;
    assert_eq!(claim(h, &["k"], 6, 10).await, []);
    settle(h, &claimed, dead(7)).await;
    put(h, &[second]).await;
    assert_eq!(claim(h, &["k"], 1000, 10).await, []);
    put(h, &[]).await;
}

async fn due_jobs_are_claimed_the_longest_due_first(h: &Harness) {
    let due = [("c", 30), ("a", 20), ("d", 10), ("b", -99), ("later", 31)];
    let jobs = due.map(|(key, due)| job("k", key, due));
    put(h, &jobs).await;
    let claimed = claim(h, &["k"], 30, 10).await;
    assert_eq!(keys(&claimed), ["b", "d", "a", "c"]);
    let expected = Job {
        kind: "k".into(),
        key: "b".into(),
        attempt: 1,
        due_at: at(-99),
        payload: json!({ "of": "b" }),
    };
    assert_eq!(claimed[0], expected);
}

async fn a_claim_takes_its_kinds_and_at_most_its_limit(h: &Harness) {
    for n in 0..5 {
        put(h, &[job("k", &format!("k{n}"), n), job("l", &format!("l{n}"), n)]).await;
        put(h, &[job("m", &format!("m{n}"), n)]).await;
    }
    assert_eq!(claim(h, &[], 10, 10).await, []);
    assert_eq!(claim(h, &["ghost"], 10, 10).await, []);
    assert_eq!(keys(&claim(h, &["k"], 10, 2).await), ["k0", "k1"]);
    let mut rest = claim(h, &["k", "l", "ghost"], 10, 100).await;
    rest.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = ["k2", "k3", "k4", "l0", "l1", "l2", "l3", "l4"];
    assert_eq!(keys(&rest), expected);
    assert_eq!(claim(h, &["m"], 10, 100).await.len(), 5);
}

async fn odd_keys_and_payloads_are_kept(h: &Harness) {
    let long = "k".repeat(600);
    let payloads = [json!(null), json!({ "a.b": [1, 2.5, "é"] }), json!("x".repeat(100_000))];
    let mut jobs = Vec::new();
    for (n, key) in ODD_IDS.into_iter().chain([long.as_str()]).enumerate() {
        let mut job = job("k/ö", key, 0);
        job.payload = payloads[n % payloads.len()].clone();
        jobs.push(job);
    }
    put(h, &jobs).await;
    let claimed = claim(h, &["k/ö"], 0, 100).await;
    let found: BTreeMap<&str, &Value> =
        claimed.iter().map(|job| (job.key.as_str(), &job.payload)).collect();
    let expected: BTreeMap<&str, &Value> =
        jobs.iter().map(|job| (job.key.as_str(), &job.payload)).collect();
    assert_eq!(found, expected);
}

async fn a_job_is_handed_over_when_its_lease_ends(h: &Harness) {
    put(h, &[job("k", "a", 0)]).await;
    for attempt in 1..4 {
        let now = attempt * 100;
        assert_eq!(claim_one(h, now).await.attempt, attempt);
        assert_eq!(claim(h, &["k"], now + 99, 10).await, []);
    }
}

async fn a_job_that_is_done_is_forgotten_and_may_come_again(h: &Harness) {
    for round in 0..3 {
        put(h, &[job("k", "a", round * 1000)]).await;
        let claimed = claim_one(h, round * 1000).await;
        assert_eq!(claimed.attempt, 1);
        settle(h, &claimed, Verdict::Done).await;
        assert_eq!(claim(h, &["k"], 1 << 40, 10).await, []);
        let next = h.stores.next_due(&["k".into()]).await.unwrap();
        assert_eq!(next, None);
    }
}

async fn a_job_runs_again_with_its_new_payload_and_time(h: &Harness) {
    put(h, &[job("k", "a", 0)]).await;
    let first = claim_one(h, 0).await;
    settle(h, &first, again(50, json!("next"), "")).await;
    assert_eq!(claim(h, &["k"], 49, 10).await, []);
    let second = claim_one(h, 50).await;
    assert_eq!((second.payload, second.due_at), (json!("next"), at(50)));
}

async fn attempts_count_failures_and_start_anew_after_what_was_planned(h: &Harness) {
    put(h, &[job("k", "a", 0)]).await;
    for (now, expected, error) in [(0, 1, "no"), (10, 2, "no"), (20, 3, ""), (30, 1, "no")] {
        let claimed = claim_one(h, now).await;
        assert_eq!(claimed.attempt, expected);
        settle(h, &claimed, again(now + 10, json!(null), error)).await;
    }
}

async fn settling_an_outdated_attempt_does_nothing(h: &Harness) {
    put(h, &[job("k", "a", 0)]).await;
    let old = claim_one(h, 0).await;
    let new = claim_one(h, 100).await;
    for verdict in [Verdict::Done, again(0, json!("old"), ""), dead(1)] {
        settle(h, &old, verdict).await;
    }
    assert_eq!(h.stores.dead_jobs(10).await.unwrap(), []);
    assert_eq!(claim(h, &["k"], 150, 10).await, []);
    settle(h, &new, again(160, json!("new"), "failed")).await;
    for stale in [&old, &new] {
        let last = claim_one(h, 1000 + stale.attempt * 1000).await;
        assert_eq!(last.payload, json!("new"));
        settle(h, stale, Verdict::Done).await;
        settle(h, stale, dead(1)).await;
    }
    assert_eq!(claim_one(h, 9000).await.attempt, 5);
}

async fn an_attempt_is_outdated_also_when_its_number_comes_again(h: &Harness) {
    put(h, &[job("k", "a", 0)]).await;
    let old = claim_one(h, 0).await;
    let second = claim_one(h, 100).await;
    settle(h, &second, again(110, json!("planned"), "")).await;
    let new = claim_one(h, 110).await;
    assert_eq!((old.attempt, new.attempt), (1, 1));
    for verdict in [dead(120), again(0, json!("old"), ""), Verdict::Done] {
        settle(h, &old, verdict).await;
    }
    assert_eq!(h.stores.dead_jobs(10).await.unwrap(), []);
    assert_eq!(claim(h, &["k"], 120, 10).await, []);
    assert_eq!(claim_one(h, 300).await.payload, json!("planned"));
}

async fn settling_an_unknown_job_is_no_error(h: &Harness) {
    put(h, &[job("k", "a", 0), job("k", "b", 0)]).await;
    let claimed = claim(h, &["k"], 0, 10).await;
    settle(h, &claimed[0], Verdict::Done).await;
    let mut both = Vec::new();
    for job in claimed {
        both.push((job, Verdict::Done));
    }
    h.stores.settle_jobs(&both).await.unwrap();
    h.stores.settle_jobs(&[]).await.unwrap();
    assert_eq!(claim(h, &["k"], 1000, 10).await, []);
}

/// Makes dead jobs `a`, `b` and `c`: of kinds `k`, `l` and `k`, given up in the order c, a, b.
async fn bury(h: &Harness) {
    put(h, &[job("k", "a", 0), job("l", "b", 0), job("k", "c", 0)]).await;
    for job in claim(h, &["k", "l"], 0, 10).await {
        let millis = match job.key.as_str() {
            "a" => 20,
            "b" => 30,
            _ => 10,
        };
        settle(h, &job, dead(millis)).await;
    }
}

async fn dead_jobs_are_listed_oldest_first_and_never_claimed(h: &Harness) {
    assert_eq!(h.stores.dead_jobs(10).await.unwrap(), []);
    bury(h).await;
    let dead = h.stores.dead_jobs(10).await.unwrap();
    let keys: Vec<&str> = dead.iter().map(|job| job.key.as_str()).collect();
    assert_eq!(keys, ["c", "a", "b"]);
    let expected = DeadJob {
        kind: "k".into(),
        key: "c".into(),
        attempt: 1,
        at: at(10),
        error: "bröken".into(),
        payload: json!({ "of": "c" }),
    };
    assert_eq!(dead[0], expected);
    assert_eq!(h.stores.dead_jobs(1).await.unwrap(), [expected]);
    assert_eq!(claim(h, &["k", "l"], 1 << 40, 10).await, []);
    let next = h.stores.next_due(&["k".into(), "l".into()]).await;
    assert_eq!(next.unwrap(), None);
}

async fn dead_jobs_are_made_due_again_by_kind(h: &Harness) {
    bury(h).await;
    put(h, &[job("k", "alive", 1 << 30)]).await;
    let redrive = async |kind, now| h.stores.redrive_jobs(kind, at(now)).await.unwrap();
    assert_eq!(redrive(Some("ghost"), 100).await, 0);
    assert_eq!(redrive(Some("l"), 100).await, 1);
    assert_eq!(claim(h, &["k", "l"], 99, 10).await, []);
    let claimed = claim(h, &["k", "l"], 100, 10).await;
    assert_eq!(keys(&claimed), ["b"]);
    assert_eq!((claimed[0].attempt, claimed[0].due_at), (1, at(100)));
    assert_eq!(claimed[0].payload, json!({ "of": "b" }));
    assert_eq!(redrive(None, 200).await, 2);
    assert_eq!(redrive(None, 200).await, 0);
    assert_eq!(h.stores.dead_jobs(10).await.unwrap(), []);
    let mut claimed = claim(h, &["k"], 200, 10).await;
    claimed.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(keys(&claimed), ["a", "c"]);
}

async fn the_next_due_job_is_told(h: &Harness) {
    let next = async |kinds: &[&str]| -> Option<Time> {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).into()).collect();
        h.stores.next_due(&kinds).await.unwrap()
    };
    assert_eq!(next(&["k"]).await, None);
    put(h, &[job("k", "a", 20), job("k", "b", 300), job("l", "c", 10)]).await;
    assert_eq!(next(&["k"]).await, Some(at(20)));
    assert_eq!(next(&["k", "l"]).await, Some(at(10)));
    assert_eq!(next(&["m"]).await, None);
    assert_eq!(next(&[]).await, None);
    let claimed = claim(h, &["k"], 50, 1).await;
    assert_eq!(next(&["k"]).await, Some(at(150)));
    settle(h, &claimed[0], Verdict::Done).await;
    assert_eq!(next(&["k"]).await, Some(at(300)));
}

async fn no_attempt_goes_to_two_callers(h: &Harness) {
    const JOBS: usize = 120;
    let jobs: Vec<NewJob> = (0..JOBS).map(|n| job("k", &format!("{n}"), 0)).collect();
    put(h, &jobs).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut mine = Vec::new();
            let mut idle = 0;
            // An empty answer may mean that others were faster: it takes several to be sure.
            while idle < 5 {
                h.waver().await;
                let claimed = claim(&h, &["k"], 10, 3 + task).await;
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                mine.extend(claimed);
            }
            mine
        });
    }
    let all = tasks.join_all().await.concat();
    let mut distinct: Vec<&str> = keys(&all);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((all.len(), distinct.len()), (JOBS, JOBS));
    assert!(all.iter().all(|job| job.attempt == 1));
}
