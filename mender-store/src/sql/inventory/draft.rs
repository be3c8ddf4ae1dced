//! Statements that depend on what is searched for. Values are pushed and bound, never written.

use mender_core::{
    DeviceId, TenantId,
    index::{Clause, Span},
    inventory::{Search, entries},
};

use crate::sql::{
    facade::{Query, Stmt},
    value::Val,
};

/// The most texts of a clause that are each looked up for a device; of more, all texts of the
/// device are compared with them.
const FEW_POINTS: usize = 8;

/// The most texts whose places are gone through side by side.
const MERGED: usize = 8;

/// The most texts of one clause whose devices are gone through side by side.
const UNITED: usize = 50;

/// What devices are found by, and the column of the texts.
#[derive(Clone, Copy)]
pub(super) enum Index {
    Entries,
    Words,
}

impl Index {
    fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Entries => ("inventory_entries", "entry"),
            Self::Words => ("inventory_words", "word"),
        }
    }
}

/// Keeps databases from making a join of a condition, which would read whole ranges for the sake
/// of one page.
const FOR_EACH: &str = " LIMIT 1 OFFSET 0";

/// Where the places of a search come from; what else is asked is looked up for each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lead {
    /// All devices of the tenant, by place.
    All,
    /// The devices with the wanted ids.
    Ids,
    /// The devices with one of the wanted words, each with the number of its words.
    Words,
    /// The devices for which this clause holds, which has no exceptions. Where it is one text
    /// they come by place.
    Clause(usize),
}

/// Tells whether it holds for the devices with one text, and no others.
pub(super) fn is_point(clause: &Clause) -> bool {
    matches!(clause.some.as_slice(), [Span::At(_)]) && clause.none.is_none()
}

/// Tells whether it asks for devices with two or more texts, and nothing else: the places of each
/// text are in order, so that one can go through all of them side by side.
pub(super) fn is_mergeable(search: &Search) -> bool {
    let is_more = search.ids.is_some() || !search.words.is_empty();
    !is_more && (2..=MERGED).contains(&search.all.len()) && search.all.iter().all(is_point)
}

/// Tells whether it holds for the devices with one of a few texts, and no others.
pub(super) fn is_unitable(clause: &Clause) -> bool {
    let is_few = (1..=UNITED).contains(&clause.some.len());
    let is_text = |span: &Span| matches!(span, Span::At(_));
    is_few && clause.none.is_none() && clause.some.iter().all(is_text)
}

/// Tells whether it is one range, or texts alone, and all are of one attribute.
fn is_of_one(spans: &[Span]) -> bool {
    let prefix = |text: &str| text.get(..entries::PREFIX).map(str::to_owned);
    match spans {
        [Span::Within { from, to }] => prefix(from).is_some() && prefix(from) == prefix(to),
        _ => spans.windows(2).all(|two| match two {
            [Span::At(one), Span::At(other)] => prefix(one) == prefix(other),
            _ => false,
        }),
    }
}

fn texts(ids: &[DeviceId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// The spans of these texts.
pub(super) fn points(texts: &[String]) -> Vec<Span> {
    texts.iter().cloned().map(Span::At).collect()
}

/// A statement in the making. Its first parameter is the tenant.
pub(super) struct Draft {
    vals: Vec<Val>,
}

impl Draft {
    pub(super) fn new(tenant: &TenantId) -> Self {
        Self { vals: vec![tenant.into()] }
    }

    /// Binds a value; returns its number.
    pub(super) fn push(&mut self, val: impl Into<Val>) -> usize {
        self.vals.push(val.into());
        self.vals.len()
    }

    pub(super) fn finish(self, text: String) -> Query {
        (Stmt::dynamic(text), self.vals)
    }

    /// Finishes a statement that differs.
    pub(super) fn finish_each(self, sqlite: String, postgres: String) -> Query {
        (Stmt::dynamic_each(sqlite, postgres), self.vals)
    }

    /// Finishes a statement for SQLite beside one with the same values for PostgreSQL, which may
    /// join what it likes.
    pub(super) fn finish_beside(self, text: String, (other, vals): Query) -> Query {
        debug_assert_eq!(self.vals, vals);
        let other = other.texts().1.replace(FOR_EACH, "");
        (Stmt::dynamic_each(text, other), self.vals)
    }

    /// Finishes a statement that looks at all that fits: PostgreSQL may join what it likes.
    pub(super) fn finish_whole(self, text: String) -> Query {
        let joined = text.replace(FOR_EACH, "");
        (Stmt::dynamic_each(text, joined), self.vals)
    }

    /// Writes what a page ends with.
    pub(super) fn limit(&mut self, skip: u64, limit: usize) -> String {
        let limit = self.push(limit);
        if skip == 0 {
            return format!(" LIMIT ${limit}");
        }
        // Nothing is that far, and one can still add to it.
        let skip = self.push(i64::try_from(skip).unwrap_or(i64::MAX).min(i64::MAX / 2));
        format!(" LIMIT ${limit} OFFSET ${skip}")
    }

    /// Writes a condition on a column for each range of texts; together they are the spans.
    pub(super) fn ranges(&mut self, column: &str, spans: &[Span]) -> Vec<String> {
        let mut points = Vec::new();
        let mut ranges = Vec::new();
        for span in spans {
            match span {
                Span::At(text) => points.push(text.clone()),
                Span::Within { from, to } => {
                    let (from, to) = (self.push(from), self.push(to));
                    ranges.push(format!("{column} >= ${from} AND {column} < ${to}"));
                }
            }
        }
        match points.len() {
            0 => {}
            1 => {
                let n = self.push(points.remove(0));
                ranges.push(format!("{column} = ${n}"));
            }
            _ => {
                let n = self.push(points);
                ranges.push(format!("{column} @in(${n})"));
            }
        }
        ranges
    }

    /// Writes the condition that the device of a place has a text in one of the spans.
    fn has(&mut self, index: Index, spans: &[Span]) -> Option<String> {
        let (table, column) = index.table();
        // What one text is looked up in is small and in the order of places; the texts of a
        // device lie together only with each other.
        let points = spans.iter().filter(|span| matches!(span, Span::At(_))).count();
        let by = match index {
            Index::Entries if points <= FEW_POINTS => "@index(inventory_entries_entry) ",
            _ => "",
        };
        let exists = |range: String| {
            let by = if range.contains(" AND ") { "" } else { by };
            format!(
                "EXISTS (SELECT 1 FROM {table} AS e {by}WHERE e.tenant_id = $1 \
                 AND e.place = l.place AND {range}{FOR_EACH})"
            )
        };
        let ranges = self.ranges(&format!("e.{column}"), spans);
        let all: Vec<String> = ranges.into_iter().map(exists).collect();
        (!all.is_empty()).then(|| all.join(" OR "))
    }

    /// Writes the condition that a clause holds; `None`: it always does.
    fn holds(&mut self, clause: &Clause) -> Option<String> {
        // Every value that is bound is used.
        if clause.none.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        let some = self.has(Index::Entries, &clause.some);
        let none = clause.none.as_deref().and_then(|none| self.has(Index::Entries, none));
        Some(match (some, none) {
            (None, None) => "1 = 0".into(),
            (Some(some), None) => format!("({some})"),
            (None, Some(none)) => format!("NOT ({none})"),
            (Some(some), Some(none)) => format!("({some} OR NOT ({none}))"),
        })
    }

    /// Writes the union of the ranges of an index, each device once where `is_once`.
    pub(super) fn union(&mut self, index: Index, spans: &[Span], is_once: bool) -> String {
        let (table, column) = index.table();
        if matches!(index, Index::Entries) && is_once && is_of_one(spans) {
            return self.once(spans);
        }
        let ranges = self.ranges(&format!("e.{column}"), spans);
        let distinct = if is_once && ranges.len() < 2 { "DISTINCT " } else { "" };
        let select = |range: &String| {
            format!("SELECT {distinct}e.place FROM {table} AS e WHERE e.tenant_id = $1 AND {range}")
        };
        let all: Vec<String> = ranges.iter().map(select).collect();
        all.join(if is_once { " UNION " } else { " UNION ALL " })
    }

    /// Writes the places of texts of one attribute, each once. A device has at most one value that
    /// is both the first and the last: only the others must be told apart, which are few.
    fn once(&mut self, spans: &[Span]) -> String {
        let range = self.ranges("e.entry", spans).concat();
        let other = range.replace("e.entry", "o.entry");
        let of = "FROM inventory_entries AS e @index(inventory_entries_entry) \
                  WHERE e.tenant_id = $1";
        format!(
            "SELECT e.place {of} AND {range} AND e.edge = 3 UNION ALL \
             SELECT DISTINCT e.place {of} AND {range} AND e.edge <> 3 AND NOT EXISTS (\
             SELECT 1 FROM inventory_entries AS o WHERE o.tenant_id = $1 AND o.place = e.place \
             AND {other} AND o.edge = 3{FOR_EACH})"
        )
    }

    /// Writes where places come from, as `l`, with the first conditions.
    fn lead(&mut self, search: &Search, lead: Lead) -> (String, Vec<String>) {
        let devices = |condition: Vec<String>| {
            let tenant = "l.tenant_id = $1".to_owned();
            let all = std::iter::once(tenant).chain(condition);
            ("inventory_devices AS l".to_owned(), all.collect())
        };
        match lead {
            Lead::All => devices(vec![]),
            Lead::Ids => {
                let n = self.push(texts(search.ids.as_deref().unwrap_or_default()));
                devices(vec![format!("l.id @in(${n})")])
            }
            Lead::Words => {
                let n = self.push(search.words.clone());
                let words = format!(
                    "(SELECT w.place, COUNT(*) AS words FROM inventory_words AS w \
                     WHERE w.tenant_id = $1 AND w.word @in(${n}) GROUP BY w.place) AS l"
                );
                (words, vec![])
            }
            Lead::Clause(at) if is_point(&search.all[at]) => {
                let mut all = vec!["l.tenant_id = $1".to_owned()];
                all.extend(self.ranges("l.entry", &search.all[at].some));
                ("inventory_entries AS l".into(), all)
            }
            Lead::Clause(at) => {
                let union = self.union(Index::Entries, &search.all[at].some, true);
                (format!("({union}) AS l"), vec![])
            }
        }
    }

    /// Writes the conditions that `lead` does not see to.
    pub(super) fn others(&mut self, search: &Search, lead: Option<Lead>) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(ids) = search.ids.as_ref().filter(|_| lead != Some(Lead::Ids)) {
            let n = self.push(texts(ids));
            all.push(format!(
                "EXISTS (SELECT 1 FROM inventory_devices AS e WHERE e.tenant_id = $1 \
                 AND e.place = l.place AND e.id @in(${n}){FOR_EACH})"
            ));
        }
        if !search.words.is_empty() && lead != Some(Lead::Words) {
            all.extend(
                self.has(Index::Words, &points(&search.words)).map(|words| format!("({words})")),
            );
        }
        for (at, clause) in search.all.iter().enumerate() {
            if lead != Some(Lead::Clause(at)) {
                all.extend(self.holds(clause));
            }
        }
        all
    }

    /// Writes `l WHERE …`: the places of a search, each once.
    pub(super) fn places(&mut self, search: &Search, lead: Lead, after: Option<i64>) -> String {
        let (from, mut all) = self.lead(search, lead);
        if let Some(after) = after {
            let n = self.push(after);
            all.push(format!("l.place > ${n}"));
        }
        all.extend(self.others(search, Some(lead)));
        if all.is_empty() { from } else { format!("{from} WHERE {}", all.join(" AND ")) }
    }

    /// Writes the places of a search for texts alone, for SQLite, which goes through all of them
    /// side by side; PostgreSQL does so by itself where it may join. Binds what [`Self::places`] binds for the clause at `first`.
    pub(super) fn merged(&mut self, search: &Search, first: usize, after: Option<i64>) -> String {
        let mut clauses: Vec<&Clause> = search.all.iter().collect();
        let first = clauses.remove(first);
        let mut all = self.ranges("l.entry", &first.some);
        let after = after.map(|after| format!(" AND l.place > ${}", self.push(after)));
        all.extend(clauses.iter().flat_map(|clause| self.ranges("l.entry", &clause.some)));
        let select = |range: &String| {
            format!(
                "SELECT l.place FROM inventory_entries AS l WHERE l.tenant_id = $1 AND {range}{}",
                after.as_deref().unwrap_or_default()
            )
        };
        let all: Vec<String> = all.iter().map(select).collect();
        all.join(" INTERSECT ") + " ORDER BY place"
    }

    /// Writes the places of a search, going through those of each text of a clause side by side,
    /// for SQLite and for PostgreSQL.
    pub(super) fn united(
        &mut self,
        search: &Search,
        at: usize,
        after: Option<i64>,
    ) -> (String, String) {
        let mut others: Vec<String> =
            after.map(|after| format!("l.place > ${}", self.push(after))).into_iter().collect();
        others.extend(self.others(search, Some(Lead::Clause(at))));
        let others: String = others.iter().map(|other| format!(" AND {other}")).collect();
        let mut arm = |span: &Span| {
            let range = self.ranges("l.entry", std::slice::from_ref(span)).concat();
            format!(
                "SELECT l.place FROM inventory_entries AS l \
                 WHERE l.tenant_id = $1 AND {range}{others}"
            )
        };
        let arms: Vec<String> = search.all[at].some.iter().map(&mut arm).collect();
        let sqlite = arms.join(" UNION ") + " ORDER BY place";
        let all = arms.join(" UNION ALL ");
        (sqlite, format!("SELECT DISTINCT u.place FROM ({all}) AS u ORDER BY u.place"))
    }

    /// Writes the condition that a place is one of the first so many after another one.
    pub(super) fn among(&mut self, count: usize, after: Option<i64>) -> String {
        let count = self.push(count);
        let after = after.map(|after| format!(" AND b.place > ${}", self.push(after)));
        format!(
            "l.place <= COALESCE((SELECT b.place FROM inventory_devices AS b \
             WHERE b.tenant_id = $1{} ORDER BY b.place LIMIT 1 OFFSET ${count}), {})",
            after.unwrap_or_default(),
            i64::MAX
        )
    }

    /// Writes `l WHERE …`: the texts in a span of the devices of a search.
    pub(super) fn texts(&mut self, search: &Search, within: &Span) -> String {
        let mut all = vec!["l.tenant_id = $1".to_owned()];
        all.extend(self.ranges("l.entry", std::slice::from_ref(within)));
        all.extend(self.others(search, None));
        format!("inventory_entries AS l WHERE {}", all.join(" AND "))
    }
}
