-- Times are milliseconds since 1970 in UTC, by the hub's clock, unless a comment says otherwise.

CREATE TABLE hub (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_heard INTEGER,
    -- The stream that speaks for the device now.
    stream INTEGER REFERENCES streams,
    -- The highest version of a configuration that the device said it has.
    shown_version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, name)
) STRICT;

-- A key of a device, or a tenant's read key where there is no device.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    -- SHA-256 of the whole key.
    hash BLOB NOT NULL,
    tenant INTEGER NOT NULL REFERENCES tenants,
    device INTEGER REFERENCES devices,
    created INTEGER NOT NULL,
    last_used INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_device ON keys (device);

CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_heard INTEGER NOT NULL,
    UNIQUE (device, name)
) STRICT;

-- Everything below and at `confirmed` is accounted for; `lost` counts the sequences that the device says it lost.
CREATE TABLE lanes (
    stream INTEGER NOT NULL REFERENCES streams,
    lane TEXT NOT NULL,
    confirmed INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    PRIMARY KEY (stream, lane)
) STRICT, WITHOUT ROWID;

-- Sequences accounted for, in runs that do not overlap. The kind is rows, lost, replaced or quarantined.
CREATE TABLE runs (
    stream INTEGER NOT NULL REFERENCES streams,
    lane TEXT NOT NULL,
    last INTEGER NOT NULL,
    first INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT,
    -- Of rows: 8 bytes each, by which one that comes again is known.
    marks BLOB,
    PRIMARY KEY (stream, lane, last)
) STRICT, WITHOUT ROWID;

-- Other tables name boots without REFERENCES: two boots may turn out to be one, and looking for children would read them whole.
-- A boot of a device, told apart by its clock where boot numbers begin again. Its rows are stamped by `offset` when read.
CREATE TABLE boots (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    number INTEGER NOT NULL,
    -- Time of day at uptime zero.
    offset INTEGER,
    -- Whether a clock event says so, or only the stamps of rows.
    is_anchored INTEGER NOT NULL DEFAULT 0,
    -- The uptime at which it was said; a later word wins.
    said_at INTEGER,
    source TEXT,
    error_ms INTEGER
) STRICT;
CREATE INDEX boots_of_device ON boots (device, number);

-- Which boot a stream means by its number.
CREATE TABLE stream_boots (
    stream INTEGER NOT NULL REFERENCES streams,
    number INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    PRIMARY KEY (stream, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    stream INTEGER NOT NULL REFERENCES streams,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    received INTEGER NOT NULL,
    UNIQUE (stream, lane, seq)
) STRICT;
CREATE INDEX events_of_device ON events (device, id);
CREATE INDEX events_of_kind ON events (device, kind, id);

CREATE TABLE sensors (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    name TEXT NOT NULL,
    UNIQUE (device, name)
) STRICT;

-- Figures are in steps of `resolution`; the sum of squares is text, since it does not fit 64 bits.
CREATE TABLE windows (
    sensor INTEGER NOT NULL REFERENCES sensors,
    grain TEXT NOT NULL,
    boot INTEGER NOT NULL,
    -- Uptime.
    start INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    quantity TEXT NOT NULL,
    resolution REAL NOT NULL,
    bad INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum INTEGER,
    sum_sq TEXT,
    min INTEGER,
    max INTEGER,
    last INTEGER,
    -- Uptime.
    last_at INTEGER,
    PRIMARY KEY (sensor, grain, boot, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE live (
    sensor INTEGER PRIMARY KEY REFERENCES sensors,
    stream INTEGER NOT NULL REFERENCES streams,
    boot INTEGER NOT NULL,
    boot_number INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    quantity TEXT NOT NULL,
    value REAL NOT NULL,
    quality TEXT NOT NULL,
    received INTEGER NOT NULL
) STRICT;

-- The newest transition of each alert that a device numbered.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    stream INTEGER NOT NULL REFERENCES streams,
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    zone TEXT NOT NULL,
    rule TEXT NOT NULL,
    sensor TEXT NOT NULL,
    state TEXT NOT NULL,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (device, stream, number)
) STRICT;
CREATE INDEX alerts_by_key ON alerts (device, zone, rule, sensor);

-- What the hub itself has to say of a device.
CREATE TABLE hub_alerts (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    rule TEXT NOT NULL,
    since INTEGER NOT NULL,
    last INTEGER NOT NULL,
    times INTEGER NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX hub_alerts_of_device ON hub_alerts (device, rule, last);

CREATE TABLE bundles (
    device INTEGER NOT NULL REFERENCES devices,
    version INTEGER NOT NULL,
    issued INTEGER NOT NULL,
    hash TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (device, version)
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    tenant INTEGER REFERENCES tenants,
    what TEXT NOT NULL
) STRICT;
