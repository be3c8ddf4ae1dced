//! What is there before the deployment.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use mender_core::{
    Ctx, Mender, TenantId,
    artifacts::{
        NewArtifact,
        format::{Recipe, SingleFile, Software},
    },
    deployments::{Batch, Course, DeploymentId, NewDeployment, NewPhase, Phases, Whom},
    inventory::{AttributeName, Device, GroupName},
    users::NewUser,
};

use crate::failure::Failure;

pub(super) const USER: &str = "demo@example.com";

/// How many devices there are, and in the first phases.
pub(super) const DEVICES: u32 = 50;
const PHASES: [u64; 2] = [5, 15];

/// The time from one phase to the next.
const BETWEEN: Duration = Duration::from_secs(12);

/// How often it is looked whether devices are there, and for how long at most.
const LOOKS: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const NEW: &str = "release-2.0";

const TYPES: [&str; 3] = ["raspberrypi4", "beaglebone", "qemux86-64"];

pub(super) fn ctx() -> Ctx {
    Ctx::system(TenantId::default())
}

/// Makes the user, and returns the password.
pub(super) async fn user(mender: &Mender) -> Result<String, Failure> {
    let password: String = mender.env().uuid().chars().rev().take(12).collect();
    let email = USER.parse().map_err(|e| Failure::new(format!("{USER}: {e}")))?;
    let user = NewUser { email, password: password.clone(), id: None, roles: Vec::new() };
    mender.users().create(&ctx(), &user).await?;
    Ok(password)
}

/// Uploads what the devices run, and what they are to run.
pub(super) async fn releases(mender: &Mender) -> Result<(), Failure> {
    for (name, text) in [("release-1.0", "The first one.\n"), (NEW, "All is better now.\n")] {
        let file = SingleFile {
            dest_dir: "/var/lib/demo".into(),
            filename: "message.txt".into(),
            size: text.len() as u64,
            mode: 0o644,
        };
        let failed = |e| Failure::new(format!("{name}: {e}"));
        let recipe = Recipe::single_file(name, TYPES, &file, &Software::default());
        let content = [&file.preamble(), text.as_bytes()];
        let bytes = recipe.and_then(|recipe| recipe.build(&content, None)).map_err(failed)?;
        let bytes = stream::iter([Ok(Bytes::from(bytes))]);
        mender.artifacts().upload(&ctx(), NewArtifact::default(), bytes).await?;
    }
    Ok(())
}

/// Waits for the devices, puts each into the group of its site, and returns how many each has.
pub(super) async fn groups(mender: &Mender) -> Result<BTreeMap<String, usize>, Failure> {
    let inventory = mender.inventory();
    let begun = tokio::time::Instant::now();
    loop {
        let devices = inventory.devices_after(&ctx(), None, DEVICES as usize).await?;
        let sites: Vec<(&Device, &str)> =
            devices.iter().filter_map(|device| Some((device, site(device)?))).collect();
        if sites.len() == DEVICES as usize {
            let mut groups = BTreeMap::new();
            for (device, site) in sites {
                let group: GroupName =
                    site.parse().map_err(|e| Failure::new(format!("{site}: {e}")))?;
                inventory.set_group(&ctx(), &device.id, &group).await?;
                *groups.entry(site.to_owned()).or_default() += 1;
            }
            return Ok(groups);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "{} of {DEVICES} devices told what they are within a minute: is the machine busy?",
                sites.len()
            )));
        }
        tokio::time::sleep(LOOKS).await;
    }
}

/// Returns the site of an accepted device that told its inventory.
fn site(device: &Device) -> Option<&str> {
    device.status().filter(|status| *status == mender_core::auth::Status::Accepted)?;
    device.attributes.value(&AttributeName::inventory("site"))?.as_text()
}

/// Brings the new release to all devices, to few of them first.
pub(super) async fn deployment(mender: &Mender) -> Result<DeploymentId, Failure> {
    let now = mender.env().now();
    let phase = |n: usize| NewPhase {
        batch: PHASES.get(n).copied().map(Batch::Devices),
        starts: (n > 0).then(|| now + BETWEEN * u32::try_from(n).unwrap_or_default()),
        needs_approval: false,
        thresholds: Vec::new(),
    };
    let new = NewDeployment {
        name: format!("{NEW} for everybody"),
        artifact_name: NEW.into(),
        force_installation: false,
        whom: Whom::All,
        course: Course {
            phases: Some(Phases::Each((0..=PHASES.len()).map(phase).collect())),
            ..Course::default()
        },
    };
    Ok(mender.deployments().create(&ctx(), new).await?)
}
