//! What becomes of a fleet whose server misbehaves; tokio's clock leaps.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mender_core::Env;
use tokio_util::sync::CancellationToken;

use super::{Fault, Lost, Plan, Report, Simulation, Storm, Transport};

/// What a server does when a device polls.
#[derive(Clone, Copy, Debug)]
enum Polls {
    /// It has nothing for it.
    Answered,
    /// It never answers.
    Hang,
    Panic,
}

#[derive(Clone, Debug)]
struct Server(Polls);

/// A server that answers nothing of use, after a second.
#[derive(Clone, Debug, Default)]
struct Slow {
    is_at: Arc<AtomicUsize>,
    was_at: Arc<AtomicUsize>,
}

impl Transport for Slow {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Body>, Lost> {
        let is_at = self.is_at.fetch_add(1, Relaxed) + 1;
        self.was_at.fetch_max(is_at, Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.is_at.fetch_sub(1, Relaxed);
        Ok(answer(StatusCode::SERVICE_UNAVAILABLE, ""))
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer
}

impl Transport for Server {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, Lost> {
        if request.uri().path().ends_with("/next") {
            match self.0 {
                Polls::Answered => {}
                Polls::Hang => std::future::pending().await,
                Polls::Panic => panic!("a poll"),
            }
        }
        // Who asks whether it is a server sends no identity.
        let is_device = request.body().len() > 2;
        Ok(match request.uri().path().ends_with("/auth_requests") {
            true if is_device => answer(StatusCode::OK, "token"),
            true => answer(StatusCode::BAD_REQUEST, "{}"),
            false => answer(StatusCode::NO_CONTENT, ""),
        })
    }
}

fn plan(devices: u32) -> Plan {
    Plan { ramp: Duration::from_secs(1), ..Plan::new("http://h", devices) }
}

/// Runs a fleet for an hour.
async fn ran(server: Polls, plan: Plan) -> Result<Report, Fault> {
    ran_over(Server(server), plan).await
}

async fn ran_over<T>(server: T, plan: Plan) -> Result<Report, Fault>
where
    T: Transport + Clone + 'static,
{
    let simulation = Simulation::over(server, plan, &Env::system()).await?;
    let stop = CancellationToken::new();
    let (report, ()) = tokio::join!(Box::pin(simulation.run(stop.clone())), async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(3600)) => stop.cancel(),
            () = stop.cancelled() => {}
        }
    });
    report
}

/// Returns the lines of a file of keys that are those of devices with a token.
fn with_token(path: &std::path::Path) -> Vec<u32> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
    let known = lines.filter(|line: &serde_json::Value| line["token"] == "token");
    known.map(|line| u32::try_from(line["number"].as_u64().unwrap()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn devices_that_await_an_answer_at_the_end_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet");
    let report = ran(Polls::Hang, Plan { kept: Some(path.clone()), ..plan(50) }).await.unwrap();
    assert_eq!((report.devices, report.kinds.get("poll")), (50, None));
    assert_eq!(with_token(&path), Vec::from_iter(0..50));
}

#[tokio::test(start_paused = true)]
async fn a_smaller_fleet_or_another_part_of_it_leaves_the_rest_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet");
    for (first, devices) in [(0, 9), (2, 3), (20, 2)] {
        let plan = Plan { first, kept: Some(path.clone()), ..plan(devices) };
        ran(Polls::Answered, plan).await.unwrap();
    }
    assert_eq!(with_token(&path), Vec::from_iter((0..9).chain(20..22)));
}

#[tokio::test(start_paused = true)]
async fn a_storm_in_a_time_that_no_clock_tells_never_comes() {
    let storms = [60, u64::MAX].map(|at| Storm { at: Duration::from_secs(at), share: 1000 });
    let storms = storms.to_vec();
    let report = ran(Polls::Answered, Plan { storms, ..plan(5) }).await.unwrap();
    // Before and after the storm that came.
    assert_eq!(report.kinds["authenticate"].requests, 10);
}

#[tokio::test(start_paused = true)]
async fn as_many_requests_are_under_way_as_there_are_connections() {
    for connections in [1, 3, 7] {
        let server = Slow::default();
        ran_over(server.clone(), Plan { connections, ..plan(100) }).await.unwrap();
        assert_eq!(server.was_at.load(Relaxed), connections);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_panics_stops_the_fleet_and_takes_no_device_along() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet");
    ran(Polls::Answered, Plan { kept: Some(path.clone()), ..plan(9) }).await.unwrap();
    let broken = ran(Polls::Panic, Plan { kept: Some(path.clone()), ..plan(9) }).await.unwrap_err();
    assert!(broken.to_string().contains("\"a poll\""), "{broken}");
    assert_eq!(with_token(&path), Vec::from_iter(0..9));
}
