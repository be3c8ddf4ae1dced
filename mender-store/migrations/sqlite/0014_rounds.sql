-- `round`: how often the deployment had been resumed when thresholds last counted how the device
-- ended.
ALTER TABLE deployments_devices ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
