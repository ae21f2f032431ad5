-- Where the hub pages about the devices of a tenant.
CREATE TABLE paging (
    tenant INTEGER PRIMARY KEY REFERENCES tenants,
    -- A channel as a document of `notifications` holds one, in JSON; null pages nobody.
    channel TEXT,
    -- Milliseconds after which a device that is not heard is silent; null for the default.
    silent_after INTEGER
) STRICT;

-- Limits of single devices.
CREATE TABLE device_paging (
    device INTEGER PRIMARY KEY REFERENCES devices,
    silent_after INTEGER NOT NULL
) STRICT;

-- Silences that people were to be told of, the newest 100 of each device.
CREATE TABLE silences (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    -- When the device was last heard.
    since INTEGER NOT NULL,
    noticed INTEGER NOT NULL,
    -- When the page was delivered.
    paged INTEGER,
    -- When the device was heard again.
    over INTEGER,
    -- When it was delivered that the device is back.
    over_told INTEGER
) STRICT;
CREATE INDEX silences_of_device ON silences (device, id);
