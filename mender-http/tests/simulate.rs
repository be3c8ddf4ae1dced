//! Simulated devices against the routes of a server in this process; tokio's clock leaps.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use mender_core::{
    Ctx, Mender,
    artifacts::{
        NewArtifact,
        format::{FileRecipe, Recipe, Software},
    },
    deployments::{Course, DeploymentId, NewDeployment, Status, Whom},
    secret::{HashCost, Secret},
    simulated::{Chances, Profile},
    users::{Config, NewUser},
};
use mender_http::simulate::{
    Fault, InProcess, KeyShares, Plan, Report, Simulation, Storm, User, Watch,
};
use tokio_util::sync::CancellationToken;

const USER: &str = "u@example.com";
const PASSWORD: &str = "correct horse";
const MINUTE: Duration = Duration::from_secs(60);

/// A server with a user and a release.
async fn server() -> (Mender, InProcess) {
    let cheap = Config { hash_cost: HashCost::CHEAPEST, ..Config::default() };
    let builder = Mender::in_memory().public_url("http://localhost").users_config(cheap);
    let mender = builder.build().unwrap();
    let email = USER.parse().unwrap();
    let user = NewUser { email, password: PASSWORD.into(), id: None, roles: Vec::new() };
    mender.users().create(&ctx(), &user).await.unwrap();
    let content = vec![7; 100_000];
    let files = vec![FileRecipe::new("file", content.len() as u64)];
    let software = Software::default();
    let recipe = Recipe::module("script", "release-2", ["pump"], files, Some(&software));
    let bytes = stream::iter([Ok(recipe.build(&[&content], None).unwrap().into())]);
    mender.artifacts().upload(&ctx(), NewArtifact::default(), bytes).await.unwrap();
    let router = mender_http::router(mender.clone());
    (mender, InProcess::from(router))
}

fn ctx() -> Ctx {
    Ctx::system(Default::default())
}

fn plan(devices: u32, chances: Chances) -> Plan {
    let profile = Profile { polls: MINUTE, chances, ..Profile::default() };
    Plan {
        kinds: vec![(Arc::new(profile), 1)],
        keys: KeyShares { rsa: 0, ecdsa: 200 },
        ramp: MINUTE,
        checksums: true,
        old: 300,
        user: Some(User { name: USER.into(), password: Secret::new(PASSWORD) }),
        ..Plan::new("http://localhost", devices)
    }
}

async fn order(mender: &Mender) -> DeploymentId {
    let new = NewDeployment {
        name: "all".into(),
        artifact_name: "release-2".into(),
        force_installation: false,
        whom: Whom::All,
        course: Course::default(),
    };
    mender.deployments().create(&ctx(), new).await.unwrap()
}

/// Waits until so many devices do nothing, orders an update, and waits until it has ended.
async fn updated(mender: &Mender, watch: &Watch, devices: u64) -> DeploymentId {
    let wait = async || {
        tokio::time::sleep(MINUTE / 2).await;
        mender.drain().await.unwrap();
    };
    for _ in 0..100 {
        wait().await;
        if watch.report().states.get("idle") == Some(&devices) {
            break;
        }
    }
    let id = order(mender).await;
    for _ in 0..1000 {
        wait().await;
        let shown = mender.deployments().deployment(&ctx(), &id).await.unwrap();
        if shown.deployment.is_finished() {
            return id;
        }
    }
    panic!("it never ends: {:?}", watch.report());
}

async fn run(mender: &Mender, server: InProcess, plan: Plan) -> (Report, DeploymentId) {
    let devices = u64::from(plan.devices);
    let simulation = Simulation::in_process(server, plan, mender.env()).await.unwrap();
    let (watch, stop) = (simulation.watch(), CancellationToken::new());
    let (report, id) = tokio::join!(Box::pin(simulation.run(stop.clone())), async {
        let id = Box::pin(updated(mender, &watch, devices)).await;
        stop.cancel();
        id
    });
    (report.unwrap(), id)
}

#[tokio::test(start_paused = true)]
async fn a_fleet_to_which_nothing_happens_is_updated_without_an_error() {
    let (mender, server) = server().await;
    let (report, id) = run(&mender, server, plan(50, Chances::default())).await;
    let shown = mender.deployments().deployment(&ctx(), &id).await.unwrap();
    assert_eq!(shown.tally.count(Status::Success), 50);
    assert_eq!(report.runs, [("release-2".to_owned(), 50)].into());
    // Each was refused once, before it was accepted.
    let errors: Vec<_> =
        report.errors.iter().map(|e| (e.request, e.error.as_str(), e.count)).collect();
    assert_eq!(errors, [("authenticate", "401", 50)]);
    assert_eq!((report.kinds["download"].requests, report.wrong_checksums), (50, 0));
    assert!(report.downloaded_bytes % 50 == 0 && report.downloaded_bytes > 50 * 100, "{report}");
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_the_server_believes_what_devices_run() {
    let (mender, server) = server().await;
    let chances = Chances { broken: 300, failure: 100, cut: 30, repeat: 100, ..Chances::default() };
    let storms = vec![Storm { at: MINUTE * 6, share: 500 }];
    let (report, id) = run(&mender, server, Plan { storms, ..plan(100, chances) }).await;
    let shown = mender.deployments().deployment(&ctx(), &id).await.unwrap();
    let of = |status| shown.tally.count(status);
    assert_eq!(of(Status::Success) + of(Status::Failure), 100, "{report}");
    assert!(of(Status::Failure) > 0, "{report}");
    assert_eq!(report.runs["release-2"], of(Status::Success), "{report}");
    // Connections broke, and what came in parts was right.
    assert!(report.kinds["download"].requests > 100, "{report}");
    assert_eq!(report.wrong_checksums, 0);
    assert_eq!(report.states.values().sum::<u64>(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_last_number_is_one_of_a_device_as_well() {
    let (mender, server) = server().await;
    let last = Plan { first: u32::MAX - 1, ..plan(2, Chances::default()) };
    let (report, _) = run(&mender, server, last).await;
    assert_eq!(report.runs, [("release-2".to_owned(), 2)].into());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_changed_is_accepted_and_strangers_are_not() {
    let (mender, server) = server().await;
    let ended = async |plan: Plan| {
        let simulation = Simulation::in_process(server.clone(), plan, mender.env()).await.unwrap();
        let stop = CancellationToken::new();
        let (report, ()) = tokio::join!(Box::pin(simulation.run(stop.clone())), async {
            tokio::time::sleep(MINUTE * 30).await;
            stop.cancel();
        });
        report.unwrap()
    };
    assert_eq!(ended(plan(5, Chances::default())).await.states["idle"], 5);
    // Others have other numbers, and nobody who accepts them.
    let strangers = Plan { first: 100, user: None, ..plan(5, Chances::default()) };
    assert_eq!(ended(strangers).await.states["refused"], 5);
    let again = ended(Plan { seed: 2, ..plan(5, Chances::default()) }).await;
    assert_eq!(again.states["idle"], 5, "{again}");
    let pending = mender_core::auth::DeviceFilter {
        statuses: vec![mender_core::auth::Status::Pending],
        ..Default::default()
    };
    let left = mender.auth().devices(&ctx(), pending, Default::default()).await.unwrap();
    assert_eq!(left.items.len(), 5);
    mender.drain().await.unwrap();
}

#[tokio::test]
async fn who_is_no_server_or_user_is_told_at_once() {
    let (mender, server) = server().await;
    let prepared = async |server: InProcess, plan: Plan| {
        Simulation::in_process(server, plan, mender.env()).await.map(drop).unwrap_err()
    };
    let other = InProcess::from(axum::Router::new());
    let stranger = prepared(other, plan(1, Chances::default())).await;
    assert_eq!(stranger, Fault::Stranger { server: "http://localhost".into(), status: 404 });
    let (first, devices) = (u32::MAX - 1, 3);
    let many = Plan { first, ..plan(devices, Chances::default()) };
    assert_eq!(prepared(server.clone(), many).await, Fault::Numbers { first, devices });
    let user = Some(User { name: USER.into(), password: Secret::new("wrong") });
    let refused = prepared(server, Plan { user, ..plan(1, Chances::default()) }).await;
    assert_eq!(refused, Fault::Password { user: USER.into() });
}
