-- Rows are known again by marks of a function that has a version. What the hub cannot take of a batch is counted and shown, and the
-- rows of it that it refused are kept for whoever mends the program.

-- The function that made the marks of a run. A run of kind unread is one row that could not be read; it has no mark.
ALTER TABLE runs ADD COLUMN mark_version INTEGER NOT NULL DEFAULT 1;

-- Rows that were refused so far, and keys that were not known.
ALTER TABLE devices ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN unknown_keys INTEGER NOT NULL DEFAULT 0;

-- Refused rows, the newest 100 of each device.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES devices,
    stream INTEGER NOT NULL REFERENCES streams,
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    -- The row as it came, or as it was read; its beginning where it is long.
    text TEXT NOT NULL,
    received INTEGER NOT NULL,
    UNIQUE (stream, lane, seq)
) STRICT;
CREATE INDEX quarantine_of_device ON quarantine (device, id);
