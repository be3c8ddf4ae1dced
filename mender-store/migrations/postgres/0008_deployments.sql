-- A release has the hash of its name as id, and indexes have the first hundred characters of
-- names: those may be longer than what an index can hold. No more than one open deployment has a
-- fingerprint; `unique_key` is it until the end.
CREATE TABLE deployments_deployments (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    artifact_name TEXT COLLATE "C" NOT NULL,
    release_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    force_installation BIGINT NOT NULL,
    audience TEXT COLLATE "C" NOT NULL,
    group_names TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C",
    unique_key TEXT COLLATE "C" NOT NULL,
    max_devices BIGINT NOT NULL,
    ticket TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    finished BIGINT,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    artifacts TEXT COLLATE "C" NOT NULL,
    configuration TEXT COLLATE "C",
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
    tenant_id TEXT COLLATE "C" NOT NULL,
    group_name TEXT COLLATE "C" NOT NULL,
    deployment_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, group_name, deployment_id)
);

-- The first hundred characters of the words of names.
CREATE TABLE deployments_words (
    tenant_id TEXT COLLATE "C" NOT NULL,
    word TEXT COLLATE "C" NOT NULL,
    deployment_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, word, deployment_id)
);

CREATE TABLE deployments_targets (
    tenant_id TEXT COLLATE "C" NOT NULL,
    ticket TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    devices TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, ticket, id)
);

-- `status`, `ended_status` and `late` are numbers in the order of lists. `open`: the deployment
-- can't end before it; `current`: the next poll of the device is about it.
CREATE TABLE deployments_devices (
    tenant_id TEXT COLLATE "C" NOT NULL,
    deployment_id TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    stage TEXT COLLATE "C" NOT NULL,
    record_id TEXT COLLATE "C" NOT NULL,
    status BIGINT NOT NULL,
    substate TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    deleted BIGINT,
    replaced BIGINT NOT NULL,
    request TEXT COLLATE "C",
    artifact_id TEXT COLLATE "C",
    bytes BIGINT NOT NULL,
    log BIGINT NOT NULL,
    ended_status BIGINT,
    ended_at BIGINT,
    late BIGINT,
    open BIGINT NOT NULL,
    current BIGINT NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, device_id, attempt)
);
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
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
