//! Searches as the engine understands them.

use mender_core::{
    TenantId,
    index::{Clause, Sort, Span},
    inventory::Search,
};
use serde_json::{Value, json};

fn within(span: &Span) -> Option<Value> {
    match span {
        Span::At(_) => None,
        Span::Within { from, to } => Some(json!({ "range": { "x": { "gte": from, "lt": to } } })),
    }
}

/// What holds where a text lies in one of the spans.
fn any(spans: &[Span]) -> Vec<Value> {
    let point = |span: &Span| if let Span::At(at) = span { Some(at.clone()) } else { None };
    let points: Vec<String> = spans.iter().filter_map(point).collect();
    let mut found: Vec<Value> = spans.iter().filter_map(within).collect();
    if !points.is_empty() {
        found.push(json!({ "terms": { "x": points } }));
    }
    found
}

fn clause(Clause { some, none }: &Clause) -> Value {
    let mut should = any(some);
    if let Some(none) = none {
        should.push(json!({ "bool": { "must_not": any(none) } }));
    }
    if should.is_empty() {
        return json!({ "match_none": {} });
    }
    json!({ "bool": { "should": should, "minimum_should_match": 1 } })
}

fn matching(tenant: &TenantId, search: &Search) -> Value {
    let mut filter = vec![json!({ "term": { "t": tenant } })];
    filter.extend(search.all.iter().map(clause));
    if let Some(ids) = &search.ids {
        filter.push(json!({ "terms": { "d": ids } }));
    }
    let mut query = json!({ "filter": filter });
    if !search.words.is_empty() {
        // Each word counts alike, whatever its frequency: the primary store counts, too.
        let word = |word: &String| json!({ "constant_score": { "filter": { "term": { "x": word } }, "boost": 1.0 } });
        query["should"] = search.words.iter().map(word).collect();
        query["minimum_should_match"] = 1.into();
    }
    json!({ "bool": query })
}

fn order(search: &Search) -> Vec<Value> {
    let key = |Sort { prefix, descending }: &Sort| {
        let (field, order, missing) =
            if *descending { ("s.hi", "desc", "_last") } else { ("s.lo", "asc", "_first") };
        let nested = json!({ "path": "s", "filter": { "term": { "s.n": prefix } } });
        json!({ field: { "order": order, "missing": missing, "nested": nested } })
    };
    let mut keys: Vec<Value> = search.sorts.iter().map(key).collect();
    if !search.words.is_empty() {
        keys.push(json!({ "_score": "desc" }));
    }
    keys.push(json!({ "p": "asc" }));
    keys
}

/// A page of a search.
pub(super) fn page(tenant: &TenantId, search: &Search, skip: u64, limit: usize) -> Value {
    json!({
        "from": skip,
        "size": limit,
        "track_total_hits": true,
        "stored_fields": "_none_",
        "docvalue_fields": ["d"],
        "query": matching(tenant, search),
        "sort": order(search),
    })
}

/// The beginning that all texts of a span share.
fn beginning(span: &Span) -> String {
    match span {
        Span::At(text) => text.clone(),
        Span::Within { from, .. } if Span::beginning(from) == *span => from.clone(),
        Span::Within { from, to } => {
            let alike = from.chars().zip(to.chars()).take_while(|(a, b)| a == b);
            alike.map(|(a, _)| a).collect()
        }
    }
}

/// A pattern, in the engine's own language, for texts that begin with this.
fn pattern(beginning: &str) -> String {
    let escaped = beginning.chars().flat_map(|c| {
        let plain = c.is_ascii_alphanumeric() || !c.is_ascii();
        (!plain).then_some('\\').into_iter().chain([c])
    });
    escaped.chain(".*".chars()).collect()
}

/// The numbers of devices by their texts in a span.
pub(super) fn tally(tenant: &TenantId, search: &Search, within: &Span, limit: usize) -> Value {
    json!({
        "size": 0,
        "query": matching(tenant, search),
        "aggs": { "texts": { "terms": {
            "field": "x",
            "size": limit,
            "include": pattern(&beginning(within)),
            "order": [{ "_count": "desc" }, { "_key": "asc" }],
        } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_without_spans_holds_never_or_always() {
        assert_eq!(clause(&Clause::some(vec![])), json!({ "match_none": {} }));
        let always = clause(&Clause::none(vec![]));
        assert_eq!(always["bool"]["should"][0]["bool"]["must_not"], json!([]));
    }

    #[test]
    fn patterns_take_the_beginning_literally() {
        assert_eq!(pattern("a-b.c"), "a\\-b\\.c.*");
        assert_eq!(beginning(&Span::beginning("abc")), "abc");
        let span = Span::Within { from: "abc".into(), to: "abz".into() };
        assert_eq!(beginning(&span), "ab");
    }
}
