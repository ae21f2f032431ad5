-- One-time codes by which devices get their keys. A code that was not exchanged goes 30 days after its expiry, with the
-- device's next one.
CREATE TABLE enrolment_codes (
    -- Public id of the code.
    id TEXT PRIMARY KEY,
    -- SHA-256 of its secret.
    hash BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES devices,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER,
    -- CA certificate of the hub in PEM, which the code names by its hash; null where devices trust it anyway.
    ca TEXT,
    -- The key that the code was exchanged for, and when.
    key TEXT REFERENCES keys,
    used INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolment_codes_of_device ON enrolment_codes (device, created);
