use std::cmp::Ordering;

use super::{DeviceRecord, Field};
use crate::inventory::Value;

/// The first records of an order, of as many as pass by.
pub(in crate::search) struct Best<'a> {
    sort: &'a [(Field, bool)],
    limit: usize,
    kept: Vec<(Vec<Option<Value>>, u64, DeviceRecord)>,
    passed: u64,
}

impl<'a> Best<'a> {
    pub(in crate::search) fn new(sort: &'a [(Field, bool)], limit: usize) -> Self {
        Self { sort, limit, kept: Vec::new(), passed: 0 }
    }

    pub(in crate::search) fn push(&mut self, record: DeviceRecord) {
        self.passed += 1;
        if self.sort.is_empty() && self.kept.len() >= self.limit {
            return;
        }
        let keys = self.sort.iter().map(|(field, _)| record.value(*field)).collect();
        self.kept.push((keys, self.passed, record));
        if self.kept.len() >= 2 * self.limit.max(1) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        let sort = self.sort;
        self.kept.sort_unstable_by(|(a, a_place, _), (b, b_place, _)| {
            let keys = sort.iter().zip(a.iter().zip(b));
            let orders =
                keys.map(|((_, descending), (a, b))| order(a.as_ref(), b.as_ref(), *descending));
            orders.fold(Ordering::Equal, Ordering::then).then(a_place.cmp(b_place))
        });
        self.kept.truncate(self.limit);
    }

    /// Returns them in order, and how many passed by.
    pub(in crate::search) fn finish(mut self) -> (impl Iterator<Item = DeviceRecord>, u64) {
        self.prune();
        (self.kept.into_iter().map(|(_, _, record)| record), self.passed)
    }
}

/// Orders two values of a field; what is missing comes last, in both directions.
fn order(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.total_cmp(b),
        (Some(Value::Flag(a)), Some(Value::Flag(b))) => a.cmp(b),
        (Some(Value::Time(a)), Some(Value::Time(b))) => a.cmp(b),
        (Some(a), Some(b)) => a.texts().cmp(b.texts()),
        (a, b) => return b.is_some().cmp(&a.is_some()),
    };
    if descending { order.reverse() } else { order }
}
