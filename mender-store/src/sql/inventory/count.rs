//! How many devices fit, exactly or nearly.

use mender_core::{
    StoreResult, TenantId,
    index::{Clause, Span},
    inventory::{Search, Tally},
};

use super::{
    draft::{Draft, Index, Lead, is_mergeable, is_point, points},
    keys::Walk,
};
use crate::{
    SqlStore,
    sql::{
        facade::Query,
        value::{Col, Row},
    },
};

/// How many clauses are compared; nobody asks for more that each say much.
const COMPARED: usize = 8;

/// The most matches of a clause that are counted before an exact count begins.
pub(super) const MANY: usize = 50_000;

/// So many devices have most of the texts of an attribute: it is cheaper to look at each text
/// than at each device.
const MOST: usize = if cfg!(test) { 3 } else { 200_000 };

/// How many times more than the fewest devices there may be for it to be cheaper to go through
/// all than to look each of the fewest up.
const ALIKE: usize = 4;

pub(super) fn number(row: Option<&Row>, col: impl Col) -> StoreResult<u64> {
    Ok(row.map_or(Ok(0), |row| row.int(col))?.unsigned_abs())
}

/// Counts what comes from each of these, up to a number: at least as many as devices.
pub(super) fn nearly(tenant: &TenantId, search: &Search, leads: &[Lead], most: usize) -> Query {
    let mut draft = Draft::new(tenant);
    let limit = draft.limit(0, most);
    let mut count = |lead: &Lead| {
        let places = match lead {
            Lead::Clause(at) => draft.union(Index::Entries, &search.all[*at].some, false),
            Lead::Words => draft.union(Index::Words, &points(&search.words), false),
            Lead::All | Lead::Ids => {
                "SELECT l.place FROM inventory_devices AS l WHERE l.tenant_id = $1".into()
            }
        };
        format!("(SELECT COUNT(*) FROM ({places}{limit}) AS m)")
    };
    let counts: Vec<String> = leads.iter().map(&mut count).collect();
    draft.finish(format!("SELECT {}", counts.join(", ")))
}

/// Counts the devices of a search.
pub(super) fn count(tenant: &TenantId, search: &Search, lead: Lead) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.places(search, lead, None);
    draft.finish_whole(format!("SELECT COUNT(*) AS n FROM {places}"))
}

/// Counts the devices of a search for texts alone, going through the places of all.
pub(super) fn count_merged(tenant: &TenantId, search: &Search, at: usize) -> Query {
    let mut draft = Draft::new(tenant);
    let places = draft.merged(search, at, None);
    let text = format!("SELECT COUNT(*) AS n FROM ({places}) AS l");
    draft.finish_beside(text, count(tenant, search, Lead::Clause(at)))
}

/// What a search finds without its first exception, and what of that does not fit: what lacks a
/// text is in no index.
fn difference(search: &Search) -> Option<[Search; 2]> {
    if search.ids.is_some() || !search.words.is_empty() {
        return None;
    }
    let is_exception = |none: &Vec<Span>| !none.is_empty();
    let at = search.all.iter().position(|clause| clause.none.as_ref().is_some_and(is_exception))?;
    let mut most = search.clone();
    let Clause { some, none } = most.all.remove(at);
    let mut rest = most.clone().and(Clause::some(none?));
    if !some.is_empty() {
        rest = rest.and(Clause::none(some));
    }
    Some([most, rest])
}

/// Counts the devices of a search that have a value of the first sort key in the span.
pub(super) fn count_valued(tenant: &TenantId, search: &Search, walk: Walk, within: &Span) -> Query {
    let mut draft = Draft::new(tenant);
    let valued = draft.valued(search, walk, within);
    let count = |places: &String| format!("(SELECT COUNT(*) FROM {places})");
    let counts: Vec<String> = valued.iter().map(count).collect();
    draft.finish_whole(format!("SELECT {} AS n", counts.join(" + ")))
}

/// Counts the devices of a search by their texts in a span; without a lead, what is asked of them
/// is looked up for each device that has such a text.
pub(super) fn tally(
    tenant: &TenantId,
    search: &Search,
    lead: Option<Lead>,
    within: &Span,
    limit: usize,
) -> Query {
    let mut draft = Draft::new(tenant);
    let texts = if let Some(lead) = lead {
        let places = draft.places(search, lead, None);
        let range = draft.ranges("l.entry", std::slice::from_ref(within)).concat();
        format!(
            "(SELECT l.place FROM {places}) AS p CROSS JOIN inventory_entries AS l \
             WHERE l.tenant_id = $1 AND l.place = p.place AND {range}"
        )
    } else {
        draft.texts(search, within)
    };
    // What is left over is summed even where nothing is listed.
    let limit = draft.limit(0, limit.max(1));
    let text = format!(
        "SELECT t.entry, t.n, CAST(SUM(t.n) OVER () AS BIGINT) AS total FROM \
         (SELECT l.entry, COUNT(*) AS n FROM {texts} GROUP BY l.entry) AS t \
         ORDER BY t.n DESC, t.entry{limit} -- few: texts are fewer than devices"
    );
    draft.finish_whole(text)
}

impl SqlStore {
    /// Chooses where to look for the devices of a search: where the fewest are. Returns how many
    /// come from there, up to `most`, and how many from all places to look, each up to `most`.
    pub(super) async fn lead(
        &self,
        tenant: &TenantId,
        search: &Search,
        most: usize,
    ) -> StoreResult<(Lead, usize, usize)> {
        if let Some(ids) = &search.ids {
            return Ok((Lead::Ids, ids.len(), ids.len()));
        }
        let all = search.all.iter().enumerate();
        let fit = all.filter(|(_, clause)| clause.none.is_none()).take(COMPARED);
        let mut leads: Vec<Lead> = fit.map(|(at, _)| Lead::Clause(at)).collect();
        if !search.words.is_empty() {
            leads.push(Lead::Words);
        }
        if leads.is_empty() {
            leads.push(Lead::All);
        }
        let (stmt, vals) = nearly(tenant, search, &leads, most);
        let row = self.sql.read_one(stmt, vals).await?;
        let mut best = (Lead::All, usize::MAX, true);
        let mut total: usize = 0;
        for (at, lead) in leads.into_iter().enumerate() {
            let count = usize::try_from(number(row.as_ref(), at)?).unwrap_or(usize::MAX);
            total = total.saturating_add(count);
            let is_range = !matches!(lead, Lead::Clause(at) if is_point(&search.all[at]));
            // One text before several where it is the same: its devices come in order.
            if (count, is_range) < (best.1, best.2) {
                best = (lead, count, is_range);
            }
        }
        Ok((best.0, best.1, total))
    }

    pub(super) async fn counted(&self, tenant: &TenantId, search: &Search) -> StoreResult<u64> {
        let Some([most, rest]) = difference(search) else {
            let (stmt, vals) = self.count_of(tenant, search).await?;
            return number(self.sql.read_one(stmt, vals).await?.as_ref(), "n");
        };
        let queries =
            vec![self.count_of(tenant, &most).await?, self.count_of(tenant, &rest).await?];
        let answers = self.sql.read_all(queries).await?;
        let count = |at: usize| number(answers.get(at).and_then(|rows| rows.first()), "n");
        Ok(count(0)?.saturating_sub(count(1)?))
    }

    async fn count_of(&self, tenant: &TenantId, search: &Search) -> StoreResult<Query> {
        if is_mergeable(search) {
            let (lead, best, total) = self.lead(tenant, search, MANY).await?;
            return Ok(match lead {
                Lead::Clause(at) if total / ALIKE <= best => count_merged(tenant, search, at),
                lead => count(tenant, search, lead),
            });
        }
        Ok(count(tenant, search, self.lead_of_all(tenant, search).await?))
    }

    /// Chooses where to look where every device is needed anyway.
    pub(super) async fn lead_of_all(
        &self,
        tenant: &TenantId,
        search: &Search,
    ) -> StoreResult<Lead> {
        match search.all.as_slice() {
            _ if search.ids.is_some() => Ok(Lead::Ids),
            _ if !search.words.is_empty() => Ok(Lead::Words),
            all if all.iter().all(|clause| clause.none.is_some()) => Ok(Lead::All),
            [one] if one.none.is_none() => Ok(Lead::Clause(0)),
            _ => Ok(self.lead(tenant, search, MANY).await?.0),
        }
    }

    /// Chooses where to look for the texts of the devices of a search; `None`: at all texts.
    async fn lead_of_texts(&self, tenant: &TenantId, search: &Search) -> StoreResult<Option<Lead>> {
        if search.ids.is_some() || !search.words.is_empty() {
            return self.lead_of_all(tenant, search).await.map(Some);
        }
        if search.all.iter().all(|clause| clause.none.is_some()) {
            return Ok(None);
        }
        let (lead, count, _) = self.lead(tenant, search, MOST).await?;
        Ok((count < MOST).then_some(lead))
    }

    pub(super) async fn tallied(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: &Span,
        limit: usize,
    ) -> StoreResult<Tally> {
        let lead = self.lead_of_texts(tenant, search).await?;
        let (stmt, vals) = tally(tenant, search, lead, within, limit);
        let rows = self.sql.read(stmt, vals).await?;
        let mut others = number(rows.first(), "total")?;
        let mut top = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit) {
            let n = number(Some(row), "n")?;
            others -= n;
            top.push((row.text("entry")?.to_owned(), n));
        }
        Ok(Tally { top, others })
    }
}
