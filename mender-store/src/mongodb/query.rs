//! Plans as queries.

use mender_core::{
    index::{Clause, Span},
    kit::Plan,
};
use mongodb::bson::{Document, doc};

use crate::mongodb::names::{key, tenant_end, tenant_prefix};

/// The fields of a document without its events.
pub(super) fn without_events() -> Document {
    doc! { "v": 1, "uk": 1, "body": 1, "ix": 1, "s": 1, "p": 1 }
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
    let clauses: Vec<Document> = plan.all.iter().filter_map(clause).collect();
    if !clauses.is_empty() {
        filter.insert("t", tenant.as_str());
        filter.insert("$and", clauses);
    }
    // Tombstones have neither index texts nor places.
    let is_asked_for_a_text = plan.all.iter().any(|clause| clause.none.is_none());
    if plan.order.is_none() && !is_asked_for_a_text {
        filter.insert("body", doc! { "$exists": true });
    }
    filter
}

/// Returns a condition as a query; `None`: it always holds.
fn clause(Clause { some, none }: &Clause) -> Option<Document> {
    let mut either = spans(some);
    match none.as_deref().map(spans) {
        None => {}
        Some(none) if none.is_empty() => return None,
        Some(none) => either.push(doc! { "$nor": none }),
    }
    Some(match either.len() {
        0 => never(),
        1 => either.remove(0),
        _ => doc! { "$or": either },
    })
}

fn never() -> Document {
    doc! { "ix": { "$in": [] } }
}

/// Returns queries that each find documents with a text in some of the spans, and together all.
fn spans(spans: &[Span]) -> Vec<Document> {
    let points = spans.iter().filter_map(|span| match span {
        Span::At(text) => Some(text.as_str()),
        Span::Within { .. } => None,
    });
    let points: Vec<&str> = points.collect();
    let ranges = spans.iter().filter_map(|span| match span {
        Span::Within { from, to } if from < to => {
            // Why: without `$elemMatch`, one text may lie above and another one below.
            Some(doc! { "ix": { "$elemMatch": { "$gte": from, "$lt": to } } })
        }
        _ => None,
    });
    let points = (!points.is_empty()).then(|| doc! { "ix": { "$in": points } });
    points.into_iter().chain(ranges).collect()
}

/// Returns the stages that count the documents of a plan by each of their texts in a span.
pub(super) fn tally(plan: &Plan, within: &Span) -> Vec<Document> {
    let texts = match within {
        Span::At(text) => doc! { "$eq": text },
        Span::Within { from, to } => doc! { "$gte": from, "$lt": to },
    };
    let unbounded = Plan { order: None, after: None, until: None, ..plan.clone() };
    vec![
        doc! { "$match": filter(&unbounded) },
        // Only documents with such a text are worth unwinding.
        doc! { "$match": spans(std::slice::from_ref(within)).pop().unwrap_or_else(never) },
        doc! { "$project": { "ix": 1 } },
        doc! { "$unwind": "$ix" },
        doc! { "$match": { "ix": texts } },
        doc! { "$group": { "_id": "$ix", "n": { "$sum": 1 } } },
        doc! { "$sort": { "_id": 1 } },
    ]
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
    let mut keys = Document::new();
    for (name, descending) in &plan.sorts {
        // The first key of a name decides already.
        if !keys.contains_key(sort_place(name)) {
            keys.insert(sort_place(name), if *descending { -1 } else { 1 });
        }
    }
    if let Some(order) = plan.order {
        keys.insert(place(order), 1);
    }
    keys.insert("_id", 1);
    keys
}

/// Returns the field of the place in an order.
pub(super) fn place(order: &str) -> String {
    format!("s.{order}")
}

/// Tells whether it is the field of a place under a name of the data's.
pub(super) fn is_sort_place(field: &str) -> bool {
    field.starts_with("p.")
}

/// Returns the field of the place under a name of the data's.
fn sort_place(name: &str) -> String {
    format!("p.{name}")
}
