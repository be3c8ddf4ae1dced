-- Texts may be longer than what an index can hold: a release has the hash of its name as id, and
-- indexes have the first hundred characters.
CREATE TABLE artifacts_releases (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    tags TEXT NOT NULL,
    notes TEXT NOT NULL,
    modified INTEGER NOT NULL,
    leaving INTEGER,
    first_tag TEXT NOT NULL,
    last_tag TEXT NOT NULL,
    artifact_count INTEGER NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
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
    tenant_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    release_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, tag, release_id)
) WITHOUT ROWID;

CREATE TABLE artifacts_kinds (
    tenant_id TEXT NOT NULL,
    kind_hash TEXT NOT NULL,
    release_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind_hash, release_id)
) WITHOUT ROWID;

-- In the order of `added`, the version of the release, and `nth`.
CREATE TABLE artifacts_artifacts (
    tenant_id TEXT NOT NULL,
    release_id TEXT NOT NULL,
    id TEXT NOT NULL,
    added INTEGER NOT NULL,
    nth INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    folded TEXT,
    content TEXT NOT NULL,
    size INTEGER NOT NULL,
    verification TEXT,
    stored INTEGER NOT NULL,
    modified INTEGER NOT NULL,
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
    tenant_id TEXT NOT NULL,
    release_id TEXT NOT NULL,
    artifact_id TEXT NOT NULL,
    nth INTEGER NOT NULL,
    device_type TEXT NOT NULL,
    folded TEXT NOT NULL,
    PRIMARY KEY (tenant_id, release_id, artifact_id, nth)
) WITHOUT ROWID;
CREATE INDEX artifacts_types_type ON artifacts_types
    (tenant_id, substr(device_type, 1, 100), release_id, artifact_id);
CREATE INDEX artifacts_types_folded ON artifacts_types
    (tenant_id, substr(folded, 1, 100), release_id, artifact_id);

CREATE TABLE artifacts_retired (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE artifacts_uploads (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE artifacts_settings (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
