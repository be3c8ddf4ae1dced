use mender_core::{
    DeviceId, Result, Time,
    artifacts::format::Depend,
    commit::Aggregate as _,
    deployments::{
        Batch, Budget, Course, Deployment, DeploymentId, DeploymentQuery, DeviceDeployment,
        Message, NewConfiguration, NewDeployment, NewPhase, Phases, Remedy, Request, Side, State,
        Status, Store as _, Targets, Threshold, Whom, logic::TENANT_SLOTS,
    },
    error::Kind,
    inventory::{AttributeName, NewAttribute, Op, Operand, Predicate, Value},
    kit::{DocStore as _, Plan},
    quota::Quotas as _,
};

use crate::crash::{
    artifacts::add,
    harness::{World, answer_or, use_cases},
};

/// What a device says that has what the release brings.
fn has(name: &str) -> Request {
    Request {
        artifact_name: name.into(),
        device_type: "type".into(),
        provides: [("n".to_owned(), "a1".to_owned())].into(),
        control_map: false,
    }
}

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

fn configuration() -> DeploymentId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

async fn release(w: &World) {
    let typed = |content: &mut mender_core::artifacts::format::Content| {
        content.device_types = vec!["type".into()];
        content.depends.insert("device_type".into(), Depend::Any(vec!["type".into()]));
    };
    add(w, "one", "a1", typed).await;
}

/// One device in the first phase; the last one has begun as well.
fn phases() -> Phases {
    let first = NewPhase { batch: Some(Batch::Devices(1)), ..NewPhase::default() };
    Phases::Each(vec![first, NewPhase { starts: Some(Time(0)), ..NewPhase::default() }])
}

fn wanted() -> NewDeployment {
    NewDeployment {
        name: "d".into(),
        artifact_name: "one".into(),
        force_installation: false,
        whom: Whom::Devices(vec![device("free-a"), device("free-b")]),
        course: Course { phases: Some(phases()), ..Course::default() },
    }
}

async fn create(w: &World) -> Result<()> {
    // The same is open: it was created.
    answer_or(w.mender.deployments().create(&w.ctx, wanted()).await.map(drop), Kind::Conflict)
}

async fn created(w: &World) {
    release(w).await;
    create(w).await.unwrap();
}

async fn configure(w: &World) -> Result<()> {
    let new = NewConfiguration {
        id: configuration(),
        device: device("free-a"),
        name: "c".into(),
        configuration: r#"{"a":"b"}"#.into(),
        retries: 0,
        control_map: None,
    };
    answer_or(w.mender.deployments().configure(&w.ctx, new).await, Kind::Conflict)
}

async fn configured(w: &World) {
    configure(w).await.unwrap();
}

async fn poll(w: &World, name: &str, runs: &str) -> Result<()> {
    let (device, request) = (device(name), has(runs));
    let told = w.mender.deployments().next(&w.ctx, &device, &request, "http://x").await.map(drop);
    match told {
        // There is nowhere to link to, which comes up last.
        Err(error) if format!("{error:?}").contains("no blob store") => Ok(()),
        told => told,
    }
}

async fn asked(w: &World) {
    configured(w).await;
    poll(w, "free-a", "old").await.unwrap();
}

async fn report(w: &World, status: Status) -> Result<()> {
    let device = device("free-a");
    w.mender.deployments().report(&w.ctx, &configuration(), &device, status, "").await
}

/// A deployment that any device may join, at most one.
async fn dynamic(w: &World) {
    release(w).await;
    let inventory = w.mender.inventory();
    let text = |name: AttributeName| NewAttribute::new(name, Value::Text("accepted".into()));
    let accepted = vec![text(AttributeName::identity("status"))];
    inventory.create(&w.ctx, &device("free-a"), accepted).await.unwrap();
    let value = Operand::Value(Value::Text("accepted".into()));
    let term = Predicate { name: AttributeName::identity("status"), op: Op::Eq, value };
    let id = inventory.create_filter(&w.ctx, "all", vec![term]).await.unwrap();
    let whom = Whom::Filter { id, max_devices: 1 };
    let new = NewDeployment { whom, course: Course::default(), ..wanted() };
    w.mender.deployments().create(&w.ctx, new).await.unwrap();
}

/// A deployment that a failure ends or holds, which one device is at.
async fn guarded(w: &World, remedy: Remedy) {
    release(w).await;
    let failures = Threshold { side: Side::Failure, limit: Batch::Devices(1), sample: 0, remedy };
    let budget = Some(Budget { parallel: Some(2), bytes_per_second: None });
    let course = Course { thresholds: vec![failures], budget, ..Course::default() };
    let new = NewDeployment { course, ..wanted() };
    w.mender.deployments().create(&w.ctx, new).await.unwrap();
    poll(w, "free-a", "old").await.unwrap();
}

async fn fail(w: &World) -> Result<()> {
    let (id, device) = (only(w).await.id, device("free-a"));
    let failed = w.mender.deployments().report(&w.ctx, &id, &device, Status::Failure, "").await;
    // It was stored, and what it ends has ended.
    answer_or(failed, Kind::Conflict)
}

/// Has so many devices of the tenant fetch at once.
async fn share(w: &World, devices: u64) -> Result<()> {
    let budget = Budget { parallel: Some(devices), bytes_per_second: None };
    w.mender.deployments().set_download_budget(&w.ctx, Some(budget)).await
}

/// How many devices fetch.
async fn fetching(w: &World) -> i64 {
    let quota = mender_core::deployments::logic::slots_quota(&only(w).await.id);
    w.stores.quota(&w.ctx.tenant, &quota).await.unwrap().used
}

async fn deployments(w: &World) -> Vec<Deployment> {
    let all = DeploymentQuery::default();
    w.stores.deployments(&w.ctx.tenant, &all, 0, 100).await.unwrap()
}

async fn only(w: &World) -> Deployment {
    let mut all = deployments(w).await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn row(w: &World, of: &Deployment, name: &str) -> DeviceDeployment {
    let row = w.stores.device_deployment(&w.ctx.tenant, &of.id, &device(name)).await;
    row.unwrap().unwrap()
}

/// Nothing is stuck on its way, and nobody's devices are left.
pub(crate) async fn check(w: &World) {
    let all = deployments(w).await;
    for deployment in &all {
        assert!(matches!(deployment.state, State::Open | State::Closed), "{deployment:?}");
        let open = w.stores.open_rows(&w.ctx.tenant, &deployment.id, None, 100).await.unwrap();
        // Nobody may have joined yet.
        let is_idle = deployment.is_dynamic() && !deployment.is_finished();
        assert!(open.is_empty() == deployment.is_finished() || is_idle, "{deployment:?}: {open:?}");
        let ticket = &deployment.ticket;
        let targets = w.stores.targets_of(&w.ctx.tenant, ticket, None, 100).await.unwrap();
        let devices: Vec<_> =
            targets.into_iter().flat_map(|targets| targets.devices.to_vec().unwrap()).collect();
        if !deployment.is_dynamic() {
            assert_eq!(devices.len() as u64, deployment.max_devices);
        }
        for device in &devices {
            let rows = w.stores.current(&w.ctx.tenant, device).await.unwrap();
            let last = w.stores.device_deployment(&w.ctx.tenant, &deployment.id, device).await;
            let last = last.unwrap().unwrap();
            let older = |row: &&DeviceDeployment| {
                row.deployment == deployment.id && row.attempt < last.attempt
            };
            assert_eq!(rows.iter().filter(older).count(), 0, "an older attempt counts");
        }
    }
    let targets = w.stores.docs().scan(&Plan::new(Targets::KIND, &w.ctx.tenant)).await.unwrap();
    let named = all.iter().filter(|deployment| !deployment.is_dynamic()).count();
    assert_eq!(targets.len(), named, "a creation that came to nothing left its devices");
}

use_cases! {
    creating_a_deployment:
        given release,
        when async |w| create(w).await,
        then async |w| {
            let deployment = only(w).await;
            for name in ["free-a", "free-b"] {
                assert!(row(w, &deployment, name).await.is_open());
            }
        };
    configuring_a_device:
        given async |_| {},
        when async |w| configure(w).await,
        then async |w| assert!(row(w, &only(w).await, "free-a").await.is_open());
    asking_for_the_first_time:
        given configured,
        when async |w| poll(w, "free-a", "old").await,
        then async |w| assert!(row(w, &only(w).await, "free-a").await.is_listed());
    asking_while_it_is_installed:
        given created,
        when async |w| poll(w, "free-a", "one").await,
        then async |w| {
            let row = row(w, &only(w).await, "free-a").await;
            assert_eq!(row.status, Status::AlreadyInstalled);
        };
    the_last_device_asks_while_it_is_installed:
        given async |w| {
            created(w).await;
            poll(w, "free-b", "one").await.unwrap();
        },
        when async |w| poll(w, "free-a", "one").await,
        then async |w| assert!(only(w).await.is_finished());
    reporting_progress:
        given asked,
        when async |w| report(w, Status::Installing).await,
        then async |w| assert!(!only(w).await.is_finished());
    reporting_the_end:
        given asked,
        when async |w| report(w, Status::Success).await,
        then async |w| assert!(only(w).await.is_finished());
    sending_a_log:
        given asked,
        when async |w| {
            let message = |text: &str| text.to_owned();
            let line = Message {
                timestamp: message("t"), level: message("l"), message: message("m"),
            };
            let device = device("free-a");
            w.mender.deployments().put_log(&w.ctx, &configuration(), &device, vec![line]).await
        },
        then async |w| assert!(row(w, &only(w).await, "free-a").await.log);
    aborting_a_deployment:
        given async |w| {
            created(w).await;
            // What completes creations has nothing to do any more.
            w.time.advance(std::time::Duration::from_secs(3600));
            w.mender.drain().await.unwrap();
        },
        when async |w| {
            let id = only(w).await.id;
            answer_or(w.mender.deployments().abort(&w.ctx, &id).await, Kind::Conflict)
        },
        then async |w| assert_eq!(only(w).await.state, State::Closed);
    aborting_what_a_device_has_to_do:
        given created,
        when async |w| w.mender.deployments().abort_device(&w.ctx, &device("free-a")).await,
        then async |w| {
            let deployment = only(w).await;
            assert_eq!(row(w, &deployment, "free-a").await.status, Status::Aborted);
            assert!(!deployment.is_finished());
        };
    beginning_anew_after_a_reset:
        given async |w| {
            created(w).await;
            poll(w, "free-a", "one").await.unwrap();
            w.mender.deployments().reset_history(&w.ctx, &device("free-a")).await.unwrap();
        },
        when async |w| poll(w, "free-a", "one").await,
        then async |w| {
            let row = row(w, &only(w).await, "free-a").await;
            assert_eq!((row.attempt, row.status), (2, Status::AlreadyInstalled));
        };
    joining_a_dynamic_deployment:
        given dynamic,
        when async |w| poll(w, "free-a", "old").await,
        then async |w| assert!(row(w, &only(w).await, "free-a").await.is_listed());
    the_last_device_joins_that_may_and_ends:
        given dynamic,
        when async |w| poll(w, "free-a", "one").await,
        then async |w| assert!(only(w).await.is_finished());
    a_failure_that_pauses:
        given async |w| guarded(w, Remedy::Pause).await,
        when async |w| fail(w).await,
        then async |w| {
            assert!(only(w).await.conduct.hold.is_some());
            assert_eq!(fetching(w).await, 0);
        };
    a_failure_that_ends_a_deployment:
        given async |w| guarded(w, Remedy::Abort).await,
        when async |w| fail(w).await,
        then async |w| {
            assert!(only(w).await.is_finished());
            assert_eq!(fetching(w).await, 0);
        };
    beginning_to_fetch:
        given async |w| {
            guarded(w, Remedy::Pause).await;
            let (id, device) = (only(w).await.id, device("free-a"));
            let service = w.mender.deployments();
            service.report(&w.ctx, &id, &device, Status::Installing, "").await.unwrap();
        },
        when async |w| poll(w, "free-b", "old").await,
        then async |w| {
            // Silent for as long as a lease lasts, it may have lost its place.
            let row = row(w, &only(w).await, "free-b").await;
            assert!(row.is_listed());
            assert_eq!(fetching(w).await, i64::from(row.fetching));
        };
    setting_the_budget_of_a_tenant:
        given async |w| guarded(w, Remedy::Pause).await,
        when async |w| share(w, 1).await,
        then async |w| {
            let budget = w.mender.deployments().download_budget(&w.ctx).await.unwrap();
            assert_eq!(budget.unwrap().parallel, Some(1));
            let slots = w.stores.quota(&w.ctx.tenant, TENANT_SLOTS).await.unwrap();
            assert_eq!((slots.free, slots.used), (1, 0));
        };
    beginning_to_fetch_by_the_budget_of_the_tenant:
        given async |w| {
            share(w, 1).await.unwrap();
            created(w).await;
        },
        when async |w| poll(w, "free-b", "old").await,
        then async |w| {
            // Silent for as long as a lease lasts, it may have lost its place.
            let row = row(w, &only(w).await, "free-b").await;
            assert!(row.is_listed());
            let slots = w.stores.quota(&w.ctx.tenant, TENANT_SLOTS).await.unwrap();
            assert_eq!(slots.used, i64::from(row.shares));
        };
    a_failure_gives_the_place_of_the_tenant_back:
        given async |w| {
            share(w, 1).await.unwrap();
            guarded(w, Remedy::Pause).await;
        },
        when async |w| fail(w).await,
        then async |w| {
            let slots = w.stores.quota(&w.ctx.tenant, TENANT_SLOTS).await.unwrap();
            assert_eq!((slots.free, slots.used), (1, 0));
        };
    resuming:
        given async |w| {
            guarded(w, Remedy::Pause).await;
            fail(w).await.unwrap();
        },
        when async |w| w.mender.deployments().resume(&w.ctx, &only(w).await.id).await,
        then async |w| assert!(only(w).await.conduct.hold.is_none());
    counting_what_has_ended:
        given async |w| {
            asked(w).await;
            report(w, Status::Failure).await.unwrap();
            report(w, Status::Success).await.unwrap();
            w.mender.drain().await.unwrap();
        },
        when async |w| {
            w.time.advance(std::time::Duration::from_secs(120));
            w.mender.drain().await
        },
        then async |w| {
            let deployment = only(w).await;
            assert_eq!(deployment.tally.unwrap().count(Status::Failure), 1);
            let shown = w.mender.deployments().deployment(&w.ctx, &deployment.id).await.unwrap();
            assert_eq!(shown.tally.count(Status::Success), 1);
        };
    resetting_a_history:
        given async |w| {
            created(w).await;
            poll(w, "free-a", "one").await.unwrap();
        },
        when async |w| w.mender.deployments().reset_history(&w.ctx, &device("free-a")).await,
        then async |w| assert!(row(w, &only(w).await, "free-a").await.deleted.is_some());
}
