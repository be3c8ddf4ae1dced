CREATE TABLE auth_devices (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    identity_hash TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    tier TEXT COLLATE "C" NOT NULL,
    group_name TEXT COLLATE "C" NOT NULL,
    leaving BIGINT NOT NULL,
    provisioned BIGINT NOT NULL,
    test BIGINT NOT NULL,
    external_id TEXT COLLATE "C",
    external_name TEXT COLLATE "C",
    external_provider TEXT COLLATE "C",
    valid_from BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX auth_devices_identity ON auth_devices (tenant_id, identity_hash);
CREATE INDEX auth_devices_status ON auth_devices (tenant_id, status, id);
CREATE INDEX auth_devices_group ON auth_devices (tenant_id, group_name, status, id);

CREATE TABLE auth_sets (
    tenant_id TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    tier TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    live BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id, id)
);
CREATE INDEX auth_sets_id ON auth_sets (tenant_id, id, device_id);

CREATE TABLE auth_tenants (
    tenant_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    limits TEXT COLLATE "C" NOT NULL,
    accept TEXT COLLATE "C" NOT NULL,
    flag_day BIGINT NOT NULL,
    flag_count BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    usage_days TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL
);

CREATE TABLE auth_seen (
    tenant_id TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);
