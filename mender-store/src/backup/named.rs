//! Which blobs a database names: learnt from its rows as they pass.

use std::collections::BTreeSet;

use mender_core::{
    StoreError, StoreResult, TenantId,
    artifacts::{ArtifactId, ArtifactSettings, Retired, Upload, blob_of, raw_of},
    blob::BlobKey,
};
use serde::de::DeserializeOwned;

use crate::sql::{Chunk, Val};

/// A blob that the database names.
pub(super) struct Blob {
    tenant: TenantId,
    pub(super) key: BlobKey,
    /// Its size, where it must be there.
    pub(super) size: Option<u64>,
}

/// What the rows name.
#[derive(Default)]
pub(super) struct Named {
    blobs: Vec<Blob>,
    /// Tenants whose blobs are in a store of their own.
    elsewhere: BTreeSet<TenantId>,
}

/// The columns of a row by name.
struct Columns<'a>(&'a [String], &'a [Val]);

impl Columns<'_> {
    fn val(&self, name: &str) -> StoreResult<&Val> {
        let at = self.0.iter().position(|column| column == name);
        let lacks = || StoreError::corrupt("backup", format!("no column {name}"));
        at.and_then(|at| self.1.get(at)).ok_or_else(lacks)
    }

    fn text(&self, name: &str) -> StoreResult<&str> {
        match self.val(name)? {
            Val::Text(text) => Ok(text),
            _ => Err(StoreError::corrupt("backup", format!("no text in column {name}"))),
        }
    }

    fn tenant(&self) -> StoreResult<TenantId> {
        let corrupt = |e| StoreError::corrupt("backup", e);
        self.text("tenant_id")?.parse().map_err(corrupt)
    }

    fn body<T: DeserializeOwned>(&self) -> StoreResult<T> {
        let corrupt = |e| StoreError::corrupt("backup", e);
        serde_json::from_str(self.text("body")?).map_err(corrupt)
    }
}

impl Named {
    /// Looks at rows that pass.
    pub(super) fn note(&mut self, chunk: &Chunk) -> StoreResult<()> {
        for row in &chunk.rows {
            let row = Columns(&chunk.columns, row);
            match chunk.table.as_str() {
                "artifacts_artifacts" => self.artifact(&row)?,
                "artifacts_retired" => {
                    // Its bytes are there for a day.
                    let retired: Retired = row.body()?;
                    self.blob(row.tenant()?, &retired.artifact.id, None, blob_of)?;
                }
                "artifacts_uploads" => {
                    let upload: Upload = row.body()?;
                    self.blob(row.tenant()?, &upload.id, None, blob_of)?;
                    self.blob(row.tenant()?, &upload.id, None, raw_of)?;
                }
                "artifacts_settings" => {
                    let settings: ArtifactSettings = row.body()?;
                    if settings.storage.is_some() {
                        self.elsewhere.insert(row.tenant()?);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn artifact(&mut self, row: &Columns<'_>) -> StoreResult<()> {
        let corrupt = |e| StoreError::corrupt("backup", e);
        let id: ArtifactId = row.text("id")?.parse().map_err(corrupt)?;
        let Val::Int(size) = row.val("size")? else {
            return Err(StoreError::corrupt("backup", "an artifact without a size"));
        };
        self.blob(row.tenant()?, &id, Some(size.cast_unsigned()), blob_of)
    }

    fn blob(
        &mut self,
        tenant: TenantId,
        id: &ArtifactId,
        size: Option<u64>,
        key: fn(&TenantId, &ArtifactId) -> mender_core::Result<BlobKey>,
    ) -> StoreResult<()> {
        let corrupt = |e| StoreError::corrupt("backup", Box::new(e));
        let key = key(&tenant, id).map_err(corrupt)?;
        self.blobs.push(Blob { tenant, key, size });
        Ok(())
    }

    /// Returns the blobs of this server's place, each once.
    pub(super) fn blobs(mut self) -> Vec<Blob> {
        self.blobs.retain(|blob| !self.elsewhere.contains(&blob.tenant));
        // Of several names of one blob, that which tells its size comes first.
        self.blobs.sort_by(|a, b| (&a.key, b.size).cmp(&(&b.key, a.size)));
        self.blobs.dedup_by(|a, b| a.key == b.key);
        self.blobs
    }
}
