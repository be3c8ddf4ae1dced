//! Plays every transcript against every store: `cargo test --test compat`.
//!
//! `tests/compat/replay` plays them against the running binary.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use mender::{
    artifacts,
    ctx::Ctx,
    deployments,
    http::testing::{
        Setup, TestApp,
        transcript::{InProcess, Runner, needs},
    },
    tenants::{NewTenant, Plan, TenantStatus},
};

mod stores;

/// What files may need; each is played on a server of its own that is set up like that.
const HAVE: [&str; 12] = [
    "no other clients",
    "tenants",
    "slow pace",
    "tiers",
    "default tenant",
    "direct upload",
    "no direct upload",
    "skip verify",
    "storage links",
    "generator",
    "selection by type",
    "no tags",
];

#[expect(clippy::unwrap_used, reason = "without its files the test can't run")]
fn transcripts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat");
    let mut found = Vec::new();
    for area in fs::read_dir(&root).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for file in fs::read_dir(area.path()).unwrap().flatten() {
            let name = format!(
                "{}/{}",
                area.file_name().display(),
                file.path().file_stem().unwrap().display()
            );
            found.push((name, fs::read_to_string(file.path()).unwrap()));
        }
    }
    found.sort();
    found
}

async fn play(store: stores::Store, name: &str, text: &str) -> Result<(), Failed> {
    let Some((builder, _dir)) = store.builder().await? else {
        return Ok(());
    };
    let needs = needs(text);
    let has = |feature: &str| needs.iter().any(|need| need == feature);
    let mut setup = Setup { tenants: has("tenants"), tiers: has("tiers"), ..Setup::default() };
    let skip_verify = has("skip verify");
    if skip_verify || has("direct upload") {
        let config = artifacts::Config { direct_upload: true, skip_verify, ..Default::default() };
        setup.artifacts = Some(config);
    }
    if has("selection by type") {
        let selection = deployments::Selection::DeviceType;
        setup.deployments = Some(deployments::Config { selection, ..Default::default() });
    }
    if has("slow pace") {
        let burst = deployments::Burst { devices: 1, interval: Duration::from_secs(3600) };
        let pace = deployments::Pace { per_tenant: Some(burst), global: None };
        setup.deployments = Some(deployments::Config { pace, ..Default::default() });
    }
    if has("default tenant") {
        // Tokens of tenants depend on the seed alone: rehearse to learn that of the first one.
        let (rehearsed, _dir) = store.builder().await?.ok_or("the store is gone")?;
        let rehearsed = TestApp::set_up(rehearsed, setup.clone()).await;
        setup.default_tenant_token = Some(rehearsed.tenants[0].token.clone());
    }
    let app = TestApp::set_up(builder, setup).await;
    let areas: Vec<&str> = include_str!("areas-not-built").lines().collect();
    let runner = Runner::new(app.transport(), app.token()).not_built(&areas);
    let report = with_tenants(runner, &app).await?.have(&HAVE).play(name, text).await;
    app.drain().await;
    if report.failed.is_empty() {
        println!("{name}: {report}");
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

/// Gives a file the tenants of the server: their ids and tokens, a user of each, and a tenant
/// that is suspended.
async fn with_tenants(
    mut runner: Runner<InProcess>,
    app: &TestApp,
) -> Result<Runner<InProcess>, Failed> {
    for (name, tenant) in ["a", "b"].into_iter().zip(&app.tenants) {
        runner = runner
            .given(&format!("tenant_{name}.id"), tenant.id.as_str())
            .given(&format!("tenant_{name}.token"), tenant.token.as_str())
            .caller(&format!("user_{name}"), &tenant.user);
    }
    if !app.tenants.is_empty() {
        let system = Ctx::system(Default::default());
        let new =
            NewTenant { name: "suspended".into(), plan: Plan::Enterprise, addons: Vec::new() };
        let tenants = app.mender.tenants();
        let tenant = tenants.create(&system, &new).await?;
        let suspended = TenantStatus::Suspended;
        tenants.set_status(&system, &tenant.id, suspended).await?;
        runner = runner.given("suspended.token", tenant.token);
    }
    Ok(runner)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for store in stores::ALL {
        for (name, text) in transcripts() {
            trials.push(Trial::test(format!("{store}::{name}"), move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(play(store, &name, &text))
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
