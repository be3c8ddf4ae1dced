CREATE TABLE inventory_devices (
    tenant_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    id TEXT NOT NULL,
    attributes TEXT NOT NULL,
    revision INTEGER NOT NULL,
    etag TEXT,
    identities TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, place)
);
CREATE UNIQUE INDEX inventory_devices_id ON inventory_devices (tenant_id, id);

CREATE TABLE inventory_entries (
    tenant_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    entry TEXT NOT NULL,
    edge INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, place, entry)
) WITHOUT ROWID;
CREATE INDEX inventory_entries_entry ON inventory_entries (tenant_id, entry, place, edge);

CREATE TABLE inventory_words (
    tenant_id TEXT NOT NULL,
    word TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, word, place)
) WITHOUT ROWID;

CREATE TABLE inventory_filters (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    terms TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX inventory_filters_name ON inventory_filters (tenant_id, name);
