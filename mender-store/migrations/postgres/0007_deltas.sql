-- Checksums of root file system images, by which the source of a delta is found.
ALTER TABLE artifacts_artifacts ADD COLUMN image TEXT COLLATE "C";
CREATE INDEX artifacts_artifacts_image ON artifacts_artifacts (tenant_id, image)
    WHERE image IS NOT NULL;

-- The id is a hash of both artifacts' ids.
CREATE TABLE artifacts_deltas (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C" NOT NULL,
    source_id TEXT COLLATE "C" NOT NULL,
    target_id TEXT COLLATE "C" NOT NULL,
    delta_id TEXT COLLATE "C",
    deployment_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    started BIGINT NOT NULL,
    from_name TEXT COLLATE "C" NOT NULL,
    to_name TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX artifacts_deltas_job ON artifacts_deltas (tenant_id, job_id);
CREATE INDEX artifacts_deltas_source ON artifacts_deltas (tenant_id, source_id);
CREATE INDEX artifacts_deltas_target ON artifacts_deltas (tenant_id, target_id);
CREATE INDEX artifacts_deltas_delta ON artifacts_deltas (tenant_id, delta_id);
CREATE INDEX artifacts_deltas_deployment ON artifacts_deltas (tenant_id, deployment_id);
CREATE INDEX artifacts_deltas_status ON artifacts_deltas (tenant_id, status, job_id);
CREATE INDEX artifacts_deltas_started ON artifacts_deltas (tenant_id, started, job_id);
CREATE INDEX artifacts_deltas_from ON artifacts_deltas (tenant_id, substr(from_name, 1, 100));
CREATE INDEX artifacts_deltas_to ON artifacts_deltas (tenant_id, substr(to_name, 1, 100));
