//! Short rounds that measure two fleets in turn: what else the machine does, and how fast it
//! happens to be, meets both alike.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Pairs of rounds, and how long a round takes.
const PAIRS: usize = 10;
const ROUND: Duration = Duration::from_secs(1);

/// Makes the n-th call.
pub(crate) type Call = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// What was measured of one fleet.
#[derive(Default)]
struct Measured {
    /// Calls a second, by round.
    rates: Vec<f64>,
    took: Vec<Duration>,
    /// Milliseconds of processor time.
    worked: u128,
}

impl Measured {
    async fn round(&mut self, call: &Call, tasks: usize) {
        let (next, took) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let tracker = TaskTracker::new();
        let (begun, worked) = (Instant::now(), processor());
        for _ in 0..tasks {
            let (call, next, took) = (call.clone(), next.clone(), took.clone());
            tracker.spawn(async move {
                let mut own = Vec::new();
                let mut at = Instant::now();
                while at - begun < ROUND {
                    call(next.fetch_add(1, Ordering::Relaxed)).await;
                    let done = Instant::now();
                    own.push(done - at);
                    at = done;
                }
                if let Ok(mut took) = took.lock() {
                    took.append(&mut own);
                }
            });
        }
        tracker.close();
        tracker.wait().await;
        let seconds = begun.elapsed().as_secs_f64();
        self.worked += processor() - worked;
        if let Ok(mut took) = took.lock() {
            self.rates.push(took.len() as f64 / seconds);
            self.took.append(&mut took);
        }
    }

    fn print(&mut self) {
        self.took.sort();
        let count = self.took.len().max(1);
        let at = |part: usize| self.took.get(count * part / 1000).map_or(0, Duration::as_micros);
        println!(
            "    {:>8.0}/s  p50 {:>6} µs  p99 {:>7} µs  CPU {:>5} µs",
            median(self.rates.clone()),
            at(500),
            at(990),
            self.worked * 1000 / count as u128
        );
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => 0.0,
        n if n % 2 == 1 => all[n / 2],
        n => f64::midpoint(all[n / 2 - 1], all[n / 2]),
    }
}

/// Measures one path with the small fleet and with the large one, and prints both, and how much
/// longer a request takes with the large one: the median of the pairs.
pub(crate) async fn compare(name: &str, tasks: usize, small: &Call, large: &Call) {
    // The first pair fills caches.
    for call in [small, large] {
        Measured::default().round(call, tasks).await;
    }
    let mut both = [Measured::default(), Measured::default()];
    for pair in 0..PAIRS {
        for n in [pair % 2, 1 - pair % 2] {
            both[n].round([small, large][n], tasks).await;
        }
    }
    println!("  {name}, {tasks} tasks");
    let [small, large] = &mut both;
    small.print();
    large.print();
    let pairs = small.rates.iter().zip(&large.rates);
    let mut ratios: Vec<f64> = pairs.map(|(small, large)| small / large).collect();
    ratios.sort_by(f64::total_cmp);
    let (first, last) = (ratios[0], ratios[ratios.len() - 1]);
    println!("    takes {:.2} times as long ({first:.2} to {last:.2})", median(ratios));
}

/// The processor time of the process so far, in milliseconds: what others do on the machine does
/// not count.
fn processor() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2);
    // 100 ticks a second on every Linux.
    ticks.filter_map(|t| t.parse::<u128>().ok()).sum::<u128>() * 10
}

/// Makes calls from as many tasks, and prints how many a second and how long they took.
pub(crate) async fn measure<T, F>(
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
