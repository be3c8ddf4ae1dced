//! `user create`, `user set-password`

use mender_core::{
    Ctx, Error, Mender,
    error::Kind,
    users::{self, Email},
};

use crate::{
    Distribution,
    cli::{Login, NewUser, User},
    commands::{mender, print, settle, tenant_id},
    failure::Failure,
    settings::Settings,
};

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    command: User,
) -> Result<(), Failure> {
    match command {
        User::Create(new) => create(parts, settings, new).await,
        User::SetPassword { login, tenant } => set_password(parts, settings, &login, &tenant).await,
    }
}

async fn create(parts: &Distribution, settings: &Settings, new: NewUser) -> Result<(), Failure> {
    let user = user(&new.login, new.id, new.roles)?;
    let ctx = Ctx::system(tenant_id(&new.tenant)?);
    if !user.roles.is_empty() {
        // Not by the log, which may be off: whoever gives a role believes that it limits.
        eprintln!(
            "mender-server: roles are kept but not enforced yet: this user may do everything in \
             the tenant"
        );
    }
    let mender = mender(parts, settings).await?;
    let id = add(&mender, &ctx, &user).await?;
    settle(&mender).await;
    print(&id)
}

async fn set_password(
    parts: &Distribution,
    settings: &Settings,
    login: &Login,
    tenant: &str,
) -> Result<(), Failure> {
    let email = email(login)?;
    let ctx = Ctx::system(tenant_id(tenant)?);
    let mender = mender(parts, settings).await?;
    let set = mender.users().set_password(&ctx, &email, &login.password);
    set.await.map_err(|e| explained(e, &login.username))?;
    settle(&mender).await;
    Ok(())
}

fn email(login: &Login) -> Result<Email, Failure> {
    let wrong = |e| Failure::new(format!("--username {:?}: {e}", login.username));
    login.username.parse().map_err(wrong)
}

/// Returns the user to make, after every check that needs no database.
pub(super) fn user(
    login: &Login,
    id: Option<String>,
    roles: Vec<String>,
) -> Result<users::NewUser, Failure> {
    let email = email(login)?;
    let password = login.password.clone();
    users::logic::check_password(&password, &email).map_err(|e| explained(e, &login.username))?;
    let wrong =
        |id: &str| Failure::new(format!("--id {id:?}: an id has 1 to 256 plain characters"));
    let id = id.map(|id| id.parse().map_err(|_| wrong(&id))).transpose()?;
    Ok(users::NewUser { email, password, id, roles })
}

/// Makes a user and returns the id.
pub(super) async fn add(
    mender: &Mender,
    ctx: &Ctx,
    user: &users::NewUser,
) -> Result<String, Failure> {
    let made = mender.users().create(ctx, user).await;
    let id = made.map_err(|e| explained(e, user.email.as_str()))?;
    Ok(id.to_string())
}

fn explained(error: Error, username: &str) -> Failure {
    match (error.kind, &*error.what) {
        (Kind::Conflict, "email") => Failure::new(format!("a user {username} exists already")),
        (Kind::Conflict, "id") => Failure::new("a user with this id exists already"),
        (Kind::NotFound, _) => Failure::new(format!("the tenant has no user {username}")),
        (Kind::Invalid { field: "password" }, what) => Failure::new(format!("password: {what}")),
        _ => error.into(),
    }
}
