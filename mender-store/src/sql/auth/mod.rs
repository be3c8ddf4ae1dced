//! Device authentication: devices with their auth sets, tenants' rules, contacts.

mod rows;
mod write;

use std::collections::BTreeMap;

use async_trait::async_trait;
use mender_core::{
    DeviceId, Event, Stamped, StoreResult, TenantId, Time,
    auth::{AuthSetId, AuthTenant, Device, DeviceFilter, Seen, Store},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Query, Stmt},
        filter::Filter,
        kernel::events,
        value::Val,
    },
    vals,
};
use rows::{auth_tenant, devices};

/// A device with its sets in one statement: one row for each set, at least one for the device.
macro_rules! select {
    ($from:expr) => {
        concat!(
            "SELECT d.id, d.identity, d.status, d.tier, d.group_name, d.leaving, d.provisioned,
        d.test, d.external_id, d.external_name, d.external_provider, d.valid_from, d.created_at,
        d.updated_at, d.version, s.id AS set_id, s.position, s.key, s.tier AS set_tier,
        s.status AS set_status, s.live, s.valid_from AS set_from, s.created_at AS set_created
        FROM ",
            $from
        )
    };
}

macro_rules! sets {
    () => {
        " LEFT JOIN auth_sets AS s ON s.tenant_id = d.tenant_id AND s.device_id = d.id"
    };
}

const DEVICE: Stmt =
    sql!(select!(concat!("auth_devices AS d", sets!(), " WHERE d.tenant_id = $1 AND d.id = $2")));

const BY_IDENTITY: Stmt = sql!(select!(concat!(
    "auth_devices AS d",
    sets!(),
    " WHERE d.tenant_id = $1 AND d.identity_hash = $2"
)));

const BY_SET: Stmt = sql!(select!(concat!(
    "(SELECT tenant_id, device_id FROM auth_sets WHERE tenant_id = $1 AND id = $2
        ORDER BY device_id LIMIT 1) AS f
        JOIN auth_devices AS d ON d.tenant_id = f.tenant_id AND d.id = f.device_id",
    sets!()
)));

const WALK: Stmt = sql!(select!(concat!(
    "(SELECT * FROM auth_devices WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS d",
    sets!(),
    " ORDER BY d.id"
)));

/// What comes before the keys of a page, and after them.
const PAGE: (&str, &str) = (
    select!("("),
    concat!(
        ") AS p JOIN auth_devices AS d ON d.tenant_id = p.tenant_id AND d.id = p.id",
        sets!(),
        " ORDER BY d.status, d.id"
    ),
);

const TENANT: Stmt = sql!(
    "SELECT tenant_id, limits, accept, flag_day, flag_count, valid_from, usage_days,
        version FROM auth_tenants WHERE tenant_id = $1"
);

const SEEN: Stmt = sql!(
    "SELECT device_id, at FROM auth_seen WHERE tenant_id = $1 AND device_id @in($2)
        ORDER BY device_id"
);

const RECORD: Stmt = sql!(
    "INSERT INTO auth_seen (tenant_id, device_id, at) @rows($1)
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET at = excluded.at
        WHERE auth_seen.at < excluded.at"
);

const FORGET: Stmt = sql!("DELETE FROM auth_seen WHERE tenant_id = $1 AND device_id = $2");

const READS: &[Stmt] = &[DEVICE, BY_IDENTITY, BY_SET, WALK, TENANT, SEEN, RECORD, FORGET];

/// Every statement of the area; of those made at run time, one of each form.
pub(super) fn statements() -> Vec<Stmt> {
    let forms = filters().into_iter();
    let dynamic = forms.flat_map(|(_, filter)| {
        let tenant = TenantId::default();
        let (page, count) = (page(&tenant, &filter, 0, 1), filter_of(&tenant, &filter));
        [page.0, count.count().0]
    });
    let fixed = READS.iter().chain(write::STATEMENTS).cloned();
    fixed.chain(dynamic).collect()
}

/// A filter of each form, with its name.
pub(super) fn filters() -> Vec<(&'static str, DeviceFilter)> {
    use mender_core::auth::Status::{Accepted, Pending};
    let groups = |n: usize| Some((0..n).map(|n| format!("g{n}")).collect());
    let filter =
        |statuses: &[_], groups, ids| DeviceFilter { statuses: statuses.to_vec(), groups, ids };
    let ids = "d1".parse().map(|id| vec![id]).ok();
    vec![
        ("all", filter(&[], None, None)),
        ("status", filter(&[Accepted], None, None)),
        ("statuses", filter(&[Accepted, Pending], None, None)),
        ("group", filter(&[], groups(1), None)),
        ("groups", filter(&[Accepted], groups(2), None)),
        ("many groups", filter(&[Accepted], groups(50), None)),
        ("ids", filter(&[], None, ids.clone())),
        ("everything", filter(&[Accepted], groups(1), ids)),
    ]
}

fn filter_of(tenant: &TenantId, wanted: &DeviceFilter) -> Filter {
    let mut filter = Filter::new("auth_devices", "status, id", tenant);
    if !wanted.statuses.is_empty() {
        let names = wanted.statuses.iter().map(|s| s.as_str().to_owned());
        filter = filter.any("status", names.collect());
    }
    if let Some(groups) = &wanted.groups {
        // An empty name stands for no group in the table.
        let groups = groups.iter().filter(|group| !group.is_empty());
        filter = filter.any("group_name", groups.cloned().collect());
    }
    if let Some(ids) = &wanted.ids {
        filter = filter.ids("id", ids.iter().map(ToString::to_string).collect());
    }
    filter
}

fn page(tenant: &TenantId, filter: &DeviceFilter, skip: u64, limit: usize) -> Query {
    let (keys, vals) = filter_of(tenant, filter).page(skip, limit);
    (Stmt::dynamic([PAGE.0, &keys, PAGE.1].concat()), vals)
}

/// The latest contact of each device, by key: PostgreSQL refuses to write a row twice in one
/// statement, and two callers lock rows in one order.
fn latest(contacts: &[Seen]) -> Vec<Vec<Val>> {
    let mut latest = BTreeMap::new();
    for Seen { tenant, device, at } in contacts {
        let known = latest.entry((tenant, device)).or_insert(*at);
        *known = (*known).max(*at);
    }
    let row =
        |((tenant, device), at): ((&TenantId, &DeviceId), Time)| vals![tenant, device.as_str(), at];
    latest.into_iter().map(row).collect()
}

impl SqlStore {
    async fn one_device(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Option<Device>> {
        Ok(devices(&self.sql.read(stmt, vals).await?)?.pop())
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn device(&self, tenant: &TenantId, id: &DeviceId) -> StoreResult<Option<Device>> {
        self.one_device(DEVICE, vals![tenant, id.as_str()]).await
    }

    async fn device_by_identity(
        &self,
        tenant: &TenantId,
        hash: &str,
    ) -> StoreResult<Option<Device>> {
        self.one_device(BY_IDENTITY, vals![tenant, hash]).await
    }

    async fn device_of_set(
        &self,
        tenant: &TenantId,
        set: &AuthSetId,
    ) -> StoreResult<Option<Device>> {
        self.one_device(BY_SET, vals![tenant, set.as_str()]).await
    }

    async fn devices(
        &self,
        tenant: &TenantId,
        filter: &DeviceFilter,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        if filter_of(tenant, filter).is_nothing() {
            return Ok(Vec::new());
        }
        let (stmt, vals) = page(tenant, filter, skip, limit);
        devices(&self.sql.read(stmt, vals).await?)
    }

    async fn count_devices(&self, tenant: &TenantId, filter: &DeviceFilter) -> StoreResult<u64> {
        let filter = filter_of(tenant, filter);
        if filter.is_nothing() {
            return Ok(0);
        }
        let (stmt, vals) = filter.count();
        let row = self.sql.read_one(stmt, vals).await?;
        Ok(row.map_or(Ok(0), |row| row.int(0))?.unsigned_abs())
    }

    async fn walk_devices(
        &self,
        tenant: &TenantId,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        // No id is empty.
        let after = after.map_or("", DeviceId::as_str);
        devices(&self.sql.read(WALK, vals![tenant, after, limit]).await?)
    }

    async fn commit_device(&self, tenant: &TenantId, commit: Stamped<Device>) -> StoreResult<()> {
        let batch = write::device(tenant, &commit);
        self.sql.run(batch).await.map(drop)
    }

    async fn auth_tenant(&self, tenant: &TenantId) -> StoreResult<Option<AuthTenant>> {
        let row = self.sql.read_one(TENANT, vals![tenant]).await?;
        row.as_ref().map(auth_tenant).transpose()
    }

    async fn commit_auth_tenant(
        &self,
        tenant: &TenantId,
        commit: Stamped<AuthTenant>,
    ) -> StoreResult<()> {
        let batch = write::tenant(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn seen(
        &self,
        tenant: &TenantId,
        ids: &[DeviceId],
    ) -> StoreResult<Vec<(DeviceId, Time)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows = self.sql.read(SEEN, vals![tenant, ids]).await?;
        rows.iter().map(|row| Ok((row.parse("device_id")?, row.time("at")?))).collect()
    }

    async fn record_seen(
        &self,
        contacts: &[Seen],
        new: &[Event],
        lease_until: Time,
    ) -> StoreResult<()> {
        if contacts.is_empty() {
            return Ok(());
        }
        let batch = Batch::of(RECORD, vals![latest(contacts)]);
        let mut batch = events::append(batch, new, lease_until);
        if let Some((check, vals)) = events::trace_of(new) {
            batch = batch.check(check, vals);
        }
        self.sql.run(batch).await.map(drop)
    }

    async fn forget_seen(&self, tenant: &TenantId, id: &DeviceId) -> StoreResult<()> {
        let batch = Batch::of(FORGET, vals![tenant, id.as_str()]);
        self.sql.run(batch).await.map(drop)
    }
}
