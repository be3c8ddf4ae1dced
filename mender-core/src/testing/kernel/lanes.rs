#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    jobs::{Claim, NewJob, Verdict},
    testing::{
        contract::{Harness, claims},
        fixtures::{TASKS, at},
        kernel::jobs::{claim, job, keys, put, settle},
    },
};

claims!["jobs":
    a_job_waits_for_those_of_its_lane_with_a_smaller_key,
    a_job_waits_also_for_one_that_is_due_later,
    dead_jobs_hold_up_nobody_in_their_lane,
    lanes_and_kinds_do_not_wait_for_each_other,
    jobs_that_wait_hide_no_others,
    lanes_keep_their_order_under_contention,
];

fn in_lane(lane: &str, key: &str, due: i64) -> NewJob {
    NewJob { lane: lane.into(), ..job("k", key, due) }
}

async fn a_job_waits_for_those_of_its_lane_with_a_smaller_key(h: &Harness) {
    let order = ["1", "10", "2", "Z", "a", "é", "\u{fffd}", "😀"];
    for key in order.into_iter().rev() {
        put(h, &[in_lane("lane", key, 0)]).await;
    }
    for (round, key) in (0..).zip(order) {
        let claimed = claim(h, &["k"], round * 10, 10).await;
        assert_eq!(keys(&claimed), [key]);
        assert_eq!(claim(h, &["k"], round * 10, 10).await, []);
        settle(h, &claimed[0], Verdict::Done).await;
    }
    assert_eq!(claim(h, &["k"], 1000, 10).await, []);
}

async fn a_job_waits_also_for_one_that_is_due_later(h: &Harness) {
    put(h, &[in_lane("lane", "b", 0), in_lane("lane", "a", 50)]).await;
    assert_eq!(claim(h, &["k"], 49, 10).await, []);
    let claimed = claim(h, &["k"], 50, 10).await;
    assert_eq!(keys(&claimed), ["a"]);
    let again = Verdict::Again { due_at: at(80), payload: json!(null), error: "failed".into() };
    settle(h, &claimed[0], again).await;
    assert_eq!(claim(h, &["k"], 79, 10).await, []);
    assert_eq!(keys(&claim(h, &["k"], 80, 10).await), ["a"]);
}

async fn dead_jobs_hold_up_nobody_in_their_lane(h: &Harness) {
    put(h, &[in_lane("lane", "a", 0), in_lane("lane", "b", 0)]).await;
    let claimed = claim(h, &["k"], 0, 10).await;
    let dead = Verdict::Dead { at: at(1), error: "no".into() };
    settle(h, &claimed[0], dead).await;
    assert_eq!(keys(&claim(h, &["k"], 2, 10).await), ["b"]);
    h.stores.redrive_jobs(None, at(200)).await.unwrap();
    assert_eq!(keys(&claim(h, &["k"], 200, 10).await), ["a"]);
}

async fn lanes_and_kinds_do_not_wait_for_each_other(h: &Harness) {
    let mut other_kind = in_lane("one", "c", 0);
    other_kind.kind = "l".into();
    put(h, &[in_lane("one", "a", 0), in_lane("two", "b", 0), other_kind]).await;
    put(h, &[in_lane("", "d", 0), in_lane("", "e", 0)]).await;
    let mut claimed = claim(h, &["k", "l"], 0, 10).await;
    claimed.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(keys(&claimed), ["a", "b", "c", "d", "e"]);
}

async fn jobs_that_wait_hide_no_others(h: &Harness) {
    let mut jobs: Vec<NewJob> = (0..200).map(|n| in_lane("lane", &format!("a{n:03}"), 0)).collect();
    jobs.push(job("k", "free", 0));
    jobs.push(job("k", "free later", 1));
    put(h, &jobs).await;
    let mut found = Vec::new();
    for _ in 0..3 {
        found.extend(claim(h, &["k"], 1, 1).await);
    }
    let mut found = keys(&found);
    found.sort_unstable();
    assert_eq!(found, ["a000", "free", "free later"]);
    assert_eq!(claim(h, &["k"], 1, 10).await, []);
}

async fn lanes_keep_their_order_under_contention(h: &Harness) {
    const LANES: usize = 4;
    const JOBS: usize = 15;
    for n in 0..JOBS {
        for lane in 0..LANES {
            put(h, &[in_lane(&format!("{lane}"), &format!("{lane}/{n:02}"), 0)]).await;
        }
    }
    let ran: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (h, ran) = (h.clone(), ran.clone());
        tasks.spawn(async move {
            while ran.lock().unwrap().values().map(Vec::len).sum::<usize>() < LANES * JOBS {
                h.waver().await;
                let claim =
                    Claim { kinds: vec!["k".into()], now: at(0), lease_until: at(1000), limit: 3 };
                for job in h.stores.claim_jobs(&claim).await.unwrap() {
                    h.waver().await;
                    let lane = job.key.split('/').next().unwrap().to_owned();
                    ran.lock().unwrap().entry(lane).or_default().push(job.key.clone());
                    settle(&h, &job, Verdict::Done).await;
                }
            }
        });
    }
    tasks.join_all().await;
    for (lane, keys) in ran.lock().unwrap().iter() {
        let expected: Vec<String> = (0..JOBS).map(|n| format!("{lane}/{n:02}")).collect();
        assert_eq!(*keys, expected);
    }
}
