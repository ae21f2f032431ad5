-- Rows say when the hub received them, which never changes: retention goes by that, per tenant. What a device said last has a table
-- of its own. Which alerts can be open is known without looking at all that ever were.

-- How long a tenant's windows, events and batches are kept, in ms since they were received; for ever where it is not said.
ALTER TABLE tenants ADD COLUMN keep_windows INTEGER;
ALTER TABLE tenants ADD COLUMN keep_events INTEGER;
ALTER TABLE tenants ADD COLUMN keep_batches INTEGER;

-- What came before this version was received when its device was last heard, at the latest.
ALTER TABLE windows ADD COLUMN tenant INTEGER NOT NULL DEFAULT 0;
ALTER TABLE windows ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
UPDATE windows SET (tenant, received) = (
    SELECT devices.tenant, coalesce(devices.last_heard, devices.created)
    FROM sensors JOIN devices ON devices.id = sensors.device WHERE sensors.id = windows.sensor
);
CREATE INDEX windows_by_received ON windows (tenant, received);
CREATE INDEX events_by_received ON events (device, received);

ALTER TABLE runs ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET received = (SELECT last_heard FROM streams WHERE streams.id = runs.stream);
-- Sequences at and below are confirmed, and what they brought is no longer known: whoever sends them again is told that they are.
ALTER TABLE lanes ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;

-- What a device said last, written at most once a minute unless its stream or version changes.
CREATE TABLE device_state (
    device INTEGER PRIMARY KEY REFERENCES devices,
    -- To the minute.
    last_heard INTEGER,
    -- The stream that speaks for the device now.
    stream INTEGER REFERENCES streams,
    -- The highest version of a configuration that the device said it has.
    shown_version INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO device_state SELECT id, last_heard, stream, shown_version FROM devices;
CREATE INDEX devices_by_last_heard ON device_state (last_heard);
ALTER TABLE devices DROP COLUMN last_heard;
ALTER TABLE devices DROP COLUMN stream;
ALTER TABLE devices DROP COLUMN shown_version;

-- When the device's next stream began; its alerts are open for a day after that.
ALTER TABLE streams ADD COLUMN replaced INTEGER;
UPDATE streams SET replaced = (
    SELECT created FROM streams AS next WHERE next.device = streams.device AND next.id > streams.id ORDER BY next.id LIMIT 1
);
CREATE INDEX streams_by_replaced ON streams (device, replaced);
DROP INDEX alerts_not_over;
CREATE INDEX alerts_not_over ON alerts (stream, id) WHERE state <> 'resolved';
