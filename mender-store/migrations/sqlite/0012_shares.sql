-- `shares`: the device counts among those of its tenant that fetch.
ALTER TABLE deployments_devices ADD COLUMN shares INTEGER NOT NULL DEFAULT 0;
