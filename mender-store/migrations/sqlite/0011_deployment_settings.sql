-- What is kept for a tenant about deployments, as JSON.
CREATE TABLE deployments_settings (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
