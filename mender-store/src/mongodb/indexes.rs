//! Indexes, made where they are missing.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use mender_core::kit::Doc;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

use crate::mongodb::{
    link::{Failure, Link},
    probe::PROBE,
    query::place,
};

/// What this process found or made ready.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    kinds: RwLock<BTreeSet<&'static str>>,
    orders: RwLock<BTreeSet<(&'static str, &'static str)>>,
}

impl Indexes {
    /// Makes a kind ready.
    pub(super) async fn prepare(&self, link: &Link, kind: &'static str) -> Result<(), Failure> {
        let unique = IndexOptions::builder().unique(true).build();
        let models = [
            IndexModel::builder().keys(doc! { "t": 1, "uk": 1 }).options(unique).build(),
            index(doc! { "t": 1, "ix": 1, "_id": 1 }),
            index(doc! { "ob_at": 1 }),
        ];
        link.run(link.kind(kind).create_indexes(models)).await?;
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        kinds.insert(kind);
        Ok(())
    }

    /// Makes ready what the document needs and this process has not seen before.
    pub(super) async fn ensure(&self, link: &Link, doc: &Doc) -> Result<(), Failure> {
        let kind = doc.id.kind;
        if !read(&self.kinds, |kinds| kinds.contains(kind)) {
            self.prepare(link, kind).await?;
        }
        for (order, _) in &doc.orders {
            if read(&self.orders, |orders| orders.contains(&(kind, *order))) {
                continue;
            }
            let model = index(doc! { "t": 1, place(order): 1, "_id": 1 });
            link.run(link.kind(kind).create_index(model)).await?;
            let mut orders = self.orders.write().unwrap_or_else(PoisonError::into_inner);
            orders.insert((kind, order));
        }
        Ok(())
    }

    /// Returns the kinds that are ready.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let real = |kind: &&str| *kind != PROBE;
        read(&self.kinds, |kinds| kinds.iter().copied().filter(real).collect())
    }
}

fn index(keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).build()
}

fn read<T, R>(lock: &RwLock<T>, look: impl FnOnce(&T) -> R) -> R {
    look(&lock.read().unwrap_or_else(PoisonError::into_inner))
}
