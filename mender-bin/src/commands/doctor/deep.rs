//! Whether everything that is stored fits together.

use mender_core::{Mender, TenantId, tenants::Directory as _};

use super::{Ill, ill};
use crate::failure::Failure;

/// How many tenants are read at a time.
const CHUNK: usize = 100;

/// How many flaws are shown.
const SHOWN: usize = 20;

/// How often is looked where others may be at it meanwhile: a flaw is what stays.
const LOOKS: usize = 3;

/// Looks at all tenants. Blobs in the memory of a server are nobody else's to see.
pub(super) async fn look(mender: &Mender, runs: bool, sees_blobs: bool) -> Result<String, Ill> {
    let failed = |error: mender_core::Error| Ill {
        what: Failure::from(error).to_string(),
        mend: "check the database, and the place for artifacts".into(),
    };
    let (mut flaws, mut count, mut tenants) = (Vec::new(), 0, vec![TenantId::default()]);
    while let Some(last) = tenants.last().cloned() {
        count += tenants.len();
        for tenant in &tenants {
            let name = |flaw| match tenant.is_default() {
                true => flaw,
                false => format!("tenant {tenant}: {flaw}"),
            };
            let found = lasting(mender, tenant, runs, sees_blobs).await.map_err(failed)?;
            flaws.extend(found.into_iter().map(name));
        }
        let after = Some(&last).filter(|last| !last.is_default());
        tenants = mender.tenants().tenants(after, CHUNK).await.map_err(failed)?;
    }
    if flaws.is_empty() {
        let tenants = if count == 1 { String::new() } else { format!(" of {count} tenants") };
        return Ok(format!("everything{tenants} fits together"));
    }
    let more = flaws.len().saturating_sub(SHOWN);
    flaws.truncate(SHOWN);
    let more = if more > 0 { format!("\n       and {more} more") } else { String::new() };
    let mend = "this should not be: report it, with a backup if you can; `mender-server restore` \
                brings an earlier one back";
    ill(&format!("{}{more}", flaws.join("\n       ")), mend)
}

async fn found(
    mender: &Mender,
    tenant: &TenantId,
    sees_blobs: bool,
) -> mender_core::Result<Vec<String>> {
    let mut flaws = mender.flaws(tenant).await?;
    if sees_blobs {
        flaws.extend(mender.lost_blobs(tenant).await?);
    }
    Ok(flaws)
}

/// Returns what does not fit together, and does not change by itself.
async fn lasting(
    mender: &Mender,
    tenant: &TenantId,
    runs: bool,
    sees_blobs: bool,
) -> mender_core::Result<Vec<String>> {
    let mut flaws = found(mender, tenant, sees_blobs).await?;
    for _ in 1..LOOKS {
        if flaws.is_empty() || !runs {
            break;
        }
        let again = found(mender, tenant, sees_blobs).await?;
        flaws.retain(|flaw| again.contains(flaw));
    }
    Ok(flaws)
}

#[cfg(test)]
mod tests {
    use mender_core::{
        Ctx,
        auth::{DeviceFilter, Status},
        page::PageRequest,
        testing::TestDevice,
    };

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_together_is_named() {
        let mender = Mender::in_memory().build().unwrap();
        let (auth, ctx) = (mender.auth(), Ctx::system(Default::default()));
        auth.request("", &TestDevice::new(r#"{"mac":"1"}"#, 1).request()).await.unwrap_err();
        let all = auth.devices(&ctx, DeviceFilter::default(), PageRequest::default()).await;
        let device = all.unwrap().items.remove(0).device;
        for runs in [false, true] {
            assert_eq!(look(&mender, runs, true).await.unwrap(), "everything fits together");
        }
        // Somebody tells inventory of a change that is yet to come.
        let told = [(device.id.clone(), device.version.0 + 1)];
        mender.inventory().set_statuses(&ctx, Status::Pending, &told).await.unwrap();
        auth.decide(&ctx, &device.id, &device.sets[0].id, Status::Rejected).await.unwrap();
        for runs in [false, true] {
            let ill = look(&mender, runs, true).await.unwrap_err();
            let flaw = format!("device {} is rejected, and inventory says otherwise", device.id);
            assert_eq!(ill.what, flaw);
        }
    }
}
