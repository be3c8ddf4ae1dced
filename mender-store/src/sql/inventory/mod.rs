//! Inventory: devices with their attributes, what they are found by, saved filters.
//!
//! Index texts and words are rows. A page comes from one range of an index, and what else is
//! asked is looked up for each device (`draft`); which range is best is measured (`count`).

mod count;
mod draft;
mod keys;
mod pages;
mod rows;
mod write;

use async_trait::async_trait;
use mender_core::{
    DeviceId, Stamped, StoreResult, TenantId,
    index::{Clause, Sort, Span},
    inventory::{Device, Filter, FilterId, Place, Search, Store, Tally, entries},
};

use crate::{
    SqlStore, sql,
    sql::facade::{Query, Stmt},
    vals,
};
use draft::{Lead, is_mergeable, is_unitable};
use keys::Walk;

const DEVICE: Stmt = sql!(
    "SELECT d.id, d.place, d.attributes, d.revision, d.etag, d.identities, d.version
        FROM inventory_devices AS d WHERE d.tenant_id = $1 AND d.id = $2"
);

/// Jumps from text to text: costs what it finds, whatever the number of devices.
const TEXTS: Stmt = sql!(
    "WITH RECURSIVE t (entry, n) AS (
        SELECT (SELECT MIN(e.entry) FROM inventory_entries AS e
            WHERE e.tenant_id = $1 AND e.entry >= $2 AND e.entry < $3), CAST(1 AS BIGINT)
        UNION ALL
        SELECT (SELECT MIN(e.entry) FROM inventory_entries AS e
            WHERE e.tenant_id = $1 AND e.entry > t.entry AND e.entry < $3), t.n + 1
        FROM t WHERE t.entry IS NOT NULL AND t.n < $4)
        SELECT entry FROM t WHERE entry IS NOT NULL ORDER BY n"
);

const FILTER: Stmt =
    sql!("SELECT id, name, terms, version FROM inventory_filters WHERE tenant_id = $1 AND id = $2");

const FILTERS: Stmt = sql!(
    "SELECT id, name, terms, version FROM inventory_filters WHERE tenant_id = $1
        ORDER BY name LIMIT $2 OFFSET $3"
);

const COUNT_FILTERS: Stmt =
    sql!("SELECT COUNT(*) AS n FROM inventory_filters WHERE tenant_id = $1");

const READS: &[Stmt] = &[DEVICE, TEXTS, FILTER, FILTERS, COUNT_FILTERS];

/// Every statement of the area; of those made at run time, one of each form.
pub(super) fn statements() -> Vec<Stmt> {
    let dynamic = searches().into_iter().flat_map(|(_, search)| forms(&search));
    let fixed = READS.iter().chain(write::STATEMENTS).cloned();
    fixed.chain(dynamic.map(|(stmt, _)| stmt)).collect()
}

/// The statements for a search.
pub(super) fn forms(search: &Search) -> Vec<Query> {
    let tenant = TenantId::default();
    let lead = match search {
        Search { ids: Some(_), .. } => Lead::Ids,
        Search { words, .. } if !words.is_empty() => Lead::Words,
        _ => search.all.iter().position(|c| c.none.is_none()).map_or(Lead::All, Lead::Clause),
    };
    let span = entries::any_value("aaaaaaaaaaa");
    let mut forms = vec![
        count::nearly(&tenant, search, &[Lead::All, lead], 1),
        count::count(&tenant, search, lead),
        count::tally(&tenant, search, Some(lead), &span, 1),
        count::tally(&tenant, search, None, &span, 1),
        pages::by_place(&tenant, search, lead, None, (0, 1)),
        pages::by_place(&tenant, search, Lead::All, Some(1), (1, 1)),
        pages::by_place_among(&tenant, search, 1, Some(1), (1, 1)),
        pages::by_place_among(&tenant, search, 1, None, (0, 1)),
    ];
    if let Some(at) = search.all.iter().position(is_unitable) {
        forms.push(pages::united_by_place(&tenant, search, at, None, (0, 1)));
        forms.push(pages::united_by_place(&tenant, search, at, Some(1), (1, 1)));
    }
    if is_mergeable(search) {
        forms.push(count::count_merged(&tenant, search, 1));
        forms.push(pages::merged_by_place(&tenant, search, 1, Some(1), (1, 1)));
    }
    if lead == Lead::Words {
        forms.push(pages::by_words(&tenant, search, (1, 1)));
    }
    if !search.sorts.is_empty() {
        forms.push(pages::collected(&tenant, search, lead, (0, 1)));
        for walk in [Walk::All, Walk::Wanted, Walk::WantedAndLists] {
            forms.push(pages::values(&tenant, search, walk, (0, 1)));
            let (one, several) = (Span::At("a".into()), (1, 1));
            forms.push(pages::with_values(&tenant, search, walk, &one, several));
            forms.push(pages::with_values(&tenant, search, walk, &span, (0, 2)));
            forms.push(count::count_valued(&tenant, search, walk, &span));
        }
    }
    forms
}

/// A search of each form, with its name.
pub(super) fn searches() -> Vec<(&'static str, Search)> {
    let at = |text: &str| Span::At(format!("aaaaaaaaaaa{text}"));
    let some = |spans: Vec<Span>| Clause::some(spans);
    let range = || entries::any_value("bbbbbbbbbbb");
    let sort = |prefix: &str, descending| Sort { prefix: prefix.to_owned(), descending };
    let sorted = |descending| Search {
        sorts: vec![sort("ccccccccccc", descending)],
        ..Search::all().and(some(vec![at("s1")]))
    };
    let ids = "d1".parse().map(|id| vec![id]).unwrap_or_default();
    let words = vec!["w~a".to_owned(), "w~b".to_owned()];
    let either = Clause { some: vec![at("s1")], none: Some(vec![range()]) };
    vec![
        ("all", Search::all()),
        ("point", Search::all().and(some(vec![at("s1")]))),
        ("both", Search::all().and(some(vec![at("s1")])).and(some(vec![at("s2")]))),
        ("points", Search::all().and(some(vec![at("s1"), at("s2")]))),
        ("range", Search::all().and(some(vec![range()]))),
        ("two", Search::all().and(some(vec![at("s1")])).and(some(vec![range(), at("n1")]))),
        ("none", Search::all().and(Clause::none(vec![at("s1"), at("s2"), range()]))),
        ("either", Search::all().and(either)),
        ("ids", Search::all().and(some(vec![at("s1")])).with_ids(ids)),
        ("words", Search { words, ..Search::all().and(some(vec![at("s1")])) }),
        ("ascending", sorted(false)),
        ("descending", sorted(true)),
        (
            "by what is asked",
            Search {
                sorts: vec![sort("aaaaaaaaaaa", true)],
                ..Search::all().and(some(vec![at("s1"), at("s2")]))
            },
        ),
        ("sorted", Search { sorts: vec![sort("ccccccccccc", true)], ..Search::all() }),
        (
            "twice sorted",
            Search { sorts: vec![sort("c", true), sort("d", false)], ..Search::all() },
        ),
    ]
}

/// The first text of a span after a text, and the first that does not belong to it.
fn bounds(within: &Span, after: Option<&str>) -> (String, String) {
    // U+0000 is in no text, so nothing comes between a text and this one.
    let next = |text: &str| format!("{text}\u{1}");
    let (from, to) = match within {
        Span::At(text) => (text.clone(), next(text)),
        Span::Within { from, to } => (from.clone(), to.clone()),
    };
    (after.map(next).map_or(from.clone(), |after| after.max(from)), to)
}

#[async_trait]
impl Store for SqlStore {
    async fn inventory_device(
        &self,
        tenant: &TenantId,
        id: &DeviceId,
    ) -> StoreResult<Option<Device>> {
        let row = self.sql.read_one(DEVICE, vals![tenant, id.as_str()]).await?;
        row.as_ref().map(rows::device).transpose()
    }

    async fn search_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        if search.is_nothing() || limit == 0 {
            return Ok(Vec::new());
        }
        let page = (skip, limit);
        if !search.words.is_empty() {
            self.page_by_words(tenant, search, page).await
        } else if search.sorts.is_empty() {
            self.page_by_place(tenant, search, None, page).await
        } else {
            self.page_by_values(tenant, search, page).await
        }
    }

    async fn walk_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        after: Option<Place>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        if search.is_nothing() || limit == 0 {
            return Ok(Vec::new());
        }
        self.page_by_place(tenant, search, after.map(|place| place.0), (0, limit)).await
    }

    async fn count_inventory(&self, tenant: &TenantId, search: &Search) -> StoreResult<u64> {
        if search.is_nothing() {
            return Ok(0);
        }
        self.counted(tenant, search).await
    }

    async fn tally_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: &Span,
        limit: usize,
    ) -> StoreResult<Tally> {
        if search.is_nothing() {
            return Ok(Tally::default());
        }
        self.tallied(tenant, search, within, limit).await
    }

    async fn inventory_texts(
        &self,
        tenant: &TenantId,
        within: &Span,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        let (from, to) = bounds(within, after);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rows = self.sql.read(TEXTS, vals![tenant, from, to, limit]).await?;
        rows.iter().map(|row| row.text("entry").map(str::to_owned)).collect()
    }

    async fn commit_inventory(
        &self,
        tenant: &TenantId,
        commit: Stamped<Device>,
    ) -> StoreResult<()> {
        let batch = write::device(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }

    async fn filter(&self, tenant: &TenantId, id: &FilterId) -> StoreResult<Option<Filter>> {
        let row = self.sql.read_one(FILTER, vals![tenant, id.as_str()]).await?;
        row.as_ref().map(rows::filter).transpose()
    }

    async fn filters(
        &self,
        tenant: &TenantId,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Filter>> {
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        let rows = self.sql.read(FILTERS, vals![tenant, limit, skip]).await?;
        rows.iter().map(rows::filter).collect()
    }

    async fn count_filters(&self, tenant: &TenantId) -> StoreResult<u64> {
        let row = self.sql.read_one(COUNT_FILTERS, vals![tenant]).await?;
        count::number(row.as_ref(), "n")
    }

    async fn commit_filter(&self, tenant: &TenantId, commit: Stamped<Filter>) -> StoreResult<()> {
        let batch = write::filter(tenant, &commit)?;
        self.sql.run(batch).await.map(drop)
    }
}
