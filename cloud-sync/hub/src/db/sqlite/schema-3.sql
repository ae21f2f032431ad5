-- The epoch in answers to a device that knew more than this database; else the hub's own.
ALTER TABLE devices ADD COLUMN epoch TEXT;
