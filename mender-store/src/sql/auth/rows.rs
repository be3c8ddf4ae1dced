//! From rows to what they hold.

use mender_core::{
    StoreError, StoreResult,
    auth::{AuthSet, AuthTenant, Device, ExternalId},
};

use crate::sql::value::Row;

/// Joins the rows of devices; those of one device lie together.
pub(super) fn devices(rows: &[Row]) -> StoreResult<Vec<Device>> {
    let same = |a: &Row, b: &Row| matches!((a.text("id"), b.text("id")), (Ok(a), Ok(b)) if a == b);
    rows.chunk_by(same).map(device).collect()
}

fn device(rows: &[Row]) -> StoreResult<Device> {
    let row = &rows[0];
    let mut sets = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.is_null("set_id")? {
            sets.push((row.int("position")?, set(row)?));
        }
    }
    sets.sort_by_key(|(position, _)| *position);
    let group = row.text("group_name")?;
    Ok(Device {
        id: row.parse("id")?,
        identity: row.name("identity")?,
        sets: sets.into_iter().map(|(_, set)| set).collect(),
        status: row.parse("status")?,
        tier: row.parse("tier")?,
        group: (!group.is_empty()).then(|| group.to_owned()),
        leaving: row.flag("leaving")?,
        provisioned: row.flag("provisioned")?,
        test: row.flag("test")?,
        external: external(row)?,
        from: row.int("valid_from")?,
        created: row.time("created_at")?,
        updated: row.time("updated_at")?,
        version: row.version("version")?,
    })
}

fn set(row: &Row) -> StoreResult<AuthSet> {
    Ok(AuthSet {
        id: row.parse("set_id")?,
        key: row.text("key")?.to_owned(),
        tier: row.parse("set_tier")?,
        status: row.parse("set_status")?,
        live: row.flag("live")?,
        from: row.int("set_from")?,
        created: row.time("set_created")?,
    })
}

fn external(row: &Row) -> StoreResult<Option<ExternalId>> {
    let Some(id) = row.opt_text("external_id")? else {
        return Ok(None);
    };
    Ok(Some(ExternalId {
        id: id.to_owned(),
        name: row.text("external_name")?.to_owned(),
        provider: row.text("external_provider")?.to_owned(),
    }))
}

pub(super) fn auth_tenant(row: &Row) -> StoreResult<AuthTenant> {
    let count = row.int("flag_count")?;
    let count = u32::try_from(count).map_err(|e| StoreError::corrupt("column flag_count", e))?;
    Ok(AuthTenant {
        tenant: row.parse("tenant_id")?,
        limits: row.json("limits")?,
        accept: row.json("accept")?,
        flag_changes: (row.int("flag_day")?, count),
        from: row.int("valid_from")?,
        usage: row.json("usage_days")?,
        version: row.version("version")?,
    })
}
