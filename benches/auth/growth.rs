//! What writes to tables that grow: measured once with each fleet.

use std::{
    future::Future,
    sync::{Arc, Mutex, atomic::Ordering},
};

use mender::{
    Ctx, DeviceId,
    auth::{AuthRequest, Status},
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    fleet::{CALLS, Fleet, requests},
    load::{device_id, is_pending, scattered, set_id},
    rounds::processor,
};

/// Calls that come one after the other.
const ALONE: usize = 1000;

/// Makes calls from as many tasks, and prints how many a second and how long they took.
async fn measure<T, F>(
    name: &str,
    tasks: usize,
    calls: Vec<T>,
    call: impl Fn(T) -> F + Clone + Send + 'static,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send,
{
    let (count, calls) = (calls.len(), Arc::new(Mutex::new(calls)));
    let took = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let tracker = TaskTracker::new();
    let (begun, worked) = (Instant::now(), processor());
    for _ in 0..tasks {
        let (calls, took, call) = (calls.clone(), took.clone(), call.clone());
        tracker.spawn(async move {
            loop {
                let next = calls.lock().ok().and_then(|mut calls| calls.pop());
                let Some(next) = next else { break };
                let begun = Instant::now();
                call(next).await;
                if let Ok(mut took) = took.lock() {
                    took.push(begun.elapsed());
                }
            }
        });
    }
    tracker.close();
    tracker.wait().await;
    let total = begun.elapsed();
    let worked = (processor() - worked) * 1000 / count.max(1) as u128;
    let Ok(mut took) = took.lock() else { return };
    took.sort();
    let at = |part: usize| took[(count * part / 1000).min(count - 1)].as_micros();
    let per_second = count as f64 / total.as_secs_f64();
    println!(
        "  {name:<26} {tasks:>3} tasks {per_second:>8.0}/s  p50 {:>6} µs  p99 {:>7} µs  CPU {worked:>5} µs",
        at(500),
        at(990)
    );
}

/// Requests with new keys and from new devices, and acceptances.
pub(crate) async fn measure_all(fleet: &Fleet) {
    println!("  {} devices", fleet.size);
    let size = fleet.size;
    let refused = {
        let (mender, failed) = (fleet.mender().clone(), fleet.failed.clone());
        move |request: AuthRequest| {
            let (mender, failed) = (mender.clone(), failed.clone());
            async move {
                let answer = mender.auth().request("", &request).await;
                failed.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
            }
        }
    };
    let known = scattered(size, CALLS, |n| !is_pending(n));
    let (few, many) = known.split_at((known.len() / 2).min(ALONE));
    for (tasks, numbers) in [(1, few), (64, many)] {
        measure("request, new key", tasks, requests(numbers, 2), refused.clone()).await;
    }
    for (tasks, numbers) in [(1, size..size + ALONE), (64, size + ALONE..size + ALONE + CALLS)] {
        let numbers: Vec<usize> = numbers.collect();
        measure("request, new device", tasks, requests(&numbers, 1), refused.clone()).await;
    }
    let accept = {
        let (mender, failed) = (fleet.mender().clone(), fleet.failed.clone());
        move |n: usize| {
            let (mender, failed) = (mender.clone(), failed.clone());
            async move {
                let ids = (device_id(n).parse::<DeviceId>(), set_id(n).parse());
                let (Ok(device), Ok(set)) = ids else { return };
                let ctx = Ctx::system(Default::default());
                let answer = mender.auth().decide(&ctx, &device, &set, Status::Accepted).await;
                failed.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
            }
        }
    };
    let pending = scattered(size, CALLS, is_pending);
    let (few, many) = pending.split_at((pending.len() / 2).min(ALONE));
    for (tasks, numbers) in [(1, few), (64, many)] {
        measure("accept", tasks, numbers.to_vec(), accept.clone()).await;
    }
}
