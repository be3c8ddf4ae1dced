//! `explain`

use std::fmt::Write as _;

use mender_core::{
    Ctx, DeviceId, TenantId,
    deployments::{Considered, Explanation, Request},
};

use crate::{
    Distribution, cli,
    commands::{mender, print, tenant_id},
    failure::Failure,
    settings::Settings,
};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: cli::Explain,
) -> Result<(), Failure> {
    let wrong = |_| Failure::new(format!("{:?} is no id of a device", command.device));
    let device: DeviceId = command.device.parse().map_err(wrong)?;
    let tenant = match &command.tenant {
        Some(tenant) => tenant_id(tenant)?,
        None => TenantId::default(),
    };
    let mender = mender(parts, settings).await?;
    let explained = mender.deployments().explain(&Ctx::system(tenant), &device).await?;
    print(&written(&explained).map_err(|e| Failure::new(e.to_string()))?)
}

fn written(explained: &Explanation) -> Result<String, std::fmt::Error> {
    let Explanation { device, accepted, request, next, considered } = explained;
    let Request { artifact_name, device_type, .. } = request;
    let mut text = String::new();
    write!(text, "device {device}")?;
    match accepted {
        Some(status) => writeln!(text, ", {}", status.as_str())?,
        None => writeln!(text, ", unknown to inventory")?,
    }
    if !device_type.is_empty() {
        writeln!(text, "  is a {device_type:?} that runs {artifact_name:?}")?;
    }
    let what = |id| considered.iter().find(|other| other.deployment.id == id);
    match next.clone().and_then(what) {
        Some(Considered { deployment, .. }) => {
            let (name, release) = (&deployment.name, &deployment.artifact_name);
            writeln!(text, "  would be told to install {release:?} ({name:?}) if it asked now")?;
        }
        None => writeln!(text, "  would be told nothing if it asked now")?,
    }
    for Considered { deployment, status, reason, last } in considered {
        writeln!(text, "\ndeployment {} {:?}", deployment.id, deployment.name)?;
        if let Some(status) = status {
            writeln!(text, "  the device is at: {}", status.as_str())?;
        }
        writeln!(text, "  now:    {reason}")?;
        if let Some(last) = last {
            writeln!(text, "  asked:  {}, since {}", last.reason, last.since)?;
        }
        if let Some(remedy) = reason.remedy() {
            writeln!(text, "  needed: {remedy}")?;
        }
    }
    Ok(text)
}
