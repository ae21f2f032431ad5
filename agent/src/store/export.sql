-- An export. The views are what docs/export.md describes, and stay; the tables below them may change. Readable by SQLite 3.25 and later.
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
-- 'wall_at_zero': milliseconds since 1970 at the boot's uptime zero, where the time of day was learnt.
CREATE TABLE boot (id INTEGER PRIMARY KEY, wall_at_zero INTEGER);
CREATE TABLE series (id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, quantity TEXT NOT NULL, unit TEXT NOT NULL);
CREATE TABLE reading (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    value REAL NOT NULL,
    quality TEXT NOT NULL,
    before_calibration REAL
);
CREATE TABLE "window" (
    minutes INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    series INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    count INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    lowest REAL,
    mean REAL,
    highest REAL,
    last REAL,
    spread REAL,
    PRIMARY KEY (minutes, boot, uptime, series)
) WITHOUT ROWID;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    kind TEXT NOT NULL,
    alert INTEGER,
    body TEXT NOT NULL
);

CREATE VIEW readings AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', (b.wall_at_zero + t.uptime) / 1000, 'unixepoch')
        || printf('.%03dZ', (b.wall_at_zero + t.uptime) % 1000) AS time,
    s.sensor, t.value, s.unit, t.quality, t.before_calibration, t.boot, t.uptime / 1000.0 AS uptime_s
FROM reading AS t CROSS JOIN series AS s ON s.id = t.series CROSS JOIN boot AS b ON b.id = t.boot;

CREATE VIEW windows AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', (b.wall_at_zero + t.uptime) / 1000, 'unixepoch')
        || printf('.%03dZ', (b.wall_at_zero + t.uptime) % 1000) AS time,
    t.minutes, s.sensor, t.count, t.bad, t.lowest, t.mean, t.highest, t.last, t.spread, s.unit, t.boot,
    t.uptime / 1000.0 AS uptime_s
FROM "window" AS t CROSS JOIN series AS s ON s.id = t.series CROSS JOIN boot AS b ON b.id = t.boot;

CREATE VIEW events AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', (b.wall_at_zero + t.uptime) / 1000, 'unixepoch')
        || printf('.%03dZ', (b.wall_at_zero + t.uptime) % 1000) AS time,
    t.kind,
    json_extract(t.body, '$.zone') AS zone,
    json_extract(t.body, '$.rule') AS rule,
    json_extract(t.body, '$.sensor') AS sensor,
    coalesce(json_extract(t.body, '$.message'), json_extract(t.body, '$.text')) AS message,
    t.body, t.boot, t.uptime / 1000.0 AS uptime_s, t.seq
FROM event AS t CROSS JOIN boot AS b ON b.id = t.boot
ORDER BY t.seq;

CREATE VIEW notes AS
SELECT time, json_extract(body, '$.by') AS by, message AS text, boot, uptime_s FROM events WHERE kind = 'note' ORDER BY seq;

-- One row for each alert that fired: as its newest transition has it, with the times of all.
CREATE VIEW alerts AS
SELECT
    newest.alert,
    json_extract(newest.body, '$.zone') AS zone,
    json_extract(newest.body, '$.rule') AS rule,
    json_extract(newest.body, '$.sensor') AS sensor,
    json_extract(newest.body, '$.severity') AS severity,
    json_extract(newest.body, '$.since') AS since,
    times.fired, times.resolved, times.is_over,
    json_extract(newest.body, '$.reason') AS reason,
    acknowledged.by AS acknowledged_by,
    json_extract(newest.body, '$.message') AS message
FROM
    (SELECT alert, body, max(seq) FROM event WHERE kind = 'alert' AND alert IS NOT NULL GROUP BY alert) AS newest
    JOIN (
        SELECT
            json_extract(body, '$.alert') AS alert,
            min(CASE json_extract(body, '$.event') WHEN 'firing' THEN time END) AS fired,
            max(CASE json_extract(body, '$.event') WHEN 'resolved' THEN time END) AS resolved,
            max(json_extract(body, '$.event') = 'resolved') AS is_over
        FROM events WHERE kind = 'alert' GROUP BY 1
    ) AS times ON times.alert = newest.alert
    LEFT JOIN (
        SELECT alert, json_extract(body, '$.by') AS by, max(seq)
        FROM event WHERE kind = 'alert' AND json_extract(body, '$.event') = 'acknowledged' GROUP BY alert
    ) AS acknowledged ON acknowledged.alert = newest.alert
ORDER BY newest.alert;

CREATE VIEW actuations AS
SELECT
    time, zone, json_extract(body, '$.actuator') AS actuator, json_extract(body, '$.action') AS "action",
    json_extract(body, '$.reason') AS reason, json_extract(body, '$.by') AS by, rule, sensor, message, boot, uptime_s, seq
FROM events WHERE kind = 'actuation' ORDER BY seq;

-- One row for each time that an actuator was on, until it was off or switched on again.
CREATE VIEW doses AS
SELECT
    time, zone, actuator,
    CASE WHEN next_boot = boot THEN round(next_uptime_s - uptime_s, 3) END AS seconds,
    CASE next_action WHEN 'lost' THEN 'not confirmed' WHEN 'on' THEN 'on again' ELSE next_reason END AS ended,
    by, rule, sensor, boot, uptime_s
FROM (
    SELECT
        *, lead("action") OVER later AS next_action, lead(reason) OVER later AS next_reason,
        lead(boot) OVER later AS next_boot, lead(uptime_s) OVER later AS next_uptime_s
    FROM actuations WHERE "action" IN ('on', 'off', 'lost')
    WINDOW later AS (PARTITION BY actuator ORDER BY seq)
)
WHERE "action" = 'on' ORDER BY seq;
