use std::{collections::BTreeMap, fmt::Debug};

use crate::{
    artifacts::logic::STORAGE,
    auth::{AcceptRule, AuthSetId, DeviceFilter, Limit, Status, Tier},
    ctx::{Actor, Ctx, Scope},
    env::Env,
    error::{Error, Result},
    id::DeviceId,
    page::PageRequest,
    quota::Quota,
    secret::Secret,
    testing::{
        TestDevice,
        lockstep::{Side, artifacts::Handling, deployments::Order, inventory::Action},
    },
    users::{Login, NewUser},
};

const IDENTITIES: u64 = 6;
const KEYS: u64 = 3;
const GROUPS: [&str; 3] = ["", "group", "grüppe"];
const PASSWORD: &str = "correct horse";

/// An identity with a key, in a tenant; may exist or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    tenant: usize,
    identity: u64,
    key: u64,
    tier: Tier,
}

/// Something that a client does. Says nothing of ids, so that it means something on its own.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Ask(Who),
    Vouch(Who),
    Preauthorize(Who, bool),
    Decide(Who, Status),
    DeleteSet(Who),
    Decommission(Who),
    Revoke(Who),
    RevokeDevice(Who),
    RevokeTenant(usize),
    Flag(Who, bool),
    Group(Who, usize),
    Rule(usize, bool),
    Limit(usize, Limit, Option<i64>),
    List(usize, Vec<Status>, Option<Vec<u64>>, Option<usize>, PageRequest),
    Count(usize, Option<Status>),
    Show(Who),
    Verify(u64),
    CreateUser(usize, u64),
    LogIn(u64, bool),
    Users(usize),
    VerifyUser(u64),
    Inventory(Action),
    Artifacts(Handling),
    Deployments(Order),
    Pass(u64),
    Drain,
    /// Everything that lists show, once all is done.
    ShowAll,
}

pub(super) fn pick<T: Clone>(env: &Env, of: &[T]) -> T {
    of[index(env, of.len())].clone()
}

pub(super) fn index(env: &Env, bound: usize) -> usize {
    usize::try_from(env.below(bound as u64)).unwrap_or_default()
}

fn who(env: &Env) -> Who {
    Who {
        tenant: index(env, super::TENANTS),
        identity: env.below(IDENTITIES),
        key: env.below(KEYS),
        tier: if env.below(8) == 0 { Tier::Micro } else { Tier::Standard },
    }
}

impl Command {
    pub(super) fn random(env: &Env) -> Self {
        let tenant = index(env, super::TENANTS);
        let yes = env.below(2) == 0;
        let status = pick(env, &[Status::Accepted, Status::Rejected, Status::Pending]);
        match env.below(13) {
            0..3 => return Self::Inventory(Action::random(env)),
            3..5 => return Self::Artifacts(Handling::random(env)),
            5..9 => return Self::Deployments(Order::random(env)),
            _ => {}
        }
        match env.below(40) {
            0..10 => Self::Ask(who(env)),
            10 => Self::Vouch(who(env)),
            11..13 => Self::Preauthorize(who(env), yes),
            13..18 => Self::Decide(who(env), if yes { Status::Accepted } else { status }),
            18 => Self::DeleteSet(who(env)),
            19 => Self::Decommission(who(env)),
            20 => Self::Revoke(who(env)),
            21 => Self::RevokeDevice(who(env)),
            22 if env.below(3) == 0 => Self::RevokeTenant(tenant),
            22..24 => Self::Flag(who(env), yes),
            24 => Self::Group(who(env), index(env, GROUPS.len())),
            25 => Self::Rule(tenant, yes),
            26..28 => {
                let value = pick(env, &[None, Some(-1), Some(0), Some(1), Some(2), Some(4)]);
                Self::Limit(tenant, pick(env, &Limit::TIERS), value)
            }
            28..31 => Self::list(env, tenant),
            31 => Self::Count(tenant, yes.then_some(status)),
            32 => Self::Show(who(env)),
            33..35 => Self::Verify(env.below(1 << 32)),
            35 => pick(
                env,
                &[
                    Self::CreateUser(tenant, env.below(3)),
                    Self::LogIn(env.below(4), yes),
                    Self::Users(tenant),
                    Self::VerifyUser(env.below(1 << 32)),
                ],
            ),
            36..38 => Self::Pass(env.below(pick(env, &[2_000, 60_000, 100_000_000]))),
            _ => Self::Drain,
        }
    }

    fn list(env: &Env, tenant: usize) -> Self {
        let some = |n: u64| env.below(n) == 0;
        let statuses = (0..env.below(3)).map(|_| pick(env, &Status::ALL)).collect();
        let ids = (0..env.below(4)).map(|_| env.below(IDENTITIES + 1));
        let ids = some(3).then(|| ids.collect());
        let group = some(3).then(|| index(env, GROUPS.len()));
        let size = pick(env, &[1, 2, 3, 20]);
        let page = PageRequest::new(pick(env, &[1, 2, 3]), size);
        Self::List(tenant, statuses, ids, group, page)
    }

    /// Runs the command and tells what came of it.
    pub(super) async fn run(&self, side: &mut Side) -> String {
        match self.answer(side).await {
            Ok(answer) => answer,
            Err(error) => format!("{:?}: {}", error.kind, error.what),
        }
    }

    async fn answer(&self, side: &mut Side) -> Result<String> {
        let auth = side.mender.auth();
        match self {
            Self::Ask(who) => {
                let token = auth.request("", &side.device(*who).request()).await?;
                Ok(side.keep(token))
            }
            Self::Vouch(who) => {
                let (ctx, request) = (side.ctx(who.tenant), side.device(*who).request());
                let token = auth.auto_authenticate(&ctx, &request).await?;
                Ok(side.keep(token))
            }
            Self::Preauthorize(who, force) => {
                let what = side.device(*who).preauthorization(*force);
                shown(auth.preauthorize(&side.ctx(who.tenant), &what).await)
            }
            Self::Decide(who, status) => {
                let (ctx, device, set) = side.find(*who).await?;
                shown(auth.decide(&ctx, &device, &set, *status).await)
            }
            Self::DeleteSet(who) => {
                let (ctx, device, set) = side.find(*who).await?;
                shown(auth.delete_set(&ctx, &device, &set).await)
            }
            Self::Decommission(who) => {
                let (ctx, device, _) = side.find(*who).await?;
                shown(auth.decommission(&ctx, &device).await)
            }
            Self::Revoke(who) => {
                let (ctx, _, set) = side.find(*who).await?;
                shown(auth.revoke_token(&ctx, &set).await)
            }
            Self::RevokeDevice(who) => {
                let (ctx, device, _) = side.find(*who).await?;
                shown(auth.revoke_device_tokens(&ctx, &device).await)
            }
            Self::RevokeTenant(t) => shown(auth.revoke_tenant_tokens(&side.ctx(*t)).await),
            Self::Flag(who, test) => {
                let (ctx, device, _) = side.find(*who).await?;
                shown(auth.flag(&ctx, &device, *test).await)
            }
            Self::Group(who, group) => {
                let (ctx, device, _) = side.find(*who).await?;
                let group = Some(GROUPS[*group]).filter(|group| !group.is_empty());
                shown(auth.set_group(&ctx, &device, group).await)
            }
            Self::Rule(t, on) => {
                let identity = BTreeMap::from([("sn".into(), "*1".into())]);
                let name = "rule".into();
                let rules = on.then_some(AcceptRule { name, identity });
                let rules: Vec<AcceptRule> = rules.into_iter().collect();
                shown(auth.set_accept_rules(&side.ctx(*t), &rules).await)
            }
            Self::Limit(t, limit, value) => {
                shown(auth.set_limits(&side.ctx(*t), &[(*limit, *value)]).await)
            }
            Self::List(t, statuses, ids, group, page) => {
                let ids = match ids {
                    Some(identities) => Some(side.ids(*t, identities).await?),
                    None => None,
                };
                let mut ctx = side.ctx(*t);
                if let Some(group) = group {
                    let groups = Some(vec![GROUPS[*group].to_owned()]);
                    ctx.scope = Scope::Only { groups, tags: None };
                }
                let filter = DeviceFilter { statuses: statuses.clone(), ids, groups: None };
                shown(auth.devices(&ctx, filter, *page).await)
            }
            Self::Count(t, status) => shown(auth.count(&side.ctx(*t), *status).await),
            Self::Show(who) => {
                let (ctx, device, set) = side.find(*who).await?;
                let status = auth.status_of_set(&ctx, &set).await?;
                shown(auth.device(&ctx, &device).await.map(|view| (view, status)))
            }
            Self::Verify(n) => {
                let Some(token) = side.token(*n) else {
                    return Ok(String::new());
                };
                shown(auth.verify(&token, "").await)
            }
            Self::CreateUser(t, n) => {
                let new = NewUser {
                    email: address(*n).parse().map_err(|_| Error::internal("address"))?,
                    password: PASSWORD.into(),
                    id: None,
                    roles: vec![],
                };
                let ctx = side.ctx(*t);
                shown(side.mender.users().create(&ctx, &new).await)
            }
            Self::LogIn(n, forever) => {
                let login = Login {
                    email: address(*n),
                    password: Secret::new(PASSWORD),
                    forever: *forever,
                };
                let token = side.mender.users().log_in("", &login).await?;
                Ok(side.keep(token))
            }
            Self::Users(t) => shown(side.mender.users().users(&side.ctx(*t)).await),
            Self::VerifyUser(n) => {
                let Some(token) = side.token(*n) else {
                    return Ok(String::new());
                };
                shown(side.mender.users().verify(&token, "").await)
            }
            Self::Inventory(action) => action.answer(side).await,
            Self::Artifacts(handling) => handling.answer(side).await,
            Self::Deployments(order) => order.answer(side).await,
            Self::Pass(millis) => {
                side.pass(*millis);
                Ok(String::new())
            }
            Self::Drain => {
                side.mender.drain().await?;
                shown(side.mender.undelivered().await)
            }
            Self::ShowAll => {
                side.mender.drain().await?;
                let mut all = Vec::new();
                for t in 0..side.tenants.len() {
                    let ctx = side.ctx(t);
                    let page = PageRequest::new(1, 500);
                    let filter = DeviceFilter::default();
                    all.push(shown(auth.devices(&ctx, filter, page).await)?);
                    all.push(shown(auth.limits(&ctx).await)?);
                    all.push(shown(side.mender.users().users(&ctx).await)?);
                    all.extend(side.inventory(t).await?);
                    all.extend(side.artifacts(t).await?);
                    all.extend(side.deployments(t).await?);
                    all.push(shown(side.mender.quota(&ctx.tenant, STORAGE).await)?);
                    for limit in Limit::TIERS.into_iter().chain([Limit::TestDevices]) {
                        all.push(shown(side.quota(&ctx, limit).await)?);
                    }
                }
                all.push(shown(side.mender.jobs().dead_jobs(100).await)?);
                Ok(all.join("\n  "))
            }
        }
    }
}

pub(super) fn shown<T: Debug, E: Into<Error>>(answer: Result<T, E>) -> Result<String> {
    answer.map(|answer| format!("{answer:?}")).map_err(Into::into)
}

fn address(n: u64) -> String {
    format!("user{n}@acme.com")
}

impl Side {
    pub(super) fn ctx(&self, tenant: usize) -> Ctx {
        Ctx::new(self.tenants[tenant].0.clone(), Actor::System, Scope::All)
    }

    async fn quota(&self, ctx: &Ctx, limit: Limit) -> Result<Quota> {
        self.mender.quota(&ctx.tenant, limit.as_str()).await
    }

    fn device(&self, who: Who) -> TestDevice {
        let identity = format!(r#"{{"sn":"{}","n":1.0}}"#, who.identity);
        TestDevice::new(&identity, who.key)
            .of_tier(who.tier)
            .of_tenant(self.tenants[who.tenant].1.clone())
    }

    /// Finds the device and its set with the key; of a device without it, some other set.
    async fn find(&self, who: Who) -> Result<(Ctx, DeviceId, AuthSetId)> {
        let (ctx, device) = (self.ctx(who.tenant), self.device(who));
        let auth = self.mender.auth();
        let found = auth.device_by_identity(&ctx, device.identity()).await?;
        let found = found.ok_or_else(|| Error::not_found("device"))?;
        let has_key = |set: &&crate::auth::AuthSet| set.key == device.key().as_pem();
        let set = found.sets.iter().find(has_key).or(found.sets.first());
        let set = set.ok_or_else(|| Error::not_found("set"))?.id.clone();
        Ok((ctx, found.id, set))
    }

    pub(super) async fn ids(&self, tenant: usize, identities: &[u64]) -> Result<Vec<DeviceId>> {
        let mut ids = Vec::new();
        for identity in identities {
            let who = Who { tenant, identity: *identity, key: 0, tier: Tier::Standard };
            let (ctx, device) = (self.ctx(tenant), self.device(who));
            let found = self.mender.auth().device_by_identity(&ctx, device.identity());
            ids.extend(found.await?.map(|device| device.id));
        }
        Ok(ids)
    }

    fn keep(&mut self, token: String) -> String {
        self.tokens.push(token.clone());
        token
    }

    fn token(&self, n: u64) -> Option<String> {
        let at = n.checked_rem(self.tokens.len() as u64)?;
        self.tokens.get(usize::try_from(at).ok()?).cloned()
    }
}
