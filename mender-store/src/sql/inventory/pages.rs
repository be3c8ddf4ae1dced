//! Pages of devices in every order.

use std::sync::atomic::{AtomicBool, Ordering};

use mender_core::{
    StoreError, StoreResult, TenantId,
    index::{Clause, Sort, Span},
    inventory::{Device, Search, entries},
};

use super::{
    count::{MANY, count, count_valued, nearly, number},
    draft::{Draft, Lead, is_mergeable, is_point, is_unitable},
    keys::{Walk, before, between, direction, is_always_there, is_narrow},
    rows::devices,
};
use crate::{SqlStore, sql::facade::Query};

/// The most devices that are sorted for one page. Of fewer, all are looked at; of more, an index
/// gives them in order, and those that don't fit are passed over.
///
/// Tests sort next to nothing, so that they see both.
pub(super) const FEW: usize = if cfg!(test) { 3 } else { 4000 };

/// So many devices with lists are not sorted for one page.
const LISTS: usize = if cfg!(test) { 3 } else { 1000 };

/// Looking a device up costs as much as sorting so many.
const DEARER: usize = 4;

/// Fewer devices are always counted anew.
const LARGE: u64 = 10_000;

/// How a page by place is found.
enum Way {
    /// All come from there: in order, or few enough to be sorted.
    From(Lead),
    /// The places of all texts that are wanted are gone through side by side.
    Merged(usize),
    /// So are the places of the texts of a clause.
    United(usize),
    /// None of these: the first devices may do.
    Try,
}

pub(super) const COLUMNS: &str =
    "d.id, d.place, d.attributes, d.revision, d.etag, d.identities, d.version";

/// Writes the statement for the devices of places, which are a subquery `p` in this order.
fn devices_at(places: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM ({places}) AS p CROSS JOIN inventory_devices AS d \
         WHERE d.tenant_id = $1 AND d.place = p.place ORDER BY {order}"
    )
}

/// A page by place.
pub(super) fn by_place(
    tenant: &TenantId,
    search: &Search,
    lead: Lead,
    after: Option<i64>,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.places(search, lead, after);
    let limit = draft.limit(skip, limit);
    let places = format!("SELECT l.place FROM {places} ORDER BY l.place{limit}");
    // Only one text, or all devices, come by place.
    let is_ordered = match lead {
        Lead::All => true,
        Lead::Clause(at) => is_point(&search.all[at]),
        Lead::Ids | Lead::Words => false,
    };
    let few = if is_ordered { "" } else { " -- few: chosen where they are" };
    draft.finish(devices_at(&places, "p.place") + few)
}

/// A page by place of a search for texts alone, going through the places of all.
pub(super) fn merged_by_place(
    tenant: &TenantId,
    search: &Search,
    at: usize,
    after: Option<i64>,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.merged(search, at, after);
    let places = places + &draft.limit(skip, limit);
    let usual = by_place(tenant, search, Lead::Clause(at), after, (skip, limit));
    draft.finish_beside(devices_at(&places, "p.place"), usual)
}

/// A page by place, going through the places of each text of a clause side by side.
pub(super) fn united_by_place(
    tenant: &TenantId,
    search: &Search,
    at: usize,
    after: Option<i64>,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let (sqlite, postgres) = draft.united(search, at, after);
    let limit = draft.limit(skip, limit);
    let page = |places: String| devices_at(&(places + &limit), "p.place");
    draft.finish_each(page(sqlite), page(postgres))
}

/// The part of a page by place that is found among the first devices.
pub(super) fn by_place_among(
    tenant: &TenantId,
    search: &Search,
    among: usize,
    after: Option<i64>,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.places(search, Lead::All, after);
    let among = draft.among(among, after);
    let limit = draft.limit(skip, limit);
    let places = format!("SELECT l.place FROM {places} AND {among} ORDER BY l.place{limit}");
    draft.finish(devices_at(&places, "p.place"))
}

/// A page by the number of words.
pub(super) fn by_words(tenant: &TenantId, search: &Search, (skip, limit): (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.places(search, Lead::Words, None);
    let limit = draft.limit(skip, limit);
    let order = "words DESC, place";
    let places = format!("SELECT l.place, l.words FROM {places} ORDER BY l.{order}{limit}");
    let order = "p.words DESC, p.place -- few: all with such words are ranked";
    draft.finish(devices_at(&places, order))
}

/// A page in any order, of which all that fits is sorted.
pub(super) fn collected(
    tenant: &TenantId,
    search: &Search,
    lead: Lead,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let (columns, order) = draft.keys(&search.sorts);
    let places = draft.places(search, lead, None);
    let limit = draft.limit(skip, limit);
    let places = format!("SELECT l.place{columns} FROM {places} ORDER BY {order}l.place{limit}");
    draft.finish(devices_at(&places, &format!("{order}p.place -- few: chosen where they are")))
}

/// The values of a page that is sorted by the first key, each as often as it stands there.
pub(super) fn values(
    tenant: &TenantId,
    search: &Search,
    walk: Walk,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let Sort { prefix, descending } = &search.sorts[0];
    let valued = draft.valued(search, walk, &entries::any_element(prefix));
    let values: Vec<String> =
        valued.iter().map(|places| format!("SELECT l.entry FROM {places}")).collect();
    let page = draft.limit(skip, limit);
    let order = format!(" ORDER BY 1{}", direction(*descending));
    // SQLite goes through all side by side; PostgreSQL through each, as far as it may be needed.
    let sqlite = format!("{}{order}{page}", values.join(" UNION ALL "));
    if values.len() == 1 {
        return draft.finish(sqlite);
    }
    let most = page.replace(" OFFSET ", " + ");
    let each: Vec<String> =
        values.iter().map(|values| format!("({values}{order}{most})")).collect();
    let postgres = format!("{}{order}{page}", each.join(" UNION ALL "));
    draft.finish_each(sqlite, postgres)
}

/// The devices with a value of the first key in the span.
pub(super) fn with_values(
    tenant: &TenantId,
    search: &Search,
    walk: Walk,
    span: &Span,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let sort = &search.sorts[0];
    let (columns, rest) = draft.keys(&search.sorts[1..]);
    let valued = draft.valued(search, walk, span);
    let select = |places: &String| format!("SELECT l.place, l.entry{columns} FROM {places}");
    let places: Vec<String> = valued.iter().map(select).collect();
    let limit = draft.limit(skip, limit);
    // Of one value, the index gives them by place.
    let is_one = matches!(span, Span::At(_));
    let is_few = !is_one || !rest.is_empty() || walk == Walk::WantedAndLists;
    let direction = direction(sort.descending);
    let entry = if is_one { String::new() } else { format!("entry{direction}, ") };
    let places = format!("{} ORDER BY {entry}{rest}place{limit}", places.join(" UNION ALL "));
    let few = if is_few { " -- few: those of a page, or alike, or with lists" } else { "" };
    let order = format!("p.entry{direction}, {rest}p.place{few}");
    draft.finish(devices_at(&places, &order))
}

/// Only those devices that have this value for the first key, which does not sort them any more.
fn alike(search: &Search, walk: Walk, value: &str) -> Search {
    let mut alike = search.clone();
    let first = alike.sorts.remove(0);
    let is = Clause::some(vec![Span::At(value.to_owned())]);
    // What holds for this value need not be looked up.
    alike.all.retain(|clause| !clause.some.iter().any(|span| span.has(value)));
    alike.all.push(is);
    // Only what has a list may have another value that comes first.
    if walk == Walk::Wanted { alike } else { alike.and(Clause::none(vec![before(&first, value)])) }
}

/// Only those devices that have no value for the first key.
fn without_value(search: &Search) -> Search {
    let sorts = search.sorts[1..].to_vec();
    let none = Clause::none(vec![entries::any_element(&search.sorts[0].prefix)]);
    Search { sorts, ..search.clone().and(none) }
}

impl SqlStore {
    async fn devices_of(&self, (stmt, vals): Query) -> StoreResult<Vec<Device>> {
        devices(&self.sql.read(stmt, vals).await?)
    }

    /// Returns a page by place.
    pub(super) async fn page_by_place(
        &self,
        tenant: &TenantId,
        search: &Search,
        after: Option<i64>,
        page: (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        let query = match self.way_by_place(tenant, search).await? {
            Way::From(lead) => by_place(tenant, search, lead, after, page),
            Way::Merged(at) => merged_by_place(tenant, search, at, after, page),
            Way::United(at) => united_by_place(tenant, search, at, after, page),
            Way::Try => return self.tried_by_place(tenant, search, after, page).await,
        };
        self.devices_of(query).await
    }

    /// Looks at the first devices, as long as that costs less than to sort all that come into
    /// question, and then sorts them.
    async fn tried_by_place(
        &self,
        tenant: &TenantId,
        search: &Search,
        after: Option<i64>,
        page: (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        let first = async |count: usize| {
            let query = by_place_among(tenant, search, count / DEARER, after, page);
            let found = self.devices_of(query).await?;
            Ok::<_, StoreError>((found.len() == page.1).then_some(found))
        };
        // To count what comes into question costs too much where the first few devices do.
        if let Some(found) = first(FEW).await? {
            return Ok(found);
        }
        let (lead, count, _) = self.lead(tenant, search, MANY).await?;
        if let Some(found) = first(count).await? {
            return Ok(found);
        }
        self.devices_of(by_place(tenant, search, lead, after, page)).await
    }

    /// Chooses how to find a page by place.
    async fn way_by_place(&self, tenant: &TenantId, search: &Search) -> StoreResult<Way> {
        if search.ids.is_some() {
            return Ok(Way::From(Lead::Ids));
        }
        let mut fit = search.all.iter().enumerate().filter(|(_, clause)| clause.none.is_none());
        match (fit.next(), fit.next()) {
            _ if !search.words.is_empty() => {}
            (None, _) => return Ok(Way::From(Lead::All)),
            (Some((at, one)), None) if is_point(one) => return Ok(Way::From(Lead::Clause(at))),
            _ => {}
        }
        let (lead, count, _) = self.lead(tenant, search, FEW).await?;
        if count < FEW {
            return Ok(Way::From(lead));
        }
        // What comes in order is not sorted, however much it is.
        let all = &search.all;
        Ok(match (all.iter().position(is_point), all.iter().position(is_unitable)) {
            (Some(at), _) if is_mergeable(search) => Way::Merged(at),
            (Some(at), _) => Way::From(Lead::Clause(at)),
            (None, Some(at)) => Way::United(at),
            (None, None) => Way::Try,
        })
    }

    /// Returns a page by the number of words.
    pub(super) async fn page_by_words(
        &self,
        tenant: &TenantId,
        search: &Search,
        page: (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        self.devices_of(by_words(tenant, search, page)).await
    }

    /// Returns a page in the order of sort keys.
    pub(super) async fn page_by_values(
        &self,
        tenant: &TenantId,
        search: &Search,
        (skip, limit): (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        let (lead, count, _) = self.lead(tenant, search, FEW).await?;
        if lead == Lead::Ids || count < FEW {
            return self.devices_of(collected(tenant, search, lead, (skip, limit))).await;
        }
        let walk = self.walk(tenant, search).await?;
        if is_always_there(search) {
            return self.valued(tenant, search, walk, (skip, limit)).await;
        }
        if !search.sorts[0].descending {
            let (_, lacking) = self.valued_and_lacking(tenant, search, walk).await?;
            let mut found = self.lacking(tenant, search, lacking, (skip, limit)).await?;
            let page = (skip.saturating_sub(lacking), limit - found.len());
            found.extend(self.valued(tenant, search, walk, page).await?);
            return Ok(found);
        }
        let mut found = self.valued(tenant, search, walk, (skip, limit)).await?;
        if found.len() < limit {
            let (valued, lacking) = self.valued_and_lacking(tenant, search, walk).await?;
            let page = (skip.saturating_sub(valued), limit - found.len());
            found.extend(self.lacking(tenant, search, lacking, page).await?);
        }
        Ok(found)
    }

    /// Chooses how to go through the values of the first key.
    async fn walk(&self, tenant: &TenantId, search: &Search) -> StoreResult<Walk> {
        if !is_narrow(search) && search.sorts.len() == 1 {
            return Ok(Walk::All);
        }
        let lists = vec![entries::any_list(&search.sorts[0].prefix)];
        let lists = Search::all().and(Clause::some(lists));
        let (stmt, vals) = nearly(tenant, &lists, &[Lead::Clause(0)], LISTS);
        let count = number(self.sql.read_one(stmt, vals).await?.as_ref(), 0)?;
        Ok(match usize::try_from(count) {
            Ok(0) => Walk::Wanted,
            Ok(count) if count < LISTS => Walk::WantedAndLists,
            _ => Walk::All,
        })
    }

    /// Counts the devices that have a value for the first key, at most, and those that don't. Large
    /// numbers may be two seconds old, as totals may.
    async fn valued_and_lacking(
        &self,
        tenant: &TenantId,
        search: &Search,
        walk: Walk,
    ) -> StoreResult<(u64, u64)> {
        if !search.all.is_empty() || !search.words.is_empty() {
            // What every device has need not be counted for each search.
            let every = Search { sorts: vec![search.sorts[0].clone()], ..Search::all() };
            let (valued, lacking) =
                Box::pin(self.valued_and_lacking(tenant, &every, Walk::All)).await?;
            if lacking == 0 {
                return Ok((valued, 0));
            }
        }
        let large = AtomicBool::new(false);
        let count = async || {
            let counted = self.count_valued_and_lacking(tenant, search, walk).await?;
            large.store(counted.0 + counted.1 >= LARGE, Ordering::Relaxed);
            Ok(counted)
        };
        let key = (tenant.clone(), search.clone());
        self.valued.get(&key, count, async || Ok(large.load(Ordering::Relaxed))).await
    }

    async fn count_valued_and_lacking(
        &self,
        tenant: &TenantId,
        search: &Search,
        walk: Walk,
    ) -> StoreResult<(u64, u64)> {
        let lead = self.lead_of_all(tenant, search).await?;
        let any = entries::any_element(&search.sorts[0].prefix);
        let queries = vec![count(tenant, search, lead), count_valued(tenant, search, walk, &any)];
        let answers = self.sql.read_all(queries).await?;
        let count = |at: usize| number(answers.get(at).and_then(|rows| rows.first()), "n");
        let (all, valued) = (count(0)?, count(1)?);
        Ok((valued, all.saturating_sub(valued)))
    }

    /// Returns a page of the devices that have no value for the first key.
    async fn lacking(
        &self,
        tenant: &TenantId,
        search: &Search,
        lacking: u64,
        (skip, limit): (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        let left = usize::try_from(lacking.saturating_sub(skip)).unwrap_or(usize::MAX);
        let page = (skip, limit.min(left));
        if page.1 == 0 {
            return Ok(Vec::new());
        }
        let search = without_value(search);
        if search.sorts.is_empty() {
            return self.page_by_place(tenant, &search, None, page).await;
        }
        Box::pin(self.page_by_values(tenant, &search, page)).await
    }

    /// Returns a page of the devices that have a value for the first key: first the values, in
    /// the order of the index, then the devices with them.
    async fn valued(
        &self,
        tenant: &TenantId,
        search: &Search,
        walk: Walk,
        (skip, limit): (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (stmt, vals) = values(tenant, search, walk, (skip, limit));
        let rows = self.sql.read(stmt, vals).await?;
        let mut texts = Vec::with_capacity(rows.len());
        for row in &rows {
            texts.push(row.text("entry")?);
        }
        let groups: Vec<&[&str]> = texts.chunk_by(|a, b| a == b).collect();
        let Some((first, others)) = groups.split_first() else {
            return Ok(Vec::new());
        };
        let passed = if skip == 0 {
            0
        } else {
            let before = before(&search.sorts[0], first[0]);
            let (stmt, vals) = count_valued(tenant, search, walk, &before);
            skip.saturating_sub(number(self.sql.read_one(stmt, vals).await?.as_ref(), "n")?)
        };
        let mut found = self.alike(tenant, search, walk, first[0], (passed, first.len())).await?;
        if let Some((last, whole)) = others.split_last() {
            if let [one, ..] = whole {
                let span = between(one[0], whole[whole.len() - 1][0]);
                let count = whole.iter().map(|group| group.len()).sum();
                found.extend(
                    self.devices_of(with_values(tenant, search, walk, &span, (0, count))).await?,
                );
            }
            found.extend(self.alike(tenant, search, walk, last[0], (0, last.len())).await?);
        }
        Ok(found)
    }

    /// Returns a page of the devices that have this value for the first key.
    async fn alike(
        &self,
        tenant: &TenantId,
        search: &Search,
        walk: Walk,
        value: &str,
        page: (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        if search.sorts.len() > 1 {
            return Box::pin(self.page_by_values(tenant, &alike(search, walk, value), page)).await;
        }
        let span = Span::At(value.to_owned());
        self.devices_of(with_values(tenant, search, walk, &span, page)).await
    }
}
