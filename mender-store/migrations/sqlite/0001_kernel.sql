CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    v INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    trace TEXT NOT NULL,
    payload TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_key ON events (tenant_id, aggregate, key, version);

CREATE TABLE jobs (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    lane TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    payload TEXT NOT NULL,
    error TEXT NOT NULL,
    dead_at INTEGER,
    PRIMARY KEY (kind, key)
);
CREATE INDEX jobs_due ON jobs (due_at, kind) WHERE dead_at IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_until > 0;
CREATE INDEX jobs_lane ON jobs (kind, lane, key) WHERE lane <> '';
CREATE INDEX jobs_dead ON jobs (dead_at) WHERE dead_at IS NOT NULL;

CREATE TABLE feed (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX feed_at ON feed (at);

CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    runs INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE quotas (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    free INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;
