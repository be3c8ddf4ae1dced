//! `tenant create`, `tenant show`

use mender_core::{
    Ctx, TenantId,
    tenants::{self, Addon, Tenant},
};
use serde_json::json;

use crate::{
    Distribution,
    cli::{self, NewTenant, Plan},
    commands::{mender, print, settle, tenant_id, user},
    failure::Failure,
    settings::Settings,
};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: cli::Tenant,
) -> Result<(), Failure> {
    match command {
        cli::Tenant::Create(new) => create(parts, settings, new).await,
        cli::Tenant::Show { id } => show(parts, settings, &id).await,
    }
}

async fn create(parts: &Distribution, settings: &Settings, new: NewTenant) -> Result<(), Failure> {
    let first = user::user(&new.login, None, Vec::new())?;
    let mender = mender(parts, settings).await?;
    if !settings.auth.multi_tenant {
        tracing::warn!("MENDER_MULTI_TENANT is off: a server with these settings knows no tenants");
    }
    let wanted = tenants::NewTenant {
        name: new.name,
        plan: match new.plan {
            Plan::Os => tenants::Plan::Os,
            Plan::Professional => tenants::Plan::Professional,
            Plan::Enterprise => tenants::Plan::Enterprise,
        },
        addons: new.addons,
    };
    let system = Ctx::system(TenantId::default());
    let tenant = mender.tenants().create(&system, &wanted).await?;
    let added = user::add(&mender, &Ctx::system(tenant.id.clone()), &first).await;
    settle(&mender).await;
    added.map_err(|failure| {
        let id = &tenant.id;
        failure.during(format!(
            "tenant {id} was made without its user; `mender-server user create --tenant {id}` \
             makes one"
        ))
    })?;
    print(tenant.id.as_str())
}

async fn show(parts: &Distribution, settings: &Settings, id: &str) -> Result<(), Failure> {
    let id = tenant_id(id)?;
    let mender = mender(parts, settings).await?;
    let Tenant { id, name, token, plan, trial, addons, status, created, updated: _, version: _ } =
        mender.tenants().tenant(&id).await?;
    let addon = |addon: &Addon| json!({ "name": addon.name, "enabled": addon.enabled });
    let shown = json!({
        "id": id.as_str(),
        "name": name,
        "tenant_token": token,
        "plan": plan,
        "trial": trial,
        "addons": addons.iter().map(addon).collect::<Vec<_>>(),
        "status": status,
        "created_at": created,
    });
    print(&format!("{shown:#}"))
}
