//! Pages of devices in every order.

use mender_core::{
    StoreResult, TenantId,
    index::{Clause, Sort, Span},
    inventory::{Device, Search, entries},
};

use super::{
    count::{count, count_valued, number},
    draft::{Draft, Lead, is_mergeable, is_point},
    rows::devices,
};
use crate::{SqlStore, sql::facade::Query};

/// The most devices that are sorted for one page. Of fewer, all are looked at; of more, an index
/// gives them in order, and those that don't fit are passed over.
///
/// Tests sort next to nothing, so that they see both.
pub(super) const FEW: usize = if cfg!(test) { 3 } else { 4000 };

pub(super) const COLUMNS: &str =
    "d.id, d.place, d.attributes, d.revision, d.etag, d.identities, d.version";

fn direction(is_descending: bool) -> &'static str {
    if is_descending { " DESC" } else { "" }
}

/// Writes the statement for the devices of places, which are a subquery `p` in this order.
fn devices_at(places: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM ({places}) AS p CROSS JOIN inventory_devices AS d \
         WHERE d.tenant_id = $1 AND d.place = p.place ORDER BY {order}"
    )
}

/// The columns for sort keys, and the order by them.
fn keys(draft: &mut Draft, sorts: &[Sort]) -> (String, String) {
    let (mut columns, mut order) = (String::new(), String::new());
    for (n, sort) in sorts.iter().enumerate() {
        columns.push_str(&format!(", {} AS k{n}", draft.key(sort)));
        order.push_str(&format!("k{n}{}, ", direction(sort.descending)));
    }
    (columns, order)
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
    let (columns, order) = keys(&mut draft, &search.sorts);
    let places = draft.places(search, lead, None);
    let limit = draft.limit(skip, limit);
    let places = format!("SELECT l.place{columns} FROM {places} ORDER BY {order}l.place{limit}");
    draft.finish(devices_at(&places, &format!("{order}p.place -- few: chosen where they are")))
}

/// The values of a page that is sorted by the first key, each as often as it stands there.
pub(super) fn values(tenant: &TenantId, search: &Search, (skip, limit): (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let Sort { prefix, descending } = &search.sorts[0];
    let places = draft.valued(search, *descending, &[entries::any_element(prefix)]);
    let limit = draft.limit(skip, limit);
    let order = direction(*descending);
    draft.finish(format!("SELECT l.entry FROM {places} ORDER BY l.entry{order}{limit}"))
}

/// The devices with one of these values of the first key.
pub(super) fn with_values(
    tenant: &TenantId,
    search: &Search,
    values: &[&str],
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let sort = &search.sorts[0];
    let (columns, rest) = keys(&mut draft, &search.sorts[1..]);
    let spans: Vec<Span> = values.iter().map(|value| Span::At((*value).to_owned())).collect();
    let places = draft.valued(search, sort.descending, &spans);
    let limit = draft.limit(skip, limit);
    // Of one value, the index gives them by place.
    let is_few = values.len() > 1 || !rest.is_empty();
    let entry = if values.len() > 1 {
        format!("l.entry{}, ", direction(sort.descending))
    } else {
        String::new()
    };
    let places = format!(
        "SELECT l.place, l.entry{columns} FROM {places} ORDER BY {entry}{rest}l.place{limit}"
    );
    let few = if is_few { " -- few: those of a page, or alike" } else { "" };
    let order = format!("p.entry{}, {rest}p.place{few}", direction(sort.descending));
    draft.finish(devices_at(&places, &order))
}

/// Only those devices that have no value for the first key.
fn without_value(search: &Search) -> Search {
    let sorts = search.sorts[1..].to_vec();
    let none = Clause::none(vec![entries::any_element(&search.sorts[0].prefix)]);
    Search { sorts, ..search.clone().and(none) }
}

/// The values that come before one in the order of the first key.
fn before(sort: &Sort, value: &str) -> Span {
    let Span::Within { from, to } = entries::any_element(&sort.prefix) else {
        return entries::any_element(&sort.prefix);
    };
    if sort.descending {
        // No text comes between a text and this one.
        Span::Within { from: format!("{value}\u{1}"), to }
    } else {
        Span::Within { from, to: value.to_owned() }
    }
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
        self.devices_of(match self.lead_by_place(tenant, search).await? {
            (Lead::Clause(at), true) => merged_by_place(tenant, search, at, after, page),
            (lead, _) => by_place(tenant, search, lead, after, page),
        })
        .await
    }

    /// Chooses where to look for a page by place, and whether to go through all side by side.
    async fn lead_by_place(&self, tenant: &TenantId, search: &Search) -> StoreResult<(Lead, bool)> {
        if search.ids.is_some() {
            return Ok((Lead::Ids, false));
        }
        let mut fit = search.all.iter().enumerate().filter(|(_, clause)| clause.none.is_none());
        match (fit.next(), fit.next()) {
            _ if !search.words.is_empty() => {}
            (None, _) => return Ok((Lead::All, false)),
            (Some((at, one)), None) if is_point(one) => return Ok((Lead::Clause(at), false)),
            _ => {}
        }
        let (lead, count, _) = self.lead(tenant, search, FEW).await?;
        if count < FEW {
            return Ok((lead, false));
        }
        // What comes in order is not sorted, however much it is.
        let point = search.all.iter().position(is_point);
        Ok((point.map_or(Lead::All, Lead::Clause), is_mergeable(search)))
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
        if !search.sorts[0].descending {
            let (_, lacking) = self.valued_and_lacking(tenant, search).await?;
            let mut found = self.lacking(tenant, search, lacking, (skip, limit)).await?;
            let page = (skip.saturating_sub(lacking), limit - found.len());
            found.extend(self.valued(tenant, search, page).await?);
            return Ok(found);
        }
        let mut found = self.valued(tenant, search, (skip, limit)).await?;
        if found.len() < limit {
            let (valued, lacking) = self.valued_and_lacking(tenant, search).await?;
            let page = (skip.saturating_sub(valued), limit - found.len());
            found.extend(self.lacking(tenant, search, lacking, page).await?);
        }
        Ok(found)
    }

    /// Counts the devices that have a value for the first key, and those that don't.
    async fn valued_and_lacking(
        &self,
        tenant: &TenantId,
        search: &Search,
    ) -> StoreResult<(u64, u64)> {
        let Sort { prefix, descending } = &search.sorts[0];
        let lead = self.lead_of_all(tenant, search).await?;
        let any = entries::any_element(prefix);
        let queries =
            vec![count(tenant, search, lead), count_valued(tenant, search, *descending, any)];
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
        let lead = self.lead_of_all(tenant, &search).await?;
        self.devices_of(collected(tenant, &search, lead, page)).await
    }

    /// Returns a page of the devices that have a value for the first key: first the values, in
    /// the order of the index, then the devices with them.
    async fn valued(
        &self,
        tenant: &TenantId,
        search: &Search,
        (skip, limit): (u64, usize),
    ) -> StoreResult<Vec<Device>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (stmt, vals) = values(tenant, search, (skip, limit));
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
            let Sort { descending, .. } = search.sorts[0];
            let before = before(&search.sorts[0], first[0]);
            let (stmt, vals) = count_valued(tenant, search, descending, before);
            skip.saturating_sub(number(self.sql.read_one(stmt, vals).await?.as_ref(), "n")?)
        };
        let mut queries = vec![with_values(tenant, search, &first[..1], (passed, first.len()))];
        if let Some((last, whole)) = others.split_last() {
            if !whole.is_empty() {
                let values: Vec<&str> = whole.iter().map(|group| group[0]).collect();
                let count = whole.iter().map(|group| group.len()).sum();
                queries.push(with_values(tenant, search, &values, (0, count)));
            }
            queries.push(with_values(tenant, search, &last[..1], (0, last.len())));
        }
        let answers = self.sql.read_all(queries).await?;
        devices(&answers.concat())
    }
}
