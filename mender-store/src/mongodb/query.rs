//! Plans as queries.

use mender_core::kit::Plan;
use mongodb::bson::{Document, doc};

use crate::mongodb::names::{key, tenant_end, tenant_prefix};

/// The fields of a document without its events.
pub(super) fn without_events() -> Document {
    doc! { "v": 1, "uk": 1, "body": 1, "ix": 1, "s": 1 }
}

/// Returns which documents a plan means; tombstones are never among them.
pub(super) fn filter(plan: &Plan) -> Document {
    let tenant = &plan.tenant;
    let mut filter = Document::new();
    let mut keys = Document::new();
    if let Some(ids) = &plan.ids {
        let ids: Vec<String> = ids.iter().map(|id| key(tenant, id)).collect();
        keys.insert("$in", ids);
    }
    if let Some(order) = plan.order {
        filter.insert("t", tenant.as_str());
        let mut places = Document::new();
        match &plan.after {
            Some(after) => places.insert("$gt", after),
            // Only documents that have a place in the order.
            None => places.insert("$gte", ""),
        };
        if let Some(until) = &plan.until {
            places.insert("$lte", until);
        }
        filter.insert(place(order), places);
    } else {
        match &plan.after {
            Some(after) => keys.insert("$gt", key(tenant, after)),
            None => keys.insert("$gte", tenant_prefix(tenant)),
        };
        match &plan.until {
            Some(until) => keys.insert("$lte", key(tenant, until)),
            None => keys.insert("$lt", tenant_end(tenant)),
        };
    }
    if !keys.is_empty() {
        filter.insert("_id", keys);
    }
    if !plan.all.is_empty() {
        filter.insert("t", tenant.as_str());
        let any = |texts: &Vec<String>| doc! { "ix": { "$in": texts } };
        filter.insert("$and", plan.all.iter().map(any).collect::<Vec<_>>());
    } else if plan.order.is_none() {
        // Tombstones have neither index texts nor places.
        filter.insert("body", doc! { "$exists": true });
    }
    filter
}

/// Returns which documents to count.
pub(super) fn count_filter(plan: &Plan) -> Document {
    let bare = plan.ids.is_none()
        && plan.all.is_empty()
        && plan.order.is_none()
        && plan.after.is_none()
        && plan.until.is_none();
    if bare {
        // Counted in the unique index alone: no document is read.
        doc! { "t": plan.tenant.as_str(), "uk": { "$gte": "=", "$lt": ">" } }
    } else {
        filter(plan)
    }
}

/// Returns how the documents of a plan are sorted.
pub(super) fn sort(plan: &Plan) -> Document {
    match plan.order {
        Some(order) => doc! { place(order): 1, "_id": 1 },
        None => doc! { "_id": 1 },
    }
}

/// Returns the field of the place in an order.
pub(super) fn place(order: &str) -> String {
    format!("s.{order}")
}
