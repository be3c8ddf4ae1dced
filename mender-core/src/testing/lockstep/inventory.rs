//! What is asked of inventory.

use serde_json::json;

use super::command::{index, pick, shown};
use crate::{
    auth::Status,
    ctx::{Ctx, Scope},
    env::Env,
    error::{Error, Result},
    id::DeviceId,
    inventory::{
        AttributeName, Filter, GroupName, How, NewAttribute, Op, Operand, Predicate, Query, Value,
    },
    page::PageRequest,
    testing::lockstep::{Side, TENANTS},
};

/// Devices that nobody authenticated; those after them are the ones of `auth`.
const FREE: u64 = 4;
const IDENTITIES: u64 = 6;
const GROUPS: [&str; 3] = ["one", "two", "three"];
const NAMES: [&str; 4] = ["a", "b.c", "$d", "name"];
const FILTERS: [&str; 3] = ["first", "Second", "thïrd"];

/// One of some devices of a tenant; may exist or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    tenant: usize,
    n: u64,
}

/// A few attributes, and what becomes of the others.
#[derive(Clone, Debug)]
pub(super) struct Said {
    all: Vec<NewAttribute>,
    how: How,
}

/// Something that is asked of inventory.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Report(Which, Said),
    Tag(Which, Said, Option<bool>),
    Write(Which, Vec<NewAttribute>, bool),
    Clear(Which),
    Alerts(Which, u64),
    Status(Which, Status, i64),
    Statuses(usize, Status, Vec<(u64, i64)>),
    Remove(Which),
    Show(Which),
    Group(Which, Option<usize>),
    Move(usize, usize, Vec<u64>, bool),
    ClearGroup(usize, usize),
    Groups(usize, Option<Status>),
    Members(usize, usize),
    Search(usize, Query, PageRequest, Option<usize>),
    Beginning(usize, usize, &'static str),
    Statistics(usize),
    Names(usize),
    SaveFilter(usize, usize, Vec<Predicate>),
    ChangeFilter(usize, usize, usize, Vec<Predicate>),
    DeleteFilter(usize, usize),
    Filters(usize, PageRequest),
    SearchFilter(usize, usize),
}

fn which(env: &Env) -> Which {
    Which { tenant: index(env, TENANTS), n: env.below(FREE + IDENTITIES) }
}

fn some<T>(env: &Env, most: u64, make: impl Fn() -> T) -> Vec<T> {
    (0..env.below(most + 1)).map(|_| make()).collect()
}

/// Different devices: what is done to them at the same time has no order.
fn different(env: &Env) -> Vec<u64> {
    let mut all: Vec<u64> = (0..FREE + IDENTITIES).collect();
    all.retain(|_| env.below(3) == 0);
    all
}

fn value(env: &Env) -> Value {
    let text = |text: &str| Value::Text(text.into());
    let texts = |all: &[&str]| Value::Texts(all.iter().map(|t| (*t).to_owned()).collect());
    let numbers = [0.0, 1.5, -3.0, 0.1 + 0.2, 1e300];
    match env.below(8) {
        0 => text(""),
        1 | 2 => text(pick(env, &["x1", "x2", "y", "10", "é😀"])),
        3 => text(pick(env, &["many words, of gateways", "a gateway", "OSLO"])),
        4 | 5 => Value::Number(pick(env, &numbers)),
        6 => texts(pick(env, &[&["x1", "x2"][..], &["y", "x1", "y"], &[]])),
        _ => Value::Numbers((0..=env.below(3)).map(|_| pick(env, &numbers)).collect()),
    }
}

fn new(env: &Env) -> NewAttribute {
    let mut new = NewAttribute::new(AttributeName::inventory(pick(env, &NAMES)), value(env));
    if env.below(5) == 0 {
        new.description = Some(pick(env, &["", "described", "bé"]).into());
    }
    new
}

fn said(env: &Env) -> Said {
    Said { all: some(env, 3, || new(env)), how: pick(env, &[How::Merge, How::Replace]) }
}

/// Attributes of any scope, those that mean something to the server among them.
fn name(env: &Env) -> AttributeName {
    let special =
        ["identity/status", "system/group", "system/updated_ts", "identity/id", "tags/name"];
    if env.below(2) == 0 {
        let name = pick(env, &special).split_once('/').unwrap_or_default();
        return AttributeName::new(name.0, name.1);
    }
    AttributeName::new(pick(env, &AttributeName::SCOPES), pick(env, &NAMES))
}

fn term(env: &Env) -> Predicate {
    let op = pick(env, &Op::ALL);
    let one = || match env.below(8) {
        0 => json!(null),
        1 => json!(pick(env, &[true, false])),
        2 => json!(pick(env, &["accepted", "pending", "one", "x0", "2026-01-01T12:00:01Z"])),
        3 => json!(pick(env, &["x", "/X[0-9]/i", "(", ".*1$", "1|x1"])),
        _ => serde_json::to_value(value(env)).unwrap_or_default(),
    };
    let operand = match op {
        Op::In | Op::Nin if env.below(8) > 0 => some(env, 3, one).into(),
        _ => one(),
    };
    Predicate { name: name(env), op, value: Operand::from_json(&operand).unwrap_or(Operand::Null) }
}

fn query(env: &Env) -> Query {
    let words = ["gateway", "oslo", "many word x1", "***", "é😀 10"];
    Query {
        filters: some(env, 2, || term(env)),
        sort: some(env, 2, || (name(env), env.below(2) == 0)),
        ids: Vec::new(),
        text: (env.below(4) == 0).then(|| pick(env, &words).into()),
        plain_names: env.below(8) == 0,
    }
}

fn page(env: &Env) -> PageRequest {
    PageRequest::new(pick(env, &[1, 1, 2, 3]), pick(env, &[1, 2, 3, 20]))
}

impl Action {
    pub(super) fn random(env: &Env) -> Self {
        let (tenant, group) = (index(env, TENANTS), index(env, GROUPS.len()));
        let (yes, filter) = (env.below(2) == 0, index(env, FILTERS.len()));
        let status = pick(env, &Status::ALL);
        let revision = || i64::try_from(env.below(6)).unwrap_or_default();
        match env.below(40) {
            0..7 => Self::Report(which(env), said(env)),
            7..10 => Self::Tag(which(env), said(env), pick(env, &[None, Some(true), Some(false)])),
            10..12 => {
                let named = |mut new: NewAttribute| {
                    new.name = name(env);
                    new
                };
                Self::Write(which(env), some(env, 2, || named(new(env))), yes)
            }
            12 => Self::Clear(which(env)),
            13 => Self::Alerts(which(env), env.below(2)),
            14..16 => Self::Status(Which { tenant, n: env.below(FREE) }, status, revision()),
            16 => {
                let all = different(env).into_iter().filter(|n| *n < FREE);
                Self::Statuses(tenant, status, all.map(|n| (n, revision())).collect())
            }
            17 => Self::Remove(which(env)),
            18 => Self::Show(which(env)),
            19..22 => Self::Group(which(env), yes.then_some(group)),
            22 => Self::Move(tenant, group, different(env), yes),
            23 => Self::ClearGroup(tenant, group),
            24 => Self::Groups(tenant, (!yes).then_some(status)),
            25 => Self::Members(tenant, group),
            26..32 => {
                let scope = (env.below(4) == 0).then_some(group);
                Self::Search(tenant, query(env), page(env), scope)
            }
            32 => Self::Beginning(tenant, index(env, 3), pick(env, &["", "x", "free", "é"])),
            33 => Self::Statistics(tenant),
            34 => Self::Names(tenant),
            35 => Self::SaveFilter(tenant, filter, some(env, 2, || term(env))),
            36 => {
                let to = index(env, FILTERS.len());
                Self::ChangeFilter(tenant, filter, to, some(env, 2, || term(env)))
            }
            37 if yes => Self::DeleteFilter(tenant, filter),
            37 | 38 => Self::Filters(tenant, page(env)),
            _ => Self::SearchFilter(tenant, filter),
        }
    }

    /// Tells whether the static group of a device may change.
    fn may_regroup(&self) -> bool {
        matches!(self, Self::Group(..) | Self::Move(..) | Self::ClearGroup(..) | Self::Write(..))
    }

    pub(super) async fn answer(&self, side: &Side) -> Result<String> {
        if !self.may_regroup() {
            return self.ask(side).await;
        }
        // `auth` copies the group, which moves the version that inventory copies: who is the
        // first must not depend on the store.
        side.mender.drain().await?;
        let answer = self.ask(side).await;
        side.mender.drain().await?;
        answer
    }

    async fn ask(&self, side: &Side) -> Result<String> {
        let inventory = side.mender.inventory();
        match self {
            Self::Report(w, Said { all, how }) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.report(&ctx, &id, all.clone(), *how).await)
            }
            Self::Tag(w, Said { all, how }, seen) => {
                let (ctx, id) = side.which(*w).await?;
                let known = inventory.device(&ctx, &id).await.ok().and_then(|d| d.etag);
                let seen = match seen {
                    Some(true) => known,
                    Some(false) => Some("other".into()),
                    None => None,
                };
                shown(inventory.tag(&ctx, &id, all.clone(), *how, seen.as_deref()).await)
            }
            Self::Write(w, all, creates) => {
                let (ctx, id) = side.which(*w).await?;
                if *creates {
                    return shown(inventory.create(&ctx, &id, all.clone()).await);
                }
                shown(inventory.write(&ctx, &id, all.clone(), None).await)
            }
            Self::Clear(w) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.clear(&ctx, &id).await)
            }
            Self::Alerts(w, count) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.set_alerts(&ctx, &id, *count).await)
            }
            Self::Status(w, status, revision) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.set_statuses(&ctx, *status, &[(id, *revision)]).await)
            }
            Self::Statuses(t, status, all) => {
                let ctx = side.ctx(*t);
                let mut told = Vec::new();
                for (n, revision) in all {
                    let (_, id) = side.which(Which { tenant: *t, n: *n }).await?;
                    // Devices that are made at the same time have no order.
                    inventory.create(&ctx, &id, vec![]).await?;
                    told.push((id, *revision));
                }
                shown(inventory.set_statuses(&ctx, *status, &told).await)
            }
            Self::Remove(w) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.remove(&ctx, &id).await)
            }
            Self::Show(w) => {
                let (ctx, id) = side.which(*w).await?;
                shown(inventory.device(&ctx, &id).await)
            }
            Self::Group(w, group) => {
                let (ctx, id) = side.which(*w).await?;
                let Some(group) = group else {
                    let device = inventory.device(&ctx, &id).await?;
                    let group = device.group().unwrap_or("none");
                    return shown(inventory.unset_group(&ctx, &id, group).await);
                };
                shown(inventory.set_group(&ctx, &id, &group_of(*group)?).await)
            }
            Self::Move(t, group, all, joins) => {
                let (ctx, group) = (side.ctx(*t), group_of(*group)?);
                let mut ids = Vec::new();
                for n in all {
                    ids.push(side.which(Which { tenant: *t, n: *n }).await?.1);
                }
                if *joins {
                    return shown(inventory.move_to_group(&ctx, &group, &ids).await);
                }
                shown(inventory.remove_from_group(&ctx, &group, &ids).await)
            }
            Self::ClearGroup(t, group) => {
                shown(inventory.clear_group(&side.ctx(*t), &group_of(*group)?).await)
            }
            Self::Groups(t, status) => {
                shown(inventory.groups(&side.ctx(*t), status.map(Status::as_str)).await)
            }
            Self::Members(t, group) => {
                let page = PageRequest::default();
                shown(inventory.group_devices(&side.ctx(*t), GROUPS[*group], page).await)
            }
            Self::Search(t, query, page, scope) => {
                let mut ctx = side.ctx(*t);
                if let Some(group) = scope {
                    let groups = Some(vec![GROUPS[*group].to_owned()]);
                    ctx.scope = Scope::Only { groups, tags: None };
                }
                shown(inventory.search(&ctx, query, *page).await)
            }
            Self::Beginning(t, of, beginning) => {
                let names = [AttributeName::identity("id"), AttributeName::tag("name")];
                let name = names.get(*of).cloned().unwrap_or(AttributeName::identity("sn"));
                let page = PageRequest::default();
                shown(inventory.search_prefix(&side.ctx(*t), &name, beginning, page).await)
            }
            Self::Statistics(t) => shown(inventory.statistics(&side.ctx(*t)).await),
            Self::Names(t) => shown(inventory.attribute_names(&side.ctx(*t)).await),
            Self::SaveFilter(t, name, terms) => {
                let ctx = side.ctx(*t);
                shown(inventory.create_filter(&ctx, FILTERS[*name], terms.clone()).await)
            }
            Self::ChangeFilter(t, was, to, terms) => {
                let (ctx, filter) = side.filter(*t, *was).await?;
                shown(inventory.change_filter(&ctx, &filter.id, FILTERS[*to], terms).await)
            }
            Self::DeleteFilter(t, name) => {
                let (ctx, filter) = side.filter(*t, *name).await?;
                shown(inventory.delete_filter(&ctx, &filter.id).await)
            }
            Self::Filters(t, page) => shown(inventory.filters(&side.ctx(*t), *page).await),
            Self::SearchFilter(t, name) => {
                let (ctx, filter) = side.filter(*t, *name).await?;
                shown(inventory.search_filter(&ctx, &filter.id, PageRequest::default()).await)
            }
        }
    }
}

fn group_of(n: usize) -> Result<GroupName> {
    GROUPS[n].parse().map_err(|_| Error::internal("group"))
}

impl Side {
    /// Everything that inventory knows of a tenant.
    pub(super) async fn inventory(&self, tenant: usize) -> Result<Vec<String>> {
        let (ctx, inventory) = (self.ctx(tenant), self.mender.inventory());
        let page = PageRequest::new(1, 500);
        Ok(vec![
            shown(inventory.search(&ctx, &Query::default(), page).await)?,
            shown(inventory.groups(&ctx, None).await)?,
            shown(inventory.filters(&ctx, page).await)?,
            shown(inventory.statistics(&ctx).await)?,
        ])
    }

    /// The device; in place of one that `auth` does not know, one that nobody authenticated.
    async fn which(&self, Which { tenant, n }: Which) -> Result<(Ctx, DeviceId)> {
        let known = match n.checked_sub(FREE) {
            Some(identity) => self.ids(tenant, &[identity]).await?.pop(),
            None => None,
        };
        let free = format!("free{}", n % FREE).parse().map_err(|_| Error::internal("id"));
        Ok((self.ctx(tenant), known.map_or(free, Ok)?))
    }

    async fn filter(&self, tenant: usize, name: usize) -> Result<(Ctx, Filter)> {
        let ctx = self.ctx(tenant);
        let (all, _) = self.mender.inventory().filters(&ctx, PageRequest::new(1, 500)).await?;
        let found = all.into_iter().find(|filter| filter.name == FILTERS[name]);
        Ok((ctx, found.ok_or_else(|| Error::not_found("filter"))?))
    }
}
