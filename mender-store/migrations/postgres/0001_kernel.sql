CREATE TABLE events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    aggregate TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    v BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    trace TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    lease_until BIGINT NOT NULL
);
CREATE INDEX events_key ON events (tenant_id, aggregate, key, version);

CREATE TABLE jobs (
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    due_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    error TEXT COLLATE "C" NOT NULL,
    dead_at BIGINT,
    PRIMARY KEY (kind, key)
);
CREATE INDEX jobs_due ON jobs (due_at, kind) WHERE dead_at IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_until > 0;
CREATE INDEX jobs_lane ON jobs (kind, lane, key) WHERE lane <> '';
CREATE INDEX jobs_dead ON jobs (dead_at) WHERE dead_at IS NOT NULL;

CREATE TABLE feed (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX feed_at ON feed (at);

CREATE TABLE nodes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    runs BIGINT NOT NULL
);

CREATE TABLE quotas (
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    free BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
