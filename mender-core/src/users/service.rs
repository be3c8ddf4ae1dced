use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    commit::Commit,
    ctx::{Actor, Ctx, Scope},
    env::Time,
    error::{Error, Kind, Result, StoreError},
    feed::Cache,
    id::{TenantId, UserId, Version},
    kernel::Kernel,
    outbox::Journal,
    secret::{self, HashCost},
    tenants::{Addon, Directory, Standing, TenantStatus},
    token::{Keyring, Numbered},
    users::{
        logic,
        model::{Account, Email, Membership, Session, SessionId},
        store::Store,
    },
};

/// How users log in.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// What tokens name as their issuer.
    pub issuer: String,
    /// How dear password hashes are.
    pub hash_cost: HashCost,
    /// How many password checks run at once; further ones wait.
    pub parallel_hashes: usize,
    /// Whether users belong to tenants; where not, all belong to the default one.
    pub tenants: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_lifetime: Duration::from_secs(604_800),
            issuer: "mender.useradm".into(),
            hash_cost: HashCost::STRONG,
            parallel_hashes: 4,
            tenants: false,
        }
    }
}

/// A user to make.
#[derive(Clone)]
pub struct NewUser {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: String,
    /// The id; a new one where there is none.
    pub id: Option<UserId>,
    /// The names of the roles.
    pub roles: Vec<String>,
}

impl fmt::Debug for NewUser {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("email", &self.email)
            .field("id", &self.id)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// What a user logs in with.
#[derive(Clone, Debug)]
pub struct Login {
    /// The address, as given.
    pub email: String,
    /// The password.
    pub password: secret::Secret,
    /// Whether the session lasts until it is ended.
    pub forever: bool,
}

/// Who a valid user token belongs to.
#[derive(Clone, Debug)]
pub struct VerifiedUser {
    /// The user, in the tenant of the session.
    pub ctx: Ctx,
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

/// The claims of a user token, in the order of the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    jti: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    #[serde(rename = "mender.tenant", default, skip_serializing_if = "String::is_empty")]
    tenant: String,
    #[serde(rename = "mender.user", default)]
    user: bool,
    iss: String,
    scp: String,
    nbf: i64,
    #[serde(flatten)]
    plan: Option<PlanClaims>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PlanClaims {
    #[serde(rename = "mender.plan")]
    plan: String,
    #[serde(rename = "mender.trial")]
    trial: bool,
    #[serde(rename = "mender.addons")]
    addons: Vec<Addon>,
}

/// How many log-ins may wait for their turn; further ones are told to come back.
const WAITING: usize = 256;

const SCOPE: &str = "mender.*";

/// The use cases of users.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    directory: Arc<dyn Directory>,
    keys: Arc<Keyring>,
    config: Config,
    accounts: Arc<Cache<Option<Arc<Account>>>>,
    hashing: Arc<Semaphore>,
    /// Places for those who wait for their turn.
    waiting: Semaphore,
    /// A hash that is checked where there is no user.
    nobody: tokio::sync::OnceCell<String>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("users::Service").field("config", &self.config).finish_non_exhaustive()
    }
}

fn unauthorized() -> Error {
    Error::unauthenticated("unauthorized")
}

impl Service {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        store: Arc<dyn Store>,
        journal: Arc<dyn Journal>,
        directory: Arc<dyn Directory>,
        keys: Arc<Keyring>,
        config: Config,
    ) -> Self {
        let accounts = Arc::new(Cache::new(logic::TOPIC, 10_000));
        kernel.register(accounts.clone());
        let hashing = Arc::new(Semaphore::new(config.parallel_hashes.max(1)));
        Self {
            kernel,
            store,
            journal,
            directory,
            keys,
            config,
            accounts,
            hashing,
            waiting: Semaphore::new(WAITING),
            nobody: tokio::sync::OnceCell::new(),
        }
    }

    async fn commit(&self, ctx: &Ctx, commit: Commit<Account>) -> Result<()> {
        // Accounts are global: what caches know of them is not the caller's tenant's.
        let ctx = Ctx { tenant: TenantId::default(), ..ctx.clone() };
        let write = |commit| self.store.commit_account(commit);
        Ok(self.kernel.commit(&ctx, &self.journal, commit, write).await?)
    }

    /// Runs slow hashing off the async threads, few at a time and few waiting.
    async fn hashed<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let failed = || Error::internal("hashing stopped");
        let busy = || Error::new(Kind::Unavailable, "too many log-ins at once");
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = self.hashing.clone().acquire_owned().await.map_err(|_| failed())?;
        // The turn goes with the work: a caller who hangs up does not end it.
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| failed().because(e))
    }

    async fn hash(&self, password: &str) -> Result<String> {
        let (env, cost) = (self.kernel.env().clone(), self.config.hash_cost);
        let password = secret::Secret::new(password);
        self.hashed(move || secret::hash_password(&env, cost, password.expose())).await
    }

    /// Makes a user of the tenant.
    ///
    /// # Errors
    /// `Invalid { password }` and `Conflict` by the rules for passwords, `Conflict("email")` or
    /// `Conflict("id")` where a user has it already.
    #[tracing::instrument(name = "users.create", skip_all)]
    pub async fn create(&self, ctx: &Ctx, new: &NewUser) -> Result<UserId> {
        logic::check_password(&new.password, &new.email)?;
        let password = self.hash(&new.password).await?;
        let env = self.kernel.env();
        let now = env.now();
        let id = match &new.id {
            Some(id) => id.clone(),
            None => env.uuid().parse().map_err(|e| Error::internal("no id").because(e))?,
        };
        let member = Membership { tenant: ctx.tenant.clone(), roles: new.roles.clone() };
        let account = Account {
            id: id.clone(),
            email: new.email.clone(),
            password,
            memberships: vec![member],
            sessions: Vec::new(),
            created: now,
            updated: now,
            login: None,
            // A natural key: an address may be deleted and used again.
            version: Version(now.0),
        };
        let commit = Commit::insert(account).invalidate(logic::TOPIC, id.as_str());
        match self.commit(ctx, commit).await {
            Err(error) if error.is_stale() => Err(Error::conflict("id")),
            answer => answer.map(|()| id),
        }
    }

    /// Opens a session and returns its token.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong address or password, `Forbidden` for a suspended tenant.
    #[tracing::instrument(name = "users.log_in", skip_all)]
    pub async fn log_in(&self, trace: &str, login: &Login) -> Result<String> {
        let found = match login.email.parse::<Email>() {
            Ok(email) => self.store.account_by_email(&email).await?,
            Err(_) => None,
        };
        // A stranger costs as much time as a user: nobody learns which addresses exist.
        let hash = match &found {
            Some(account) => account.password.clone(),
            None => self.nobody.get_or_try_init(|| self.hash("")).await?.clone(),
        };
        let password = login.password.clone();
        let right = self.hashed(move || secret::check_password(&hash, password.expose())).await?;
        let account = found.filter(|_| right).ok_or_else(unauthorized)?;
        let tenant = account.memberships.first().map(|m| m.tenant.clone()).unwrap_or_default();
        let standing = self.directory.standing(&tenant).await?;
        if standing.status == TenantStatus::Suspended {
            return Err(Error::forbidden("tenant account suspended"));
        }
        let ctx = Ctx::new(tenant, Actor::User(account.id.clone()), Scope::All);
        let ctx = ctx.with_request(trace);
        self.open_session(&ctx, &standing, &account, login.forever).await
    }

    async fn open_session(
        &self,
        ctx: &Ctx,
        standing: &Standing,
        checked: &Account,
        forever: bool,
    ) -> Result<String> {
        let user = &checked.id;
        let env = self.kernel.env();
        let now = env.now();
        let id: SessionId = env.uuid().parse().map_err(|_| Error::internal("no id"))?;
        let expires = (!forever).then(|| now + self.config.session_lifetime);
        let session = Session { id: id.clone(), tenant: ctx.tenant.clone(), issued: now, expires };
        let decide = |account: &Account| {
            // The password may have been changed while the old one was checked.
            if account.password != checked.password {
                return Err(unauthorized());
            }
            Ok(logic::log_in(account, session.clone(), now))
        };
        self.change(ctx, user, decide).await?;
        let claims = Claims {
            jti: id.to_string(),
            sub: user.to_string(),
            exp: expires.map(Time::seconds),
            iat: now.seconds(),
            tenant: ctx.tenant.to_string(),
            user: true,
            iss: self.config.issuer.clone(),
            scp: SCOPE.into(),
            nbf: now.seconds(),
            plan: self.config.tenants.then(|| PlanClaims {
                plan: standing.plan.as_str().into(),
                trial: standing.trial,
                addons: standing.addons.clone(),
            }),
        };
        self.keys.sign(Numbered::Yes, &claims)
    }

    async fn change(
        &self,
        ctx: &Ctx,
        user: &UserId,
        decide: impl Fn(&Account) -> Result<Commit<Account>>,
    ) -> Result<()> {
        self.kernel
            .retry(|| async {
                let account = self.store.account(user).await?;
                let account = account.ok_or_else(|| Error::not_found("user"))?;
                self.commit(ctx, decide(&account)?).await
            })
            .await
    }

    /// Verifies a user token. One whose account is in memory costs no read.
    ///
    /// # Errors
    /// `Invalid { token }` where the token itself is wrong, `Unauthenticated` where it belongs to
    /// no user, or its session has ended.
    pub async fn verify(&self, token: &str, trace: &str) -> Result<VerifiedUser> {
        let wrong = || Error::invalid("token", "invalid jwt");
        let claims: Claims = self.keys.verify(Numbered::Yes, token).ok_or_else(wrong)?;
        let now = self.kernel.env().now();
        let expired = claims.exp.is_some_and(|end| end <= now.seconds());
        if expired || claims.iss.is_empty() || claims.scp.is_empty() {
            return Err(wrong());
        }
        if claims.scp != SCOPE {
            return Err(Error::forbidden("unauthorized"));
        }
        let user: UserId = claims.sub.parse().map_err(|_| wrong())?;
        let session: SessionId = claims.jti.parse().map_err(|_| wrong())?;
        if !claims.user {
            return Err(unauthorized());
        }
        let load = async || Ok::<_, StoreError>(self.store.account(&user).await?.map(Arc::new));
        let fresh = self.kernel.is_fresh();
        let nobody = TenantId::default();
        let account = self.accounts.get_or_load(fresh, &nobody, user.as_str(), load).await?;
        let account = account.ok_or_else(unauthorized)?;
        let found = account.session(&session, now).ok_or_else(unauthorized)?;
        if found.tenant.as_str() != claims.tenant || !account.is_member(&found.tenant) {
            return Err(unauthorized());
        }
        if self.directory.standing(&found.tenant).await?.status == TenantStatus::Suspended {
            return Err(unauthorized());
        }
        let ctx = Ctx::new(found.tenant.clone(), Actor::User(user.clone()), Scope::All);
        Ok(VerifiedUser { ctx: ctx.with_request(trace), user, session })
    }

    /// Ends a session; one that has ended is no error.
    ///
    /// # Errors
    /// Those of the store.
    #[tracing::instrument(name = "users.log_out", skip_all)]
    pub async fn log_out(&self, ctx: &Ctx, user: &UserId, session: &SessionId) -> Result<()> {
        let answer = self.change(ctx, user, |account| Ok(logic::log_out(account, session))).await;
        match answer {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            answer => answer,
        }
    }

    /// Sets a user's password and ends all of the user's sessions.
    ///
    /// # Errors
    /// `NotFound` where the tenant has no such user; the rules for passwords.
    #[tracing::instrument(name = "users.set_password", skip_all)]
    pub async fn set_password(&self, ctx: &Ctx, email: &Email, password: &str) -> Result<()> {
        let account = self.store.account_by_email(email).await?;
        let account = account
            .filter(|account| account.is_member(&ctx.tenant))
            .ok_or_else(|| Error::not_found("user"))?;
        logic::check_password(password, email)?;
        let hash = self.hash(password).await?;
        let now = self.kernel.env().now();
        let decide = |account: &Account| Ok(logic::set_password(account, hash.clone(), now));
        self.change(ctx, &account.id, decide).await
    }

    /// Returns a user of the tenant.
    ///
    /// # Errors
    /// `NotFound` where the tenant has no such user.
    pub async fn user(&self, ctx: &Ctx, id: &UserId) -> Result<Account> {
        let account = self.store.account(id).await?;
        let member = account.filter(|account| account.is_member(&ctx.tenant));
        member.ok_or_else(|| Error::not_found("user"))
    }

    /// Tells whether the tenant has a user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn any(&self, ctx: &Ctx) -> Result<bool> {
        Ok(!self.store.accounts(&ctx.tenant, None, 1).await?.is_empty())
    }

    /// Returns all users of the tenant, by id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn users(&self, ctx: &Ctx) -> Result<Vec<Account>> {
        const CHUNK: usize = 500;
        let mut all: Vec<Account> = Vec::new();
        loop {
            let after = all.last().map(|account| account.id.clone());
            let chunk = self.store.accounts(&ctx.tenant, after.as_ref(), CHUNK).await?;
            let more = chunk.len() == CHUNK;
            all.extend(chunk);
            if !more {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        task::{Context, Waker},
    };

    use super::*;
    use crate::Mender;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_who_hangs_up_keeps_the_turn_until_the_hash_ends() {
        let config = Config { parallel_hashes: 1, ..Config::default() };
        let mender = Mender::in_memory().users_config(config).build().unwrap();
        let users = mender.users();
        let (started, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let mut call = Box::pin(users.hashed(move || {
            started.send(()).unwrap();
            ended.recv().unwrap();
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        begun.recv().unwrap();
        drop(call);
        assert_eq!(users.hashing.available_permits(), 0);
        end.send(()).unwrap();
        let _turn = users.hashing.acquire().await.unwrap();
    }
}
