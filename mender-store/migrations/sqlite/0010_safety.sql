-- `dynamic`: devices join as they ask. `conduct` is what was decided about a deployment since it was
-- created, as JSON. `heard` is when a device was last heard of, where that matters; `fetching`: it
-- counts among those that fetch. `outcome` is what was decided when it last asked, as JSON.
ALTER TABLE deployments_deployments ADD COLUMN dynamic INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments_deployments ADD COLUMN conduct TEXT NOT NULL DEFAULT '{}';
ALTER TABLE deployments_devices ADD COLUMN heard INTEGER;
ALTER TABLE deployments_devices ADD COLUMN fetching INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments_devices ADD COLUMN outcome TEXT;
CREATE INDEX deployments_deployments_dynamic ON deployments_deployments
    (tenant_id) WHERE dynamic = 1 AND finished IS NULL;
CREATE INDEX deployments_devices_watched ON deployments_devices
    (tenant_id, deployment_id, heard, device_id, attempt)
    WHERE heard IS NOT NULL AND open = 1 AND stage = 'record';
