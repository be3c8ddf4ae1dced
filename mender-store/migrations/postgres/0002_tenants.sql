CREATE TABLE tenants (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    token_hash TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C" NOT NULL,
    plan TEXT COLLATE "C" NOT NULL,
    trial BIGINT NOT NULL,
    addons TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX tenants_token ON tenants (token_hash);
