-- A release has the hash of its name as id, and indexes have the first hundred characters of
-- names: those may be longer than what an index can hold. No more than one open deployment has a
-- fingerprint; `unique_key` is it until the end.
CREATE TABLE deployments_deployments (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    release_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    force_installation INTEGER NOT NULL,
    audience TEXT NOT NULL,
    group_names TEXT NOT NULL,
    fingerprint TEXT,
    unique_key TEXT NOT NULL,
    max_devices INTEGER NOT NULL,
    ticket TEXT NOT NULL,
    created INTEGER NOT NULL,
    state TEXT NOT NULL,
    finished INTEGER,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    artifacts TEXT NOT NULL,
    configuration TEXT,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX deployments_deployments_key ON deployments_deployments (tenant_id, unique_key);
CREATE INDEX deployments_deployments_created ON deployments_deployments
    (tenant_id, created DESC, id);
CREATE INDEX deployments_deployments_kind ON deployments_deployments
    (tenant_id, kind, created DESC, id);
CREATE INDEX deployments_deployments_open ON deployments_deployments
    (tenant_id, created DESC, id) WHERE finished IS NULL;
CREATE INDEX deployments_deployments_finished ON deployments_deployments
    (tenant_id, created DESC, id) WHERE finished IS NOT NULL;
CREATE INDEX deployments_deployments_name ON deployments_deployments
    (tenant_id, substr(name, 1, 100));
CREATE INDEX deployments_deployments_release ON deployments_deployments
    (tenant_id, release_id) WHERE finished IS NULL;
CREATE INDEX deployments_deployments_ended ON deployments_deployments
    (tenant_id, release_id, finished) WHERE finished IS NOT NULL;

CREATE TABLE deployments_groups (
    tenant_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, group_name, deployment_id)
) WITHOUT ROWID;

-- The first hundred characters of the words of names.
CREATE TABLE deployments_words (
    tenant_id TEXT NOT NULL,
    word TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, word, deployment_id)
) WITHOUT ROWID;

CREATE TABLE deployments_targets (
    tenant_id TEXT NOT NULL,
    ticket TEXT NOT NULL,
    id TEXT NOT NULL,
    devices TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, ticket, id)
);

-- `status`, `ended_status` and `late` are numbers in the order of lists. `open`: the deployment
-- can't end before it; `current`: the next poll of the device is about it.
CREATE TABLE deployments_devices (
    tenant_id TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stage TEXT NOT NULL,
    record_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    substate TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    deleted INTEGER,
    replaced INTEGER NOT NULL,
    request TEXT,
    artifact_id TEXT,
    bytes INTEGER NOT NULL,
    log INTEGER NOT NULL,
    ended_status INTEGER,
    ended_at INTEGER,
    late INTEGER,
    open INTEGER NOT NULL,
    current INTEGER NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, device_id, attempt)
) WITHOUT ROWID;
CREATE INDEX deployments_devices_current ON deployments_devices
    (tenant_id, device_id) WHERE current = 1;
CREATE INDEX deployments_devices_open ON deployments_devices
    (tenant_id, deployment_id, device_id, attempt) WHERE open = 1;
CREATE INDEX deployments_devices_record ON deployments_devices
    (tenant_id, record_id) WHERE stage = 'record';
CREATE INDEX deployments_devices_history ON deployments_devices
    (tenant_id, device_id, created) WHERE stage = 'record';
CREATE INDEX deployments_devices_dropped ON deployments_devices
    (tenant_id, device_id) WHERE stage = 'dropped';
-- Lists of a deployment's devices, and all that is counted.
CREATE INDEX deployments_devices_status ON deployments_devices
    (tenant_id, deployment_id, status, device_id, attempt, deleted, replaced, bytes)
    WHERE stage = 'record';
CREATE INDEX deployments_devices_ended ON deployments_devices
    (tenant_id, device_id, ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE deployments_logs (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
