//! `simulate`

mod json;
pub(super) mod scenario;
mod show;

use std::{fs, time::Duration};

use mender_core::{Env, secret::Secret};
use mender_http::simulate::{Fault, Plan, Simulation, Trust, User, Watch};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{cli::Simulate, commands::print, failure::Failure};
use json::Json;
use show::Screen;

/// How often the table is drawn in a terminal, and a line is written elsewhere.
const DRAWN: Duration = Duration::from_millis(500);
const WRITTEN: Duration = Duration::from_secs(10);

/// About how many files are open that are no connections.
const OTHER_FILES: usize = 32;

pub(crate) async fn run(arguments: Simulate) -> Result<(), Failure> {
    let (duration, json) = (arguments.duration, arguments.json.clone());
    let user = arguments.user.clone().unwrap_or_default();
    let plan = plan(arguments)?;
    allow(plan.connections)?;
    let json = json.as_deref().map(Json::open).transpose()?;
    if plan.user.is_none() && plan.kept.is_none() {
        eprintln!(
            "mender-server: devices wait until somebody accepts them; with --user and --password \
             they are accepted at once"
        );
    }
    let fault = |fault: Fault| failure(&fault, &user);
    let simulation = Simulation::prepare(plan, &Env::system()).await.map_err(&fault)?;
    let (watch, stop) = (simulation.watch(), CancellationToken::new());
    let running = simulation.run(stop.clone());
    let (ended, conducted) = tokio::join!(running, async {
        let conducted = conduct(&watch, duration, &stop).await;
        stop.cancel();
        conducted
    });
    // What came of a long run is told whatever went wrong in the end.
    let report = watch.report();
    let printed = print(&report.to_string());
    let written = json.map_or(Ok(()), |json| json.write(&report));
    ended.map_err(fault)?;
    conducted.and(printed).and(written)
}

/// Has the process have so many connections, or says that it can't.
fn allow(connections: usize) -> Result<(), Failure> {
    // Where the limit is not known, it is tried.
    let Ok(limit) = rlimit::increase_nofile_limit(u64::MAX) else { return Ok(()) };
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES);
    if connections <= most {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{connections} connections do not fit into the {limit} files that this program may open: \
         have {most} at most, `connections` in a scenario, or raise the limit with `ulimit -n`"
    )))
}

/// Shows how it stands until it is to end.
async fn conduct(
    watch: &Watch,
    duration: Option<Duration>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let on = |kind| signal(kind).map_err(|e| Failure::new(format!("signals: {e}")));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let end = tokio::time::sleep(duration.unwrap_or(Duration::MAX));
    tokio::pin!(end);
    let mut screen = Screen::new();
    let mut ticks = tokio::time::interval(if screen.is_terminal() { DRAWN } else { WRITTEN });
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut end => break,
            // It broke.
            () = stop.cancelled() => break,
            _ = ticks.tick() => screen.show(&watch.report()),
        }
    }
    screen.clear();
    Ok(())
}

/// Returns what the arguments say.
fn plan(arguments: Simulate) -> Result<Plan, Failure> {
    let Simulate { server, devices, first, scenario, speed, user, password, keys, .. } = arguments;
    let mut plan = Plan::new(server, devices);
    if let Some(path) = &scenario {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|e| Failure::new(format!("--scenario {shown}: {e}")))?;
        let scenario = scenario::read(&text);
        let scenario = scenario.map_err(|why| Failure::new(format!("{shown}, {why}")))?;
        scenario.apply(&mut plan, speed);
    } else if let Some(speed) = speed {
        scenario::Scenario::default().apply(&mut plan, Some(speed));
    }
    plan.first = first;
    plan.kept = keys;
    plan.tenant_token = arguments.tenant_token;
    plan.trust = match (arguments.insecure, arguments.ca) {
        (true, _) => Trust::Anyone,
        (false, Some(path)) => Trust::Authority(path),
        (false, None) => Trust::Machine,
    };
    let password = password.unwrap_or_default();
    plan.user = user.map(|name| User { name, password: Secret::new(password) });
    Ok(plan)
}

/// Says what is wrong, and what to do.
fn failure(fault: &Fault, user: &str) -> Failure {
    let remedy = match fault {
        Fault::Address(_) => "give it in --server".into(),
        Fault::Numbers { .. } => "lower --first or --devices".into(),
        Fault::Authority { .. } => "name a PEM file in --ca".into(),
        Fault::Unreachable { .. } => {
            "start one there with `mender-server serve`, or correct --server".into()
        }
        Fault::Certificate { .. } => {
            "name the authority that signed it in --ca, or trust anybody with --insecure".into()
        }
        Fault::Stranger { .. } => {
            "give the address where the server listens for devices, setting listen, in --server"
                .into()
        }
        Fault::Password { .. } => format!(
            "correct --user and --password, or make the user there with `mender-server user \
             create --username {user} --password …`"
        ),
        Fault::Refused { .. } => "look into the log of the server".into(),
        Fault::Kept { .. } => "name a file of a fleet, or a new one, in --keys".into(),
        Fault::Broken(_) => "this is a mistake in the program: report it, please".into(),
    };
    Failure::new(format!("{fault}; {remedy}"))
}
