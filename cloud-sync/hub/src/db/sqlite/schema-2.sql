-- What one device costs is bounded: each search goes by an index, and what a batch may move is counted beforehand.

-- Windows and events taken from a device so far, against its quota.
ALTER TABLE devices ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET rows =
    (SELECT count(*) FROM events WHERE device = devices.id)
    + (SELECT count(*) FROM windows WHERE sensor IN (SELECT id FROM sensors WHERE device = devices.id));

-- Windows and events of a boot that came before its clock was known: what moves if it turns out to be another boot.
ALTER TABLE boots ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;

DROP INDEX boots_of_device;
CREATE INDEX boots_of_device ON boots (device, number, offset);
CREATE INDEX dated_boots ON boots (device, offset);
CREATE INDEX boots_of_streams ON stream_boots (boot);
CREATE INDEX streams_of_device ON streams (device, id);
CREATE INDEX streams_by_beginning ON streams (device, created);
CREATE INDEX events_of_boot ON events (boot);
CREATE INDEX alerts_of_boot ON alerts (boot);
CREATE INDEX alerts_of_device ON alerts (device, id);
CREATE INDEX alerts_not_over ON alerts (device, id) WHERE state <> 'resolved';
CREATE INDEX live_of_boot ON live (boot);
DROP INDEX alerts_by_key;
CREATE INDEX alerts_by_key ON alerts (device, zone, rule, sensor, stream);
-- What devices say about their bundles, newest last; those that were taken apart, since thousands may have been refused.
CREATE INDEX events_of_bundles ON events (device, stream, seq) WHERE kind = 'bundle';
CREATE INDEX events_of_taken_bundles ON events (device, stream, seq)
    WHERE kind = 'bundle' AND body ->> 'outcome' <> 'refused';

-- The windows of boots without a known clock, at most some thousand of each boot.
CREATE TABLE undated_windows (
    boot INTEGER NOT NULL,
    sensor INTEGER NOT NULL,
    grain TEXT NOT NULL,
    start INTEGER NOT NULL,
    PRIMARY KEY (boot, sensor, grain, start)
) STRICT, WITHOUT ROWID;

CREATE TEMPORARY TABLE undated (boot INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
INSERT INTO undated SELECT id, 0 FROM boots WHERE offset IS NULL;
UPDATE undated SET rows = (SELECT count(*) FROM events WHERE events.boot = undated.boot);
CREATE TEMPORARY TABLE windows_of AS
    SELECT boot, count(*) AS rows FROM windows WHERE boot IN (SELECT boot FROM undated) GROUP BY boot;
UPDATE undated SET rows = rows + coalesce((SELECT rows FROM windows_of WHERE windows_of.boot = undated.boot), 0);
UPDATE boots SET rows = (SELECT rows FROM undated WHERE undated.boot = boots.id) WHERE offset IS NULL;
INSERT INTO undated_windows
    SELECT boot, sensor, grain, start FROM windows WHERE boot IN (SELECT boot FROM undated WHERE rows <= 5000);
DROP TABLE windows_of;
DROP TABLE undated;
