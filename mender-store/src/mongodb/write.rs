//! Writes: one operation on one document, and what to do when its answer is lost.

use mender_core::{
    StoreError, StoreResult, Version,
    kit::{Expect, Put, Write},
};
use mongodb::bson::{doc, oid::ObjectId};

use crate::mongodb::{
    docs::MongoDocs,
    form,
    link::Failure,
    names::{key_of, unique},
};

/// How often a write is sent while its answers are lost.
const SENDINGS: usize = 3;

/// How often an insert looks again while tombstones come and go under it.
const LOOKS: usize = 16;

impl MongoDocs {
    /// Writes, and finds out after a lost answer what became of it.
    ///
    /// Sending again is safe: an update or delete applies to one version, which the first one
    /// takes away, and of two inserts the second finds the first.
    pub(super) async fn write_surely(&self, write: &Write) -> StoreResult<()> {
        if let Put::Doc(doc) = &write.put {
            self.indexes.ensure(&self.link, doc).await?;
        }
        // Why: not the id of the commit, which two writers of the kit's own documents may share.
        let token = ObjectId::new().to_hex();
        let mut lost = None;
        for _ in 0..SENDINGS {
            let failure = match self.send(write, &token).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            match (failure, lost.take()) {
                (Failure::Lost(source), _) => lost = Some(source),
                // It may be this very write that the later one met.
                (Failure::Conflict, Some(source)) => {
                    return match self.confirm(write, &token).await {
                        Ok(true) => Ok(()),
                        _ => Err(StoreError::Unavailable(source)),
                    };
                }
                (Failure::Failed(_), Some(source)) => return Err(StoreError::Unavailable(source)),
                (failure, _) => return Err(failure.into()),
            }
            match self.confirm(write, &token).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Failure::Lost(_)) => {}
                Err(_) => break,
            }
        }
        let unknown = || "MongoDB lost the answer to a write".into();
        Err(StoreError::Unavailable(lost.unwrap_or_else(unknown)))
    }

    /// Tells whether the last change of the document is this write.
    ///
    /// Asked by a write of its own: once that is confirmed by a majority, so is what it found.
    async fn confirm(&self, write: &Write, token: &str) -> Result<bool, Failure> {
        let id = write.put.id();
        let mine = doc! { "_id": key_of(id), "c": token };
        let touch = doc! { "$inc": { "r": 1_i64 } };
        let touched = self.link.run(self.link.kind(id.kind).update_one(mine, touch)).await?;
        Ok(touched.matched_count == 1)
    }

    async fn send(&self, write: &Write, token: &str) -> Result<(), Failure> {
        match write.expect {
            Expect::At(version) => self.change(write, version, token).await,
            Expect::Absent => self.create(write, token).await,
        }
    }

    async fn change(&self, write: &Write, version: Version, token: &str) -> Result<(), Failure> {
        let id = write.put.id();
        let collection = self.link.kind(id.kind);
        let was = doc! { "_id": key_of(id), "v": version.0 };
        if matches!(write.put, Put::Nothing { note: None, .. }) && write.events.is_empty() {
            let mut idle = was.clone();
            idle.insert("ob", doc! { "$size": 0 });
            if self.link.run(collection.delete_one(idle)).await?.deleted_count == 1 {
                return Ok(());
            }
        }
        let update = form::update(write, token)?;
        match self.link.run(collection.update_one(was, update)).await?.matched_count {
            0 => Err(Failure::Conflict),
            _ => Ok(()),
        }
    }

    async fn create(&self, write: &Write, token: &str) -> Result<(), Failure> {
        let id = write.put.id();
        let collection = self.link.kind(id.kind);
        let new = form::insert(write, token)?;
        for _ in 0..LOOKS {
            match self.link.run(collection.insert_one(&new)).await {
                Ok(_) => return Ok(()),
                Err(Failure::Duplicate) => {}
                Err(failure) => return Err(failure),
            }
            // Servers tell in different ways, or not at all, which index refused it.
            match self.stored(id).await? {
                Some(found) if !found.is_dead() => return Err(Failure::Conflict),
                Some(found) => {
                    let was = doc! { "_id": key_of(id), "r": found.revision()? };
                    let update = form::revive(write, token, &found)?;
                    let answer = self.link.run(collection.update_one(was, update)).await?;
                    if answer.matched_count == 1 {
                        return Ok(());
                    }
                }
                None => {
                    if let Put::Doc(doc) = &write.put {
                        let same = doc! {
                            "t": id.tenant.as_str(),
                            "uk": unique(&doc.unique),
                            "_id": { "$ne": key_of(id) },
                        };
                        if self.link.run(collection.find_one(same)).await?.is_some() {
                            return Err(Failure::Duplicate);
                        }
                    }
                }
            }
        }
        Err(Failure::Conflict)
    }
}
