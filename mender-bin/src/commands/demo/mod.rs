//! `demo`

mod bars;
mod setup;
mod typed;

use std::{
    io::{IsTerminal as _, stdout},
    path::Path,
    time::Duration,
};

use mender_core::{
    Env,
    deployments::{Deployment, DeploymentId, ShownDevice, Status},
    page::PageRequest,
    secret::Secret,
};
use mender_http::simulate::{Fault, Plan, Simulation, User};
use tokio_util::sync::CancellationToken;

use super::simulate::scenario;
use crate::{
    Distribution,
    commands::print,
    failure::Failure,
    serve::{self, Up},
    settings::Settings,
};
use bars::Bars;
use setup::{DEVICES, NEW, USER};
pub(crate) use typed::Typed;

/// What holds here where nothing else is said.
pub(crate) const PREFERRED: [(&str, &str); 2] =
    [("data_dir", "./mender-demo"), ("log_level", "error")];

/// How often it is looked how the deployment stands.
const LOOKS: Duration = Duration::from_millis(250);

/// How often it is looked for the log of the device that failed, once all is over.
const LOG_LOOKS: u32 = 40;

/// What the fleet is like, and where that is kept with its keys.
const FLEET: &str = include_str!("fleet.toml");
const FLEET_FILE: &str = "fleet.toml";
const KEYS_FILE: &str = "fleet.keys";

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    typed: Typed,
    once: bool,
) -> Result<(), Failure> {
    let folder = &settings.server.data_dir;
    if settings.server.database_url.is_some() {
        return Err(Failure::new(
            "a demo is kept in a folder of its own: leave out database_url, also as \
             MENDER_DATABASE_URL and in a file of settings",
        ));
    }
    if settings.auth.multi_tenant {
        return Err(Failure::new(
            "a demo has one tenant: leave out multi_tenant, also as MENDER_MULTI_TENANT and in a \
             file of settings",
        ));
    }
    if folder.join("mender.db").exists() {
        return Err(Failure::new(format!(
            "{} has a database already: go on with it by `{}`, or name another folder in \
             --data-dir",
            folder.display(),
            typed.serve(),
        )));
    }
    let show = async |up: Up<'_>| Demo { up, folder, typed, once }.show().await;
    Box::pin(serve::beside(parts, settings, show)).await
}

struct Demo<'a> {
    up: Up<'a>,
    folder: &'a Path,
    typed: Typed,
    once: bool,
}

impl Demo<'_> {
    async fn show(&self) -> Result<(), Failure> {
        let password = setup::user(self.up.mender).await?;
        self.greet(&password)?;
        setup::releases(self.up.mender).await?;
        let failed = |fault: Fault| Failure::new(fault.to_string());
        let simulation = Simulation::prepare(self.plan(&password)?, &Env::system()).await;
        let simulation = simulation.map_err(failed)?;
        let stop = CancellationToken::new();
        let story = async {
            let told = tokio::select! {
                told = Box::pin(self.tell()) => told,
                () = self.up.stopping.cancelled() => Ok(()),
            };
            stop.cancel();
            told
        };
        // The fleet writes down what it runs, however the story ends.
        let (fleet, told) = tokio::join!(Box::pin(simulation.run(stop.clone())), story);
        fleet.map_err(failed)?;
        told?;
        print(&format!(
            "\nGo on with this server:\n  {}\nand with its devices, in another terminal:\n  {}",
            self.typed.serve(),
            self.typed.simulate(&self.up.public),
        ))
    }

    fn plan(&self, password: &str) -> Result<Plan, Failure> {
        let path = self.folder.join(FLEET_FILE);
        std::fs::write(&path, FLEET)
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        let mut plan = Plan::new(self.up.public.as_str(), DEVICES);
        scenario::read(FLEET).map_err(Failure::new)?.apply(&mut plan, None);
        plan.kept = Some(self.folder.join(KEYS_FILE));
        plan.user = Some(User { name: USER.into(), password: Secret::new(password) });
        Ok(plan)
    }

    fn greet(&self, password: &str) -> Result<(), Failure> {
        let url = &self.up.public;
        print(&format!(
            "Server    {url}   (its interface: {url}/api/docs)\n\
             User      {USER}\n\
             Password  {password}\n\n\
             To try in another terminal:\n  \
             TOKEN=$(curl -fsS -X POST -u '{USER}:{password}' {url}/api/management/v1/useradm/auth/login)\n  \
             curl -fsS -H \"Authorization: Bearer $TOKEN\" '{url}/api/management/v1/inventory/devices?per_page=2'\n  \
             curl -fsS -H \"Authorization: Bearer $TOKEN\" '{url}/api/management/v1/deployments/deployments'\n  \
             mender-cli login --skip-verify --server {url} --username {USER} --password {password}\n  \
             mender-cli devices list --skip-verify --server {url}\n"
        ))
    }

    async fn tell(&self) -> Result<(), Failure> {
        print(&format!("{DEVICES} devices are switched on."))?;
        let groups = setup::groups(self.up.mender).await?;
        let groups: Vec<String> =
            groups.into_iter().map(|(name, count)| format!("{name} ({count})")).collect();
        print(&format!("They are accepted, and in groups: {}.", groups.join(", ")))?;
        let id = setup::deployment(self.up.mender).await?;
        print(&format!("{NEW} goes to all of them, in three phases.\n"))?;
        self.watch(&id).await?;
        if !self.once {
            print("\nThe server goes on, and so do the devices, until Ctrl-C.")?;
            self.up.stopping.cancelled().await;
        }
        Ok(())
    }

    /// Shows the deployment until it has ended.
    async fn watch(&self, id: &DeploymentId) -> Result<(), Failure> {
        let mut bars = Bars::new(stdout().is_terminal(), self.up.mender);
        let mut failed: Option<ShownDevice> = None;
        let mut ended = 0;
        loop {
            let (deployment, devices) = self.look(id).await?;
            bars.show(&deployment, &devices)?;
            let failures = || devices.iter().filter(|device| device.row.status == Status::Failure);
            failed = failed.or_else(|| failures().find(|device| device.row.log).cloned());
            // The log comes after the report.
            let awaits_log = failed.is_none() && failures().next().is_some();
            ended += u32::from(deployment.is_finished());
            if ended > 0 && (!awaits_log || ended > LOG_LOOKS) {
                break;
            }
            tokio::time::sleep(LOOKS).await;
        }
        let Some(ShownDevice { row, .. }) = failed else { return Ok(()) };
        print(&format!(
            "\nThe log of the device that failed, and why it got what it got:\n  \
             curl -fsS -H \"Authorization: Bearer $TOKEN\" {url}/api/management/v1/deployments/deployments/{id}/devices/{device}/log\n  \
             curl -fsS -H \"Authorization: Bearer $TOKEN\" {url}/api/management/v1/deployments/devices/{device}/explain",
            url = self.up.public,
            device = row.device,
        ))
    }

    async fn look(&self, id: &DeploymentId) -> Result<(Deployment, Vec<ShownDevice>), Failure> {
        let (service, ctx) = (self.up.mender.deployments(), setup::ctx());
        let shown = service.deployment(&ctx, id).await?;
        let page = PageRequest { number: 1, size: DEVICES };
        let (devices, _) = service.devices(&ctx, id, &[], page).await?;
        Ok((shown.deployment, devices))
    }
}
