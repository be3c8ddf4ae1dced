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

pub(super) async fn look(mender: &Mender, runs: bool) -> Result<String, Ill> {
    let failed = |error: mender_core::Error| Ill {
        what: Failure::from(error).to_string(),
        mend: "check the database".into(),
    };
    let (mut flaws, mut count, mut tenants) = (Vec::new(), 0, vec![TenantId::default()]);
    while let Some(last) = tenants.last().cloned() {
        count += tenants.len();
        for tenant in &tenants {
            let name = |flaw| match tenant.is_default() {
                true => flaw,
                false => format!("tenant {tenant}: {flaw}"),
            };
            let found = lasting(mender, tenant, runs).await.map_err(failed)?;
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

/// Returns what does not fit together, and does not change by itself.
async fn lasting(
    mender: &Mender,
    tenant: &TenantId,
    runs: bool,
) -> mender_core::Result<Vec<String>> {
    let mut flaws = mender.flaws(tenant).await?;
    for _ in 1..LOOKS {
        if flaws.is_empty() || !runs {
            break;
        }
        let again = mender.flaws(tenant).await?;
        flaws.retain(|flaw| again.contains(flaw));
    }
    Ok(flaws)
}
