-- `rollout` says how a deployment goes about it, as JSON; `starts` is when its first phase begins,
-- where that is not at once. `phase` is the one in which a device began, `tries` how often it did,
-- `failed`: it is to try again.
ALTER TABLE deployments_deployments ADD COLUMN rollout TEXT NOT NULL DEFAULT '{}';
ALTER TABLE deployments_deployments ADD COLUMN starts BIGINT;
ALTER TABLE deployments_devices ADD COLUMN phase BIGINT;
ALTER TABLE deployments_devices ADD COLUMN tries BIGINT NOT NULL DEFAULT 1;
ALTER TABLE deployments_devices ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
DROP INDEX deployments_devices_status;
-- Lists of a deployment's devices, and all that is counted.
CREATE INDEX deployments_devices_status ON deployments_devices
    (tenant_id, deployment_id, status, device_id, attempt, deleted, replaced, bytes, phase)
    WHERE stage = 'record';
