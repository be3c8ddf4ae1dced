//! The values that devices are sorted by, and where those of a search can lie.
//!
//! A device with a single value fits a condition on the attribute where that value lies in certain
//! ranges: nothing else need be gone through. One with a list fits by any element, but is sorted
//! by the first or the last; it is known by the text of the list as a whole.

use mender_core::{
    index::{Clause, Sort, Span},
    inventory::{Search, entries},
};

use super::draft::Draft;

/// How many ranges of values are gone through side by side; more are one with gaps.
const RANGES: usize = 8;

/// How the values of the first sort key are gone through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Walk {
    /// All of them, in the order of the index.
    All,
    /// Those that can fit: no device has a list.
    Wanted,
    /// The same, and beside them the devices with lists, which are few.
    WantedAndLists,
}

/// All texts from the first on that come before the second.
type Range = (String, String);

fn range(span: &Span) -> Range {
    match span {
        // U+0000 is in no text, so nothing comes between a text and this one.
        Span::At(text) => (text.clone(), format!("{text}\u{1}")),
        Span::Within { from, to } => (from.clone(), to.clone()),
    }
}

fn is_one((from, to): &Range) -> bool {
    to.strip_prefix(from.as_str()) == Some("\u{1}")
}

fn span(range: &Range) -> Span {
    let (from, to) = range.clone();
    if is_one(range) { Span::At(from) } else { Span::Within { from, to } }
}

/// The same texts in order, none of them twice.
fn tidied(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort();
    let mut tidy: Vec<Range> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match tidy.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(std::mem::take(end)),
            _ => tidy.push((from, to)),
        }
    }
    tidy
}

/// What is in both, which are in order.
fn common(a: &[Range], b: &[Range]) -> Vec<Range> {
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        let (from, to) = ((&one.0).max(&other.0), (&one.1).min(&other.1));
        if from < to {
            found.push((from.clone(), to.clone()));
        }
        if one.1 < other.1 { i += 1 } else { j += 1 }
    }
    found
}

/// What of the first range is in none of the others, which are in order.
fn without((from, to): &Range, others: &[Range]) -> Vec<Range> {
    let starts = std::iter::once(from).chain(others.iter().map(|other| &other.1));
    let ends = others.iter().map(|other| &other.0).chain([to]);
    let gaps = starts.zip(ends).map(|(start, end)| (start.max(from), end.min(to)));
    gaps.filter(|(start, end)| start < end).map(|(s, e)| (s.clone(), e.clone())).collect()
}

/// Where a single value of an attribute can lie for the clause to hold; `None`: anywhere.
fn allowed(clause: &Clause, prefix: &str) -> Option<Vec<Range>> {
    let any = range(&entries::any_value(prefix));
    let mut ranges: Vec<Range> = clause.some.iter().map(range).collect();
    if !ranges.iter().all(|(from, to)| any.0 <= *from && *to <= any.1) {
        // Another attribute may do.
        return None;
    }
    if let Some(none) = &clause.none {
        ranges.extend(without(&any, &tidied(none.iter().map(range).collect())));
    }
    Some(tidied(ranges))
}

/// Tells whether it holds for every single value that [`allowed`] finds.
fn is_decided(clause: &Clause, prefix: &str) -> bool {
    clause.none.is_none() && allowed(clause, prefix).is_some()
}

/// Where the single values that fit can lie within a span.
fn wanted(search: &Search, Sort { prefix, .. }: &Sort, within: &Span) -> Vec<Range> {
    let clauses = search.all.iter().filter_map(|clause| allowed(clause, prefix));
    clauses.fold(vec![range(within)], |ranges, allowed| common(&ranges, &allowed))
}

/// Tells whether not all values of the first sort key can fit.
pub(super) fn is_narrow(search: &Search) -> bool {
    search.sorts.first().is_some_and(|sort| {
        let all = entries::any_element(&sort.prefix);
        wanted(search, sort, &all) != [range(&all)]
    })
}

/// Tells whether whatever fits has a value for the first sort key.
pub(super) fn is_always_there(search: &Search) -> bool {
    let Some(Sort { prefix, .. }) = search.sorts.first() else { return false };
    let (first, end) = range(&entries::any_element(prefix));
    let is_element = |span: &Span| {
        let (from, to) = range(span);
        first <= from && to <= end
    };
    search.all.iter().any(|clause| clause.none.is_none() && clause.some.iter().all(is_element))
}

/// The values that come before one in the order of a key.
pub(super) fn before(sort: &Sort, value: &str) -> Span {
    let (from, to) = range(&entries::any_element(&sort.prefix));
    if sort.descending {
        // No text comes between a text and this one.
        Span::Within { from: format!("{value}\u{1}"), to }
    } else {
        Span::Within { from, to: value.to_owned() }
    }
}

/// All texts between two, and both.
pub(super) fn between(one: &str, other: &str) -> Span {
    let (from, to) = if one < other { (one, other) } else { (other, one) };
    // No text comes between a text and this one.
    Span::Within { from: from.to_owned(), to: format!("{to}\u{1}") }
}

pub(super) fn direction(is_descending: bool) -> &'static str {
    if is_descending { " DESC" } else { "" }
}

impl Draft {
    /// Writes a condition on `l.entry` for each range, or one for all; tells whether nothing else
    /// fits it.
    fn each(&mut self, ranges: &[Range]) -> (Vec<String>, bool) {
        let spans: Vec<Span> = ranges.iter().map(span).collect();
        let mut condition = |span: Span| self.ranges("l.entry", &[span]).concat();
        match (ranges.first(), ranges.last()) {
            (Some((from, _)), Some((_, to))) if ranges.len() > RANGES => {
                let hull = condition(Span::Within { from: from.clone(), to: to.clone() });
                if !ranges.iter().all(is_one) {
                    return (vec![hull], false);
                }
                (vec![format!("{hull} AND {}", self.ranges("l.entry", &spans).concat())], true)
            }
            (Some(_), _) => (spans.into_iter().map(condition).collect(), true),
            _ => (vec!["1 = 0".to_owned()], true),
        }
    }

    /// Writes what is looked up for each device.
    fn looked_up(&mut self, search: &Search) -> String {
        self.others(search, None).iter().map(|other| format!(" AND {other}")).collect()
    }

    /// Writes `l WHERE …`, each place in one of them at most: the places of a search that have a
    /// value of the first sort key in the span, with the value as `l.entry`.
    pub(super) fn valued(&mut self, search: &Search, walk: Walk, within: &Span) -> Vec<String> {
        let sort = &search.sorts[0];
        let edges = if sort.descending { "2, 3" } else { "1, 3" };
        let ranges = wanted(search, sort, within);
        let is_narrow = ranges != [range(within)];
        let (singles, is_exact) =
            if is_narrow || walk != Walk::All { self.each(&ranges) } else { (vec![], false) };
        let mut all = Vec::new();
        if walk != Walk::All {
            let mut rest = search.clone();
            rest.all.retain(|clause| !(is_exact && is_decided(clause, &sort.prefix)));
            let others = self.looked_up(&rest);
            let single = |condition: &String| {
                format!(
                    "inventory_entries AS l WHERE l.tenant_id = $1 AND l.edge = 3 \
                     AND {condition}{others}"
                )
            };
            all.extend(singles.iter().map(single));
        }
        if walk == Walk::Wanted {
            return all;
        }
        let others = self.looked_up(search);
        let singles: Vec<String> = singles.iter().map(|one| format!("({one})")).collect();
        let singles = singles.join(" OR ");
        let within = self.ranges("l.entry", std::slice::from_ref(within)).concat();
        let values = format!("l.tenant_id = $1 AND l.edge IN ({edges}) AND {within}");
        all.push(if walk == Walk::WantedAndLists {
            let lists = entries::any_list(&sort.prefix);
            let lists = self.ranges("w.entry", &[lists]).concat();
            format!(
                "(SELECT w.place FROM inventory_entries AS w WHERE w.tenant_id = $1 AND {lists}) \
                 AS w CROSS JOIN inventory_entries AS l WHERE l.place = w.place AND {values} \
                 AND (l.edge <> 3 OR NOT ({singles})){others}"
            )
        } else if is_narrow {
            // Of a single value that is told without looking the device up.
            format!("inventory_entries AS l WHERE {values} AND (l.edge <> 3 OR {singles}){others}")
        } else {
            format!("inventory_entries AS l WHERE {values}{others}")
        });
        all
    }

    /// Writes the value that a device is sorted by, an empty text where it has none.
    fn key(&mut self, sort: &Sort) -> String {
        let ranges = self.ranges("e.entry", &[entries::any_element(&sort.prefix)]);
        let (most, edges) = if sort.descending { ("MAX", "2, 3") } else { ("MIN", "1, 3") };
        format!(
            "COALESCE((SELECT {most}(e.entry) FROM inventory_entries AS e WHERE e.tenant_id = $1 \
             AND e.place = l.place AND {} AND e.edge IN ({edges})), '')",
            ranges.concat()
        )
    }

    /// Writes the columns for sort keys, and the order by them.
    pub(super) fn keys(&mut self, sorts: &[Sort]) -> (String, String) {
        let (mut columns, mut order) = (String::new(), String::new());
        for (n, sort) in sorts.iter().enumerate() {
            columns.push_str(&format!(", {} AS k{n}", self.key(sort)));
            order.push_str(&format!("k{n}{}, ", direction(sort.descending)));
        }
        (columns, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "aaaaaaaaaaa";

    fn at(text: &str) -> Span {
        Span::At(format!("{PREFIX}{text}"))
    }

    fn within(from: &str, to: &str) -> Span {
        Span::Within { from: format!("{PREFIX}{from}"), to: format!("{PREFIX}{to}") }
    }

    fn found(clauses: Vec<Clause>) -> Vec<Span> {
        let sort = Sort { prefix: PREFIX.into(), descending: true };
        let search = Search { all: clauses, ..Search::all() };
        let ranges = wanted(&search, &sort, &entries::any_element(PREFIX));
        ranges.iter().map(span).collect()
    }

    #[test]
    fn single_values_lie_where_every_condition_lets_them() {
        let all = vec![within("n", "v")];
        let either = Clause::some(vec![at("s3"), at("s1"), at("s3")]);
        assert_eq!(found(vec![]), all);
        assert_eq!(found(vec![either.clone()]), [at("s1"), at("s3")]);
        assert_eq!(found(vec![either.clone(), Clause::some(vec![at("s3")])]), [at("s3")]);
        assert_eq!(found(vec![either.clone(), Clause::none(vec![at("s3")])]), [at("s1")]);
        assert_eq!(found(vec![either, Clause::some(vec![at("s2")])]), []);
        let ranges = vec![Clause::some(vec![within("n1", "o")]), Clause::none(vec![at("n5")])];
        assert_eq!(found(ranges), [within("n1", "n5"), within("n5\u{1}", "o")]);
        let missing = Clause { some: vec![at("s1")], none: Some(vec![within("", "v")]) };
        assert_eq!(found(vec![missing]), [at("s1")]);
    }

    #[test]
    fn conditions_on_other_attributes_say_nothing() {
        let other = Span::At("bbbbbbbbbbbs1".into());
        let all = vec![within("n", "v")];
        assert_eq!(found(vec![Clause::some(vec![other.clone()])]), all);
        assert_eq!(found(vec![Clause::some(vec![at("s1"), other.clone()])]), all);
        assert_eq!(found(vec![Clause::none(vec![other.clone()])]), all);
        let either = Clause { some: vec![at("s1")], none: Some(vec![other]) };
        assert_eq!(found(vec![either]), all);
        assert_eq!(found(vec![Clause::none(vec![])]), all);
    }

    #[test]
    fn lists_as_a_whole_are_no_values() {
        assert_eq!(found(vec![Clause::some(vec![at("a0123"), at("s1")])]), [at("s1")]);
        let search = |spans| Search {
            sorts: vec![Sort { prefix: PREFIX.into(), descending: true }],
            ..Search::all().and(Clause::some(spans))
        };
        assert!(is_always_there(&search(vec![at("s1"), within("n", "o")])));
        // An empty list has none.
        assert!(!is_always_there(&search(vec![at("a0123"), at("s1")])));
    }
}
