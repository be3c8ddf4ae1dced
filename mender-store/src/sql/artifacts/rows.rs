//! From rows to what they hold.

use mender_core::{
    StoreResult,
    artifacts::{Artifact, Release},
};

use crate::sql::value::Row;

pub(super) fn artifact(row: &Row) -> StoreResult<Artifact> {
    Ok(Artifact {
        id: row.parse("artifact_id")?,
        description: row.opt_text("description")?.map(str::to_owned),
        content: row.json("content")?,
        size: row.int("size")?.cast_unsigned(),
        verification: match row.is_null("verification")? {
            true => None,
            false => Some(row.json("verification")?),
        },
        stored: row.time("stored")?,
        modified: row.time("changed")?,
    })
}

fn release(row: &Row) -> StoreResult<Release> {
    Ok(Release {
        name: row.text("name")?.to_owned(),
        artifacts: Vec::new(),
        tags: row.json("tags")?,
        notes: row.text("notes")?.to_owned(),
        modified: row.time("modified")?,
        leaving: row.opt_time("leaving")?,
        version: row.version("version")?,
    })
}

/// Reads releases, whose rows are side by side.
pub(super) fn releases(rows: &[Row]) -> StoreResult<Vec<Release>> {
    let mut found: Vec<Release> = Vec::new();
    for row in rows {
        if found.last().map(|last| last.name.as_str()) != Some(row.text("name")?) {
            found.push(release(row)?);
        }
        if let Some(last) = found.last_mut()
            && !row.is_null("artifact_id")?
        {
            last.artifacts.push(artifact(row)?);
        }
    }
    Ok(found)
}
