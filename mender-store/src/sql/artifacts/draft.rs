//! Statements that depend on what is asked. Values are pushed and bound, never written.

use mender_core::{
    TenantId,
    artifacts::{
        ArtifactQuery, ArtifactSort, ReleaseKind, ReleaseQuery, ReleaseSort, Text,
        format::SystemManifest,
    },
    secret::token_hash,
};

use super::{ARTIFACT, RELEASE};
use crate::sql::{
    facade::{Query, Stmt},
    value::Val,
};

/// How many characters of a text indexes have.
const HEAD: usize = 100;

/// The id of a release in the tables: its name may be longer than what an index can hold.
pub(super) fn release_id(name: &str) -> String {
    token_hash(name)
}

/// What payload types are found by: they may have any length.
pub(super) fn kind_hash(kind: &str) -> String {
    token_hash(kind)
}

fn head(text: &str) -> &str {
    text.char_indices().nth(HEAD).map_or(text, |(end, _)| &text[..end])
}

/// Returns the first text after all that begin with this one, where there is one.
fn end_of(start: &str) -> Option<String> {
    let mut end = start.to_owned();
    while let Some(last) = end.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// No text has it in any store, and PostgreSQL takes no parameter with it.
fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// A condition that holds for nothing.
const NEVER: &str = "1 = 0";

/// A statement under construction; `$1` is the tenant.
pub(super) struct Draft {
    vals: Vec<Val>,
}

impl Draft {
    pub(super) fn new(tenant: &TenantId) -> Self {
        Self { vals: vec![tenant.into()] }
    }

    pub(super) fn push(&mut self, val: impl Into<Val>) -> usize {
        self.vals.push(val.into());
        self.vals.len()
    }

    /// Writes the names of the function that looks for a text in another for each database.
    pub(super) fn finish(self, text: &str) -> Query {
        (Stmt::dynamic_each(text.replace("strpos(", "instr("), text.to_owned()), self.vals)
    }

    /// Writes that an index text lies between two others.
    fn between(&mut self, expression: &str, start: &str) -> String {
        let from = self.push(start);
        let to = end_of(start).map(|end| self.push(end));
        let below = to.map(|to| format!(" AND {expression} < ${to}")).unwrap_or_default();
        format!("{expression} >= ${from}{below}")
    }

    fn starts(&mut self, column: &str, start: &str) -> String {
        if start.is_empty() {
            return format!("{column} IS NOT NULL");
        }
        let indexed = self.between(&format!("substr({column}, 1, 100)"), head(start));
        if head(start) == start {
            return indexed;
        }
        format!("{indexed} AND {}", self.between(column, start))
    }

    fn is(&mut self, column: &str, texts: &[String]) -> String {
        let texts: Vec<String> = texts.iter().filter(|text| is_storable(text)).cloned().collect();
        let heads: Vec<String> = texts.iter().map(|text| head(text).to_owned()).collect();
        let (heads, texts) = (self.push(heads), self.push(texts));
        format!("substr({column}, 1, 100) @in(${heads}) AND {column} @in(${texts})")
    }

    /// Writes what a text must be, which has a column for its folded form too. Parts of texts are
    /// in no index: what contains one is found by looking at all of the tenant.
    fn text(&mut self, column: &str, folded: &str, wanted: &Text) -> String {
        match wanted {
            Text::Is(texts) => self.is(column, texts),
            Text::Starts(text) | Text::StartsAnyCase(text) | Text::Contains(text)
                if !is_storable(text) =>
            {
                NEVER.to_owned()
            }
            Text::Starts(start) => self.starts(column, start),
            Text::StartsAnyCase(start) => self.starts(folded, start),
            Text::Contains(part) if part.is_empty() => format!("{column} IS NOT NULL"),
            Text::Contains(part) => {
                let part = self.push(part);
                format!("strpos({folded}, ${part}) > 0")
            }
        }
    }

    /// Writes that the release with this id has one tag of each of these lists.
    fn tags(&mut self, release: &str, wanted: &[Vec<String>]) -> Vec<String> {
        let any = |any: &Vec<String>| {
            let storable = any.iter().filter(|tag| is_storable(tag)).cloned();
            let tags = self.push(storable.collect::<Vec<String>>());
            format!(
                "{release} IN (SELECT g.release_id FROM artifacts_tags AS g \
                 WHERE g.tenant_id = $1 AND g.tag @in(${tags}))"
            )
        };
        wanted.iter().map(any).collect()
    }

    fn name(&mut self, release: &str, wanted: &Text) -> String {
        if let Text::Is(names) = wanted {
            let ids: Vec<String> = names.iter().map(|name| release_id(name)).collect();
            let ids = self.push(ids);
            return format!("{release} @in(${ids})");
        }
        let name = self.text("n.name", "n.folded", wanted);
        format!(
            "{release} IN (SELECT n.id FROM artifacts_releases AS n \
             WHERE n.tenant_id = $1 AND {name})"
        )
    }

    /// Writes `r WHERE …`: the releases of a query.
    fn releases(&mut self, query: &ReleaseQuery) -> String {
        let ReleaseQuery { of, name, description, device_type, kind, tags, sort: _, descending: _ } =
            query;
        let mut all = vec!["r.tenant_id = $1".to_owned()];
        if let Some(of) = of {
            let kind = self.push(kind_hash(SystemManifest::PAYLOAD));
            let not = match of {
                ReleaseKind::Release => "NOT ",
                ReleaseKind::Manifest => "",
            };
            all.push(format!(
                "{not}EXISTS (SELECT 1 FROM artifacts_kinds AS m WHERE m.tenant_id = $1 \
                 AND m.kind_hash = ${kind} AND m.release_id = r.id)"
            ));
        }
        if let Some(name) = name {
            all.push(self.name("r.id", name));
        }
        if let Some(description) = description {
            let text = self.text("d.description", "d.folded", description);
            all.push(format!(
                "r.id IN (SELECT d.release_id FROM artifacts_artifacts AS d \
                 WHERE d.tenant_id = $1 AND {text})"
            ));
        }
        if let Some(device_type) = device_type {
            let text = self.text("t.device_type", "t.folded", device_type);
            all.push(format!(
                "r.id IN (SELECT t.release_id FROM artifacts_types AS t \
                 WHERE t.tenant_id = $1 AND {text})"
            ));
        }
        if let Some(kind) = kind {
            let kind = self.push(kind_hash(kind));
            all.push(format!(
                "r.id IN (SELECT k.release_id FROM artifacts_kinds AS k \
                 WHERE k.tenant_id = $1 AND k.kind_hash = ${kind})"
            ));
        }
        all.extend(self.tags("r.id", tags));
        format!("artifacts_releases AS r WHERE {}", all.join(" AND "))
    }

    /// Writes the conditions of a query for artifacts `a`.
    fn artifacts(&mut self, query: &ArtifactQuery) -> String {
        let ArtifactQuery { name, description, device_type, tags, image, sort: _, descending: _ } =
            query;
        let mut all = vec!["a.tenant_id = $1".to_owned()];
        if let Some(name) = name {
            all.push(self.name("a.release_id", name));
        }
        if let Some(description) = description {
            let text = self.text("a.description", "a.folded", description);
            all.push(if description.fits("") {
                format!("(a.description IS NULL OR {text})")
            } else {
                text
            });
        }
        if let Some(device_type) = device_type {
            let text = self.text("t.device_type", "t.folded", device_type);
            all.push(format!(
                "(a.release_id, a.id) IN (SELECT t.release_id, t.artifact_id \
                 FROM artifacts_types AS t WHERE t.tenant_id = $1 AND {text})"
            ));
        }
        match image {
            Some(image) if is_storable(image) => {
                all.push(format!("a.image = ${}", self.push(image)));
            }
            Some(_) => all.push(NEVER.to_owned()),
            None => {}
        }
        all.extend(self.tags("a.release_id", tags));
        all.join(" AND ")
    }

    pub(super) fn limit(&mut self, (skip, limit): (u64, usize)) -> String {
        let limit = self.push(limit);
        let skip = self.push(i64::try_from(skip).unwrap_or(i64::MAX));
        format!(" LIMIT ${limit} OFFSET ${skip}")
    }
}

/// Writes the order: the columns that an index has, then what decides where it has alike.
pub(super) fn order(columns: &[&str], descending: bool) -> String {
    let direction = if descending { " DESC" } else { "" };
    let columns: Vec<String> = columns.iter().map(|col| format!("{col}{direction}")).collect();
    columns.join(", ")
}

fn release_order(query: &ReleaseQuery) -> String {
    let (head, name) = ("substr(r.name, 1, 100)", "r.name");
    let descending = query.descending;
    match query.sort {
        ReleaseSort::Name => order(&[head, name], descending),
        ReleaseSort::Modified => order(&["r.modified", head, name], descending),
        ReleaseSort::Artifacts => order(&["r.artifact_count", head, name], descending),
        // No tag is empty: those without come first.
        ReleaseSort::Tags if descending => order(&["r.last_tag", head, name], descending),
        ReleaseSort::Tags => order(&["r.first_tag", head, name], descending),
    }
}

fn artifact_order(query: &ArtifactQuery) -> String {
    let descending = query.descending;
    match query.sort {
        ArtifactSort::Name => order(&["substr(a.name, 1, 100)", "a.name", "a.id"], descending),
        ArtifactSort::Modified => order(&["a.modified", "a.id"], descending),
        ArtifactSort::Id => order(&["a.id"], descending),
    }
}

impl Draft {
    /// Writes the statement for the ids of a page of releases, and its order.
    fn release_ids(&mut self, query: &ReleaseQuery, page: (u64, usize)) -> (String, String) {
        let (rows, order) = (self.releases(query), release_order(query));
        let limit = self.limit(page);
        (format!("SELECT r.id FROM {rows} ORDER BY {order}{limit}"), order)
    }

    /// Writes the statement for the ids of a page of artifacts, and its order.
    fn artifact_ids(&mut self, query: &ArtifactQuery, page: (u64, usize)) -> (String, String) {
        let ArtifactQuery { sort, descending, .. } = *query;
        let all = ArtifactQuery { sort, descending, ..ArtifactQuery::default() };
        // SQLite would rather sort all artifacts than those of a name.
        let index = match sort {
            ArtifactSort::Name if *query == all => " @index(artifacts_artifacts_name)",
            _ => "",
        };
        let (conditions, order) = (self.artifacts(query), artifact_order(query));
        let limit = self.limit(page);
        let ids = format!(
            "SELECT a.release_id, a.id FROM artifacts_artifacts AS a{index} WHERE {conditions} \
             ORDER BY {order}{limit}"
        );
        (ids, order)
    }
}

/// The ids of a page of releases.
#[cfg(all(test, feature = "sqlite"))]
pub(super) fn release_ids(tenant: &TenantId, query: &ReleaseQuery, page: (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let (ids, _) = draft.release_ids(query, page);
    draft.finish(&ids)
}

/// The ids of a page of artifacts.
#[cfg(all(test, feature = "sqlite"))]
pub(super) fn artifact_ids(tenant: &TenantId, query: &ArtifactQuery, page: (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let (ids, _) = draft.artifact_ids(query, page);
    draft.finish(&ids)
}

/// A page of releases: a row for each artifact, at least one for a release.
pub(super) fn releases(tenant: &TenantId, query: &ReleaseQuery, page: (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let (ids, order) = draft.release_ids(query, page);
    draft.finish(&format!(
        "SELECT {RELEASE}, {ARTIFACT} FROM ({ids}) AS p \
         CROSS JOIN artifacts_releases AS r LEFT JOIN artifacts_artifacts AS a \
         ON a.tenant_id = r.tenant_id AND a.release_id = r.id \
         WHERE r.tenant_id = $1 AND r.id = p.id ORDER BY {order}, a.added, a.nth \
         -- few: a page, and names alike in what the index has"
    ))
}

pub(super) fn count_releases(tenant: &TenantId, query: &ReleaseQuery) -> Query {
    let mut draft = Draft::new(tenant);
    let rows = draft.releases(query);
    draft.finish(&format!("SELECT COUNT(*) AS n FROM {rows}"))
}

/// A page of artifacts.
pub(super) fn artifacts(tenant: &TenantId, query: &ArtifactQuery, page: (u64, usize)) -> Query {
    let mut draft = Draft::new(tenant);
    let (ids, order) = draft.artifact_ids(query, page);
    draft.finish(&format!(
        "SELECT {ARTIFACT} FROM ({ids}) AS p CROSS JOIN artifacts_artifacts AS a \
         WHERE a.tenant_id = $1 AND a.release_id = p.release_id AND a.id = p.id ORDER BY {order} \
         -- few: a page, and names alike in what the index has"
    ))
}

pub(super) fn count_artifacts(tenant: &TenantId, query: &ArtifactQuery) -> Query {
    let mut draft = Draft::new(tenant);
    let conditions = draft.artifacts(query);
    let rows = format!("artifacts_artifacts AS a WHERE {conditions}");
    draft.finish(&format!("SELECT COUNT(*) AS n FROM {rows}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{end_of, head};

    proptest! {
        #[test]
        fn texts_begin_with_another_where_they_come_before_its_end(
            start in "[a\u{d7ff}\u{10ffff}]{0,3}", text in "[a\u{d7ff}\u{e000}\u{10ffff}]{0,4}",
        ) {
            let within = text >= start && end_of(&start).is_none_or(|end| text < end);
            prop_assert_eq!(within, text.starts_with(&start));
        }
    }

    #[test]
    fn a_head_has_a_hundred_characters() {
        assert_eq!(head("é"), "é");
        assert_eq!(head(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(head(&"é".repeat(101)), "é".repeat(100));
    }
}
