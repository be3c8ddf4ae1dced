-- Texts may be longer than what an index can hold: a release has the hash of its name as id, and
-- indexes have the first hundred characters.
CREATE TABLE artifacts_releases (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    folded TEXT COLLATE "C" NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    notes TEXT COLLATE "C" NOT NULL,
    modified BIGINT NOT NULL,
    leaving BIGINT,
    first_tag TEXT COLLATE "C" NOT NULL,
    last_tag TEXT COLLATE "C" NOT NULL,
    artifact_count BIGINT NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX artifacts_releases_name ON artifacts_releases
    (tenant_id, substr(name, 1, 100));
CREATE INDEX artifacts_releases_folded ON artifacts_releases
    (tenant_id, substr(folded, 1, 100));
CREATE INDEX artifacts_releases_modified ON artifacts_releases
    (tenant_id, modified, substr(name, 1, 100));
CREATE INDEX artifacts_releases_count ON artifacts_releases
    (tenant_id, artifact_count, substr(name, 1, 100));
CREATE INDEX artifacts_releases_first_tag ON artifacts_releases
    (tenant_id, first_tag, substr(name, 1, 100));
CREATE INDEX artifacts_releases_last_tag ON artifacts_releases
    (tenant_id, last_tag, substr(name, 1, 100));

CREATE TABLE artifacts_tags (
    tenant_id TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    release_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, tag, release_id)
);

CREATE TABLE artifacts_kinds (
    tenant_id TEXT COLLATE "C" NOT NULL,
    kind_hash TEXT COLLATE "C" NOT NULL,
    release_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, kind_hash, release_id)
);

-- In the order of `added`, the version of the release, and `nth`.
CREATE TABLE artifacts_artifacts (
    tenant_id TEXT COLLATE "C" NOT NULL,
    release_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    added BIGINT NOT NULL,
    nth BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    folded TEXT COLLATE "C",
    content TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    verification TEXT COLLATE "C",
    stored BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, release_id, id)
);
CREATE INDEX artifacts_artifacts_id ON artifacts_artifacts (tenant_id, id, release_id);
CREATE INDEX artifacts_artifacts_name ON artifacts_artifacts
    (tenant_id, substr(name, 1, 100), id);
CREATE INDEX artifacts_artifacts_modified ON artifacts_artifacts (tenant_id, modified, id);
CREATE INDEX artifacts_artifacts_description ON artifacts_artifacts
    (tenant_id, substr(description, 1, 100));
CREATE INDEX artifacts_artifacts_folded ON artifacts_artifacts
    (tenant_id, substr(folded, 1, 100));

CREATE TABLE artifacts_types (
    tenant_id TEXT COLLATE "C" NOT NULL,
    release_id TEXT COLLATE "C" NOT NULL,
    artifact_id TEXT COLLATE "C" NOT NULL,
    nth BIGINT NOT NULL,
    device_type TEXT COLLATE "C" NOT NULL,
    folded TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, release_id, artifact_id, nth)
);
CREATE INDEX artifacts_types_type ON artifacts_types
    (tenant_id, substr(device_type, 1, 100), release_id, artifact_id);
CREATE INDEX artifacts_types_folded ON artifacts_types
    (tenant_id, substr(folded, 1, 100), release_id, artifact_id);

CREATE TABLE artifacts_retired (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE artifacts_uploads (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE artifacts_settings (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
