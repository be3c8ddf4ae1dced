-- Clustered by their keys: a device and its sets are read with half the pages, which is what a
-- million devices cost more than a thousand.
CREATE TABLE auth_devices (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    identity_hash TEXT NOT NULL,
    identity TEXT NOT NULL,
    status TEXT NOT NULL,
    tier TEXT NOT NULL,
    group_name TEXT NOT NULL,
    leaving INTEGER NOT NULL,
    provisioned INTEGER NOT NULL,
    test INTEGER NOT NULL,
    external_id TEXT,
    external_name TEXT,
    external_provider TEXT,
    valid_from INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX auth_devices_identity ON auth_devices (tenant_id, identity_hash);
CREATE INDEX auth_devices_status ON auth_devices (tenant_id, status, id);
CREATE INDEX auth_devices_group ON auth_devices (tenant_id, group_name, status, id);

CREATE TABLE auth_sets (
    tenant_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    tier TEXT NOT NULL,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, id)
) WITHOUT ROWID;
CREATE INDEX auth_sets_id ON auth_sets (tenant_id, id, device_id);

CREATE TABLE auth_tenants (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    limits TEXT NOT NULL,
    accept TEXT NOT NULL,
    flag_day INTEGER NOT NULL,
    flag_count INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    usage_days TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE auth_seen (
    tenant_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
) WITHOUT ROWID;
