-- What is kept for a tenant about deployments, as JSON.
CREATE TABLE deployments_settings (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
