-- `tally` is what had come of a deployment when it ended, as JSON, once that is counted. Of the rows
-- of such a deployment only those count anew whose devices reported after its end: `late` is the
-- status that they had then.
ALTER TABLE deployments_deployments ADD COLUMN tally TEXT;
CREATE INDEX deployments_devices_late ON deployments_devices
    (tenant_id, deployment_id, late, status, replaced)
    WHERE late IS NOT NULL AND stage = 'record';
DROP INDEX deployments_devices_status;
-- Lists of a deployment's devices, and all that is counted.
CREATE INDEX deployments_devices_status ON deployments_devices
    (tenant_id, deployment_id, status, device_id, attempt, deleted, replaced, bytes, phase, late)
    WHERE stage = 'record';
