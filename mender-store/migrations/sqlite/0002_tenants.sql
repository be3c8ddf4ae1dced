CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash TEXT NOT NULL,
    name TEXT NOT NULL,
    token TEXT NOT NULL,
    plan TEXT NOT NULL,
    trial INTEGER NOT NULL,
    addons TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX tenants_token ON tenants (token_hash);
