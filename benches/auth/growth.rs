//! What writes to tables that grow: measured once with each fleet.

use std::sync::atomic::Ordering;

use mender::{
    Ctx, DeviceId,
    auth::{AuthRequest, Status},
};

use crate::{
    fleet::{CALLS, Fleet, requests},
    is_pending,
    support::{
        load::{device_id, scattered, set_id},
        rounds::measure,
    },
};

/// Calls that come one after the other.
const ALONE: usize = 1000;

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
