//! Inventory: devices by what they are found by, and saved filters.

use mender_core::{
    Time, Version,
    index::{Clause, Sort, Span},
    inventory::{
        AttributeName, Attributes, Device, Filter, Place, Search, Store as _, Value, entries,
    },
    testing::inventory_queries::{attribute_name, attributes, predicate, value},
};

use super::{Pair, text};

impl Pair {
    fn attributes(&self) -> Attributes {
        let mut all = Attributes::default();
        for new in attributes(&self.env) {
            all.set(&new.name, new.value.into());
        }
        all
    }

    fn place(&self) -> Place {
        Place(i64::try_from(self.below(12)).unwrap())
    }

    /// A device that is mostly as it was.
    fn inventory_device(&self, stored: Option<&Device>) -> Device {
        let id = stored.map_or_else(|| self.id().parse().unwrap(), |device| device.id.clone());
        let new = Device {
            id,
            place: self.place(),
            attributes: self.attributes(),
            revision: self.time().0,
            etag: self.maybe(2).then(|| self.id()),
            identities: self.some(2, Self::id),
            version: Version(self.time().0),
        };
        let Some(was) = stored.filter(|_| !self.maybe(8)) else {
            return new;
        };
        let mut to = Device { place: was.place, attributes: was.attributes.clone(), ..new };
        to.attributes.set(&AttributeName::inventory("one"), value(&self.env).into());
        if self.maybe(4) {
            to.attributes.remove(&attribute_name(&self.env));
        }
        to
    }

    pub(super) async fn commit_inventory(&self) {
        let (tenant, id) = (self.tenant(), self.id());
        let stored = both!(self, |s| s.inventory_device(&tenant, &id.parse().unwrap()).await);
        let stored = stored.unwrap();
        let mut new = self.inventory_device(stored.as_ref());
        new.id = id.parse().unwrap();
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_inventory(&tenant, commit.clone()).await);
    }

    fn span(&self) -> Span {
        let prefix = entries::prefix(&attribute_name(&self.env));
        let entry = || entries::entry(&prefix, &value(&self.env));
        match self.below(8) {
            0 => entries::any_value(&prefix),
            1 => entries::any_element(&prefix),
            2 => Span::Within { from: entry(), to: entry() },
            3 => Span::beginning(&format!("{prefix}s")),
            _ => Span::At(entry()),
        }
    }

    fn spans(&self, most: u64) -> Vec<Span> {
        (0..self.below(most)).map(|_| self.span()).collect()
    }

    fn clause(&self) -> Clause {
        match self.below(4) {
            0 => Clause::none(self.spans(4)),
            1 => Clause { some: self.spans(3), none: Some(self.spans(3)) },
            _ => Clause::some(self.spans(5)),
        }
    }

    fn search(&self) -> Search {
        let sort = |pair: &Self| Sort {
            prefix: entries::prefix(&attribute_name(&pair.env)),
            descending: pair.maybe(2),
        };
        let mut search = Search {
            all: (0..self.below(4)).map(|_| self.clause()).collect(),
            ids: self.maybe(6).then(|| self.some(4, |p| p.id().parse().unwrap())),
            words: vec![],
            sorts: vec![],
        };
        if self.maybe(4) {
            search.words = ["a", "lab", "gateway", "00"].map(entries::word).to_vec();
        } else {
            search.sorts = (0..self.below(3)).map(|_| sort(self)).collect();
        }
        search
    }

    pub(super) async fn read_inventory(&self) {
        let tenant = self.tenant();
        for _ in 0..6 {
            let (search, span) = (self.search(), self.span());
            let (skip, limit) = (self.below(4), self.pick(&[1, 2, 5, 100]));
            let after = self.maybe(2).then(|| self.place());
            let _ = both!(self, |s| s.search_inventory(&tenant, &search, skip, limit).await);
            let _ = both!(self, |s| s.walk_inventory(&tenant, &search, after, limit).await);
            let _ = both!(self, |s| s.count_inventory(&tenant, &search).await);
            let _ = both!(self, |s| s.tally_inventory(&tenant, &search, &span, limit).await);
            let text =
                entries::entry(&entries::prefix(&attribute_name(&self.env)), &Value::Time(Time(0)));
            let after = self.maybe(2).then_some(text.as_str());
            let _ = both!(self, |s| s.inventory_texts(&tenant, &span, after, limit).await);
        }
    }

    pub(super) async fn filters(&self) {
        let (tenant, id) = (self.tenant(), self.id());
        let stored = both!(self, |s| s.filter(&tenant, &id.parse().unwrap()).await).unwrap();
        let new = Filter {
            id: id.parse().unwrap(),
            name: format!("filter {}", self.below(5)),
            terms: self.some(3, |pair| predicate(&pair.env)),
            version: Version(self.time().0),
        };
        let commit = self.stamp(&tenant, self.change(stored, new));
        let _ = both!(self, |s| s.commit_filter(&tenant, commit.clone()).await);
        let skip = self.below(3);
        let _ = both!(self, |s| s.filters(&tenant, skip, 3).await);
        let _ = both!(self, |s| s.count_filters(&tenant).await);
    }
}
