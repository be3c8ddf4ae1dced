//! From rows to what they hold.

use mender_core::{
    StoreResult,
    inventory::{Device, Filter, Place},
};

use crate::sql::value::Row;

pub(super) fn device(row: &Row) -> StoreResult<Device> {
    Ok(Device {
        id: row.parse("id")?,
        place: Place(row.int("place")?),
        attributes: row.json("attributes")?,
        revision: row.int("revision")?,
        etag: row.opt_text("etag")?.map(str::to_owned),
        identities: row.json("identities")?,
        version: row.version("version")?,
    })
}

pub(super) fn devices(rows: &[Row]) -> StoreResult<Vec<Device>> {
    rows.iter().map(device).collect()
}

pub(super) fn filter(row: &Row) -> StoreResult<Filter> {
    Ok(Filter {
        id: row.parse("id")?,
        name: row.text("name")?.to_owned(),
        terms: row.json("terms")?,
        version: row.version("version")?,
    })
}
