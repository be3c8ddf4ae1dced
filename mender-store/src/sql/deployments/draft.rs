//! Statements that depend on what is asked. Values are pushed and bound, never written.

use mender_core::{
    TenantId, Time,
    deployments::{DeploymentId, DeploymentQuery, Progress, Status, words},
};

use super::{DEPLOYMENT, DEVICE, rows::code, write::head};
use crate::sql::{
    facade::{Query, Stmt},
    value::Val,
};

/// No text has it in any store, and PostgreSQL takes no parameter with it.
pub(super) fn storable<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.contains('\0')).cloned().collect()
}

/// The numbers of statuses, each once and in order.
pub(super) fn codes(statuses: &[Status]) -> Vec<i64> {
    let mut codes: Vec<i64> = statuses.iter().copied().map(code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The ranges of the numbers of statuses that make a deployment one in progress. A list of them
/// would have PostgreSQL look at all that are pending.
fn begun() -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for code in Status::ALL.into_iter().filter(|status| status.is_begun()).map(code) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == code => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    ranges
}

/// A statement under construction; `$1` is the tenant.
struct Draft {
    vals: Vec<Val>,
}

impl Draft {
    fn new(tenant: &TenantId) -> Self {
        Self { vals: vec![tenant.into()] }
    }

    fn push(&mut self, val: impl Into<Val>) -> usize {
        self.vals.push(val.into());
        self.vals.len()
    }

    fn finish(self, text: String) -> Query {
        (Stmt::dynamic(text), self.vals)
    }

    fn limit(&mut self, (skip, limit): (u64, usize)) -> String {
        let limit = self.push(limit);
        let skip = self.push(i64::try_from(skip).unwrap_or(i64::MAX));
        format!(" LIMIT ${limit} OFFSET ${skip}")
    }

    /// Writes how far deployments are. Those that have not ended are few.
    ///
    /// No `EXISTS`: SQLite 3.51 makes a join of it, which counts a row for `OFFSET` as often as
    /// the join finds it.
    fn progress(&mut self, progress: Progress, now: Time) -> String {
        let is = match progress {
            Progress::Finished => return "d.finished IS NOT NULL".to_owned(),
            Progress::Scheduled => &format!("IS NULL AND d.starts > ${}", self.push(now)),
            Progress::Pending => {
                &format!("IS NULL AND (d.starts IS NULL OR d.starts <= ${})", self.push(now))
            }
            Progress::InProgress => "IS NOT NULL",
        };
        format!("d.finished IS NULL AND {} {is}", self.probes())
    }

    /// Writes what is null for a deployment without a record that makes it one in progress.
    fn probes(&mut self) -> String {
        let probes: Vec<String> = begun().into_iter().map(|range| self.probe(range)).collect();
        format!("COALESCE({})", probes.join(", "))
    }

    /// Writes a look for a record of the deployment with a status in this range.
    fn probe(&mut self, (first, last): (i64, i64)) -> String {
        let (first, last) = (self.push(first), self.push(last));
        format!(
            "(SELECT b.status FROM deployments_devices AS b @index(deployments_devices_status) \
             WHERE b.tenant_id = $1 AND b.deployment_id = d.id AND b.stage = 'record' \
             AND b.status >= ${first} AND b.status <= ${last} AND b.replaced = 0 LIMIT 1)"
        )
    }

    /// Writes the ids of the deployments with one of these names.
    fn named(&mut self, names: &[String]) -> String {
        let names = storable(names);
        let heads: Vec<String> = names.iter().map(|name| head(name)).collect();
        let (heads, names) = (self.push(heads), self.push(names));
        format!(
            "SELECT n.id FROM deployments_deployments AS n WHERE n.tenant_id = $1 \
             AND substr(n.name, 1, 100) @in(${heads}) AND n.name @in(${names})"
        )
    }

    /// Writes the ids of the deployments that are named like the device, or have a row of it:
    /// waiting ones are all current.
    fn device(&mut self, device: &str) -> String {
        let named = self.named(&[device.to_owned()]);
        let device = self.push(device);
        let indexes = [
            ("history", "stage = 'record'"),
            ("dropped", "stage = 'dropped'"),
            ("current", "current = 1"),
        ];
        let rows = indexes.map(|(index, rows)| {
            format!(
                " UNION ALL SELECT t.deployment_id AS id \
                 FROM deployments_devices AS t @index(deployments_devices_{index}) \
                 WHERE t.tenant_id = $1 AND t.device_id = ${device} AND t.{rows}"
            )
        });
        named + &rows.concat()
    }

    /// Writes the ids that the texts of a query name: few, whatever the number of deployments.
    fn few(&mut self, query: &DeploymentQuery) -> Vec<String> {
        let mut few = Vec::new();
        if let Some(ids) = &query.ids {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            few.push(format!(
                "SELECT i.id FROM deployments_deployments AS i \
                 WHERE i.tenant_id = $1 AND i.id @in(${})",
                self.push(ids)
            ));
        }
        if let Some(device) = &query.device {
            few.push(self.device(device.as_str()));
        }
        if let Some(names) = &query.names {
            few.push(self.named(names));
        }
        for word in query.phrase.iter().flat_map(|phrase| words(phrase)) {
            few.push(format!(
                "SELECT w.deployment_id AS id FROM deployments_words AS w \
                 WHERE w.tenant_id = $1 AND w.word = ${}",
                self.push(head(&word))
            ));
        }
        few
    }

    /// Writes `d WHERE …`: the deployments of a query. Of phrases it knows the words alone.
    fn deployments(&mut self, query: &DeploymentQuery) -> String {
        let mut few = self.few(query).into_iter();
        // SQLite would rather look at all deployments in order than at a few and sort them: it
        // keeps the order of cross joins.
        // Nor does it know that those that have not ended are few.
        let is_open = query.progress.is_some_and(|progress| progress != Progress::Finished);
        let (rows, index, mut all) = match few.next() {
            Some(ids) => (
                format!("(SELECT DISTINCT u.id FROM ({ids}) AS u) AS f CROSS JOIN "),
                "",
                vec!["d.id = f.id".to_owned()],
            ),
            None if is_open => (String::new(), " @index(deployments_deployments_open)", Vec::new()),
            None => (String::new(), "", Vec::new()),
        };
        all.push("d.tenant_id = $1".to_owned());
        all.extend(few.map(|ids| format!("d.id IN ({ids})")));
        if let Some(progress) = query.progress {
            all.push(self.progress(progress, query.now));
        }
        if let Some(kind) = query.kind {
            all.push(format!("d.kind = ${}", self.push(kind)));
        }
        if let Some(from) = query.from {
            all.push(format!("d.created >= ${}", self.push(from)));
        }
        if let Some(to) = query.to {
            all.push(format!("d.created <= ${}", self.push(to)));
        }
        if let Some(groups) = &query.groups {
            let groups = self.push(storable(groups));
            all.push(format!(
                "d.id IN (SELECT g.deployment_id FROM deployments_groups AS g \
                 WHERE g.tenant_id = $1 AND g.group_name @in(${groups}))"
            ));
        }
        format!("{rows}deployments_deployments AS d{index} WHERE {}", all.join(" AND "))
    }
}

fn order(query: &DeploymentQuery) -> &'static str {
    if query.ascending { "d.created, d.id" } else { "d.created DESC, d.id" }
}

/// Writes the statement for the ids of a page of deployments.
fn page(draft: &mut Draft, query: &DeploymentQuery, page: (u64, usize)) -> String {
    let (rows, order) = (draft.deployments(query), order(query));
    let limit = draft.limit(page);
    format!("SELECT d.id FROM {rows} ORDER BY {order}{limit}")
}

/// The ids of a page of deployments.
#[cfg(all(test, feature = "sqlite"))]
pub(super) fn ids(
    tenant: &TenantId,
    query: &DeploymentQuery,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let ids = page(&mut draft, query, (skip, limit));
    draft.finish(ids)
}

/// A page of deployments. What is sorted is their ids: a configuration is long.
pub(super) fn deployments(
    tenant: &TenantId,
    query: &DeploymentQuery,
    (skip, limit): (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let ids = page(&mut draft, query, (skip, limit));
    let order = order(query);
    draft.finish(format!(
        "SELECT {DEPLOYMENT} FROM ({ids}) AS p CROSS JOIN deployments_deployments AS d \
         WHERE d.tenant_id = $1 AND d.id = p.id ORDER BY {order} -- few: a page"
    ))
}

pub(super) fn count_deployments(tenant: &TenantId, query: &DeploymentQuery) -> Query {
    let mut draft = Draft::new(tenant);
    let rows = draft.deployments(query);
    draft.finish(format!("SELECT COUNT(*) AS n FROM {rows} -- few: what is named"))
}

/// Those of the deployments that are in progress, or were when they ended.
pub(super) fn begun_of(tenant: &TenantId, deployments: &[DeploymentId]) -> Query {
    let mut draft = Draft::new(tenant);
    let ids = draft.push(deployments.iter().map(ToString::to_string).collect::<Vec<_>>());
    let probes = draft.probes();
    draft.finish(format!(
        "SELECT d.id FROM deployments_deployments AS d \
         WHERE d.tenant_id = $1 AND d.id @in(${ids}) AND {probes} IS NOT NULL"
    ))
}

/// The names of all deployments of a query in order, for those who look at phrases.
pub(super) fn names(tenant: &TenantId, query: &DeploymentQuery) -> Query {
    let mut draft = Draft::new(tenant);
    let (rows, order) = (draft.deployments(query), order(query));
    draft.finish(format!(
        "SELECT d.id, d.name, d.artifact_name FROM {rows} ORDER BY {order} -- few: what is named"
    ))
}

/// A page of the records of a deployment that were not reset: one range of an index for each
/// status, merged without sorting.
pub(super) fn listed(
    tenant: &TenantId,
    deployment: &DeploymentId,
    statuses: &[Status],
    page: (u64, usize),
) -> Query {
    let mut draft = Draft::new(tenant);
    let deployment = draft.push(deployment.as_str());
    let all = format!(
        "SELECT {DEVICE} FROM deployments_devices @index(deployments_devices_status) \
         WHERE tenant_id = $1 AND deployment_id = ${deployment} AND stage = 'record' AND deleted IS NULL"
    );
    let mut range = |code| format!("{all} AND status = ${}", draft.push(code));
    let rows = match statuses {
        [] => all.clone(),
        _ => codes(statuses).into_iter().map(&mut range).collect::<Vec<_>>().join(" UNION ALL "),
    };
    let limit = draft.limit(page);
    draft.finish(format!("{rows} ORDER BY status, device_id, attempt{limit}"))
}
