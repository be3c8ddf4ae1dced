CREATE TABLE inventory_devices (
    tenant_id TEXT COLLATE "C" NOT NULL,
    place BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    attributes TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    etag TEXT COLLATE "C",
    identities TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, place)
);
CREATE UNIQUE INDEX inventory_devices_id ON inventory_devices (tenant_id, id);

CREATE TABLE inventory_entries (
    tenant_id TEXT COLLATE "C" NOT NULL,
    place BIGINT NOT NULL,
    entry TEXT COLLATE "C" NOT NULL,
    edge BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, place, entry)
);
CREATE INDEX inventory_entries_entry ON inventory_entries (tenant_id, entry, place, edge);

CREATE TABLE inventory_words (
    tenant_id TEXT COLLATE "C" NOT NULL,
    word TEXT COLLATE "C" NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, word, place)
);

CREATE TABLE inventory_filters (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    terms TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX inventory_filters_name ON inventory_filters (tenant_id, name);
