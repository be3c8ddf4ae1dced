//! Conditions that depend on what is asked. Values are pushed and bound, never written.

use super::{facade::Query, facade::Stmt, value::Val};

/// The most index ranges that one statement merges; more are read together and sorted.
const RANGES: usize = 16;

/// Rows of one table and tenant, by conditions that lists of values make.
///
/// `key` names the columns of the result, which are the order as well; an index has the tenant,
/// the columns of the conditions and then the key. A merge of such ranges is in order without
/// sorting, so that a page costs what it shows and passes over.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    table: &'static str,
    /// The columns of the result, after the tenant's.
    key: &'static str,
    vals: Vec<Val>,
    lists: Vec<(&'static str, Vec<String>)>,
    /// A condition by the column that is unique within the tenant.
    ids: Option<(&'static str, Vec<String>)>,
}

impl Filter {
    /// All rows of the tenant.
    pub(super) fn new(table: &'static str, key: &'static str, tenant: impl Into<Val>) -> Self {
        Self { table, key, vals: vec![tenant.into()], lists: Vec::new(), ids: None }
    }

    /// Only those with one of these values in the column.
    pub(super) fn any(mut self, column: &'static str, mut values: Vec<String>) -> Self {
        values.sort();
        values.dedup();
        self.lists.push((column, values));
        self
    }

    /// Only those with one of these values in the column that is unique within the tenant.
    pub(super) fn ids(mut self, column: &'static str, ids: Vec<String>) -> Self {
        self.ids = Some((column, ids));
        self
    }

    /// Tells whether no row can fit.
    pub(super) fn is_nothing(&self) -> bool {
        let ids = self.ids.as_ref().map(|(_, ids)| ids);
        let lists = self.lists.iter().map(|(_, values)| values);
        lists.chain(ids).any(Vec::is_empty)
    }

    fn push(&mut self, val: impl Into<Val>) -> usize {
        self.vals.push(val.into());
        self.vals.len()
    }

    /// Writes one condition for all rows.
    fn together(&mut self) -> String {
        let mut text = format!("FROM {} WHERE tenant_id = $1", self.table);
        for (column, values) in self.lists.clone() {
            let n = self.push(values);
            text.push_str(&format!(" AND {column} @in(${n})"));
        }
        if let Some((column, ids)) = self.ids.clone() {
            let n = self.push(ids);
            text.push_str(&format!(" AND {column} @in(${n})"));
        }
        text
    }

    /// Writes one range of an index for each combination of values.
    fn ranges(&mut self) -> String {
        let select =
            format!("SELECT tenant_id, {} FROM {} WHERE tenant_id = $1", self.key, self.table);
        let mut ranges = vec![select];
        for (column, values) in self.lists.clone() {
            let numbers: Vec<usize> = values.into_iter().map(|v| self.push(v)).collect();
            ranges = ranges
                .iter()
                .flat_map(|range| {
                    let with = move |n: &usize| format!("{range} AND {column} = ${n}");
                    numbers.iter().map(with)
                })
                .collect();
        }
        ranges.join(" UNION ALL ")
    }

    /// Writes the query for the keys of a page in order, and its parameters.
    pub(super) fn page(mut self, skip: u64, limit: usize) -> (String, Vec<Val>) {
        let count: usize = self.lists.iter().map(|(_, values)| values.len()).product();
        let mut text = if self.ids.is_none() && count <= RANGES {
            self.ranges()
        } else {
            let rows = self.together();
            format!("SELECT tenant_id, {} {rows}", self.key)
        };
        let limit = self.push(limit);
        let skip = self.push(i64::try_from(skip).unwrap_or(i64::MAX));
        let key = self.key;
        text.push_str(&format!(" ORDER BY {key} LIMIT ${limit} OFFSET ${skip}"));
        (text, self.vals)
    }

    /// Returns the query that counts the rows.
    pub(super) fn count(mut self) -> Query {
        let text = format!("SELECT COUNT(*) {}", self.together());
        (Stmt::dynamic(text), self.vals)
    }
}
