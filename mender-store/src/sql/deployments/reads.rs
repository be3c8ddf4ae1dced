//! The statements that read, but for those that depend on what is asked.

use super::{deployment, device};
use crate::{sql, sql::facade::Stmt};

macro_rules! deployments {
    ($rest:literal) => {
        concat!("SELECT ", deployment!(), " FROM deployments_deployments AS d ", $rest)
    };
}

/// Names the index: SQLite takes the key of the table for a better way to all of a tenant's rows.
macro_rules! devices {
    ($columns:expr, $index:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM deployments_devices @index(deployments_devices_",
            $index,
            ") ",
            $rest
        )
    };
}

pub(super) const BY_ID: Stmt = sql!(deployments!("WHERE d.tenant_id = $1 AND d.id = $2"));

pub(super) const BY_IDS: Stmt =
    sql!(deployments!("WHERE d.tenant_id = $1 AND d.id @in($2) ORDER BY d.id"));

pub(super) const NEWEST: Stmt = sql!(
    "SELECT created FROM deployments_deployments
        WHERE tenant_id = $1 ORDER BY created DESC LIMIT 1"
);

pub(super) const DYNAMIC: Stmt =
    sql!(deployments!("WHERE d.tenant_id = $1 AND d.dynamic = 1 AND d.finished IS NULL"));

pub(super) const OF_RELEASES: Stmt = sql!(
    "SELECT id FROM deployments_deployments
        WHERE tenant_id = $1 AND release_id @in($2) AND finished IS NULL"
);

pub(super) const LAST_END: Stmt = sql!(
    "SELECT finished FROM deployments_deployments
        WHERE tenant_id = $1 AND release_id = $2 AND finished IS NOT NULL
        ORDER BY finished DESC LIMIT 1"
);

pub(super) const TARGETS: Stmt = sql!(
    "SELECT id, ticket, devices, version FROM deployments_targets
        WHERE tenant_id = $1 AND ticket @in($2) AND id @in($3) ORDER BY id"
);

pub(super) const TARGETS_OF: Stmt = sql!(
    "SELECT id, ticket, devices, version FROM deployments_targets
        WHERE tenant_id = $1 AND ticket = $2 AND id > $3 ORDER BY id LIMIT $4"
);

pub(super) const PAIR: Stmt = sql!(concat!(
    "SELECT ",
    device!(),
    " FROM deployments_devices
        WHERE tenant_id = $1 AND deployment_id = $2 AND device_id = $3 ORDER BY attempt DESC LIMIT 1"
));

pub(super) const CURRENT: Stmt = sql!(devices!(
    device!(),
    "current",
    "WHERE tenant_id = $1 AND device_id = $2 AND current = 1 ORDER BY deployment_id, attempt"
));

/// The records of a device are looked at from the newest on, up to the first that ended.
pub(super) const NEWEST_ENDED: Stmt = sql!(devices!(
    "created",
    "history",
    "WHERE tenant_id = $1 AND device_id = $2
        AND stage = 'record' AND deleted IS NULL AND status @in($3)
        ORDER BY created DESC LIMIT 1"
));

pub(super) const HISTORY: Stmt = sql!(devices!(
    device!(),
    "history",
    "WHERE tenant_id = $1 AND device_id = $2 AND stage = 'record'
        ORDER BY created DESC, status DESC, attempt DESC, deployment_id LIMIT $3 OFFSET $4"
));

pub(super) const HISTORY_OF: Stmt = sql!(devices!(
    device!(),
    "history",
    "WHERE tenant_id = $1 AND device_id = $2 AND stage = 'record' AND status @in($5)
        ORDER BY created DESC, status DESC, attempt DESC, deployment_id LIMIT $3 OFFSET $4"
));

pub(super) const COUNT_HISTORY: Stmt = sql!(devices!(
    "COUNT(*) AS n",
    "history",
    "WHERE tenant_id = $1 AND device_id = $2 AND stage = 'record'"
));

pub(super) const COUNT_HISTORY_OF: Stmt = sql!(devices!(
    "COUNT(*) AS n",
    "history",
    "WHERE tenant_id = $1 AND device_id = $2 AND stage = 'record' AND status @in($3)"
));

pub(super) const COUNT_LISTED: Stmt = sql!(devices!(
    "COUNT(*) AS n",
    "status",
    "WHERE tenant_id = $1 AND deployment_id = $2
        AND stage = 'record' AND deleted IS NULL"
));

pub(super) const COUNT_LISTED_OF: Stmt = sql!(devices!(
    "COUNT(*) AS n",
    "status",
    "WHERE tenant_id = $1 AND deployment_id = $2
        AND stage = 'record' AND deleted IS NULL AND status @in($3)"
));

pub(super) const RECORDS: Stmt = sql!(devices!(
    device!(),
    "record",
    "WHERE tenant_id = $1 AND record_id @in($2) AND stage = 'record'"
));

macro_rules! last_ended {
    ($devices:literal) => {
        concat!(
            "SELECT ",
            device!(),
            " FROM (SELECT ",
            $devices,
            ") AS l CROSS JOIN deployments_devices AS d @index(deployments_devices_ended)
        WHERE d.tenant_id = $1 AND d.device_id = l.id AND d.ended_at IS NOT NULL AND d.ended_at =
        (SELECT MAX(m.ended_at) FROM deployments_devices AS m
            @index(deployments_devices_ended) WHERE m.tenant_id = $1 AND m.device_id = l.id AND m.ended_at IS NOT NULL)"
        )
    };
}

/// What ended at the same moment is left to the caller.
pub(super) const LAST_ENDED: Stmt = sql!(
    sqlite: last_ended!("value AS id FROM json_each($2)"),
    postgres: last_ended!("unnest($2::text[]) COLLATE \"C\" AS id"),
);

pub(super) const TALLIES: Stmt = sql!(devices!(
    "deployment_id, status, phase, late,
        CAST(SUM(CASE WHEN replaced = 0 THEN 1 ELSE 0 END) AS BIGINT) AS counted,
        CAST(SUM(CASE WHEN attempt = 1 THEN 1 ELSE 0 END) AS BIGINT) AS devices,
        CAST(SUM(bytes) AS BIGINT) AS bytes",
    "status",
    "WHERE tenant_id = $1 AND deployment_id @in($2) AND stage = 'record'
        GROUP BY deployment_id, status, phase, late"
));

pub(super) const LATE: Stmt = sql!(devices!(
    "deployment_id, status, late, COUNT(*) AS n",
    "late",
    "WHERE tenant_id = $1 AND deployment_id @in($2) AND late IS NOT NULL AND stage = 'record'
        AND replaced = 0 GROUP BY deployment_id, status, late"
));

pub(super) const ROWS: Stmt = sql!(concat!(
    "SELECT ",
    device!(),
    " FROM deployments_devices
        WHERE tenant_id = $1 AND deployment_id = $2 AND (device_id, attempt) > ($3, $4)
        ORDER BY device_id, attempt LIMIT $5"
));

pub(super) const OPEN: Stmt = sql!(devices!(
    device!(),
    "open",
    "WHERE tenant_id = $1 AND deployment_id = $2 AND open = 1 AND (device_id, attempt) > ($3, $4)
        ORDER BY device_id, attempt LIMIT $5"
));

pub(super) const SILENT: Stmt = sql!(devices!(
    device!(),
    "watched",
    "WHERE tenant_id = $1 AND deployment_id = $2 AND stage = 'record' AND open = 1
        AND heard IS NOT NULL AND heard >= $3 AND heard < $4
        ORDER BY heard, device_id, attempt LIMIT $5"
));

pub(super) const STATEMENTS: &[Stmt] = &[
    BY_ID,
    BY_IDS,
    NEWEST,
    DYNAMIC,
    OF_RELEASES,
    LAST_END,
    TARGETS,
    TARGETS_OF,
    PAIR,
    CURRENT,
    NEWEST_ENDED,
    HISTORY,
    HISTORY_OF,
    COUNT_HISTORY,
    COUNT_HISTORY_OF,
    COUNT_LISTED,
    COUNT_LISTED_OF,
    RECORDS,
    LAST_ENDED,
    TALLIES,
    LATE,
    ROWS,
    OPEN,
    SILENT,
];
