//! A room with one thermometer on the line `gateway`, told in minutes on the event-time clock, and what a hub has of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::farm::Farm;
use super::hub::Hub;

/// 2026-03-01T00:00:00Z: where its time begins.
pub const BEGIN_MS: i64 = 1_772_323_200_000;

/// A minute.
pub const MINUTE_MS: i64 = 60_000;

/// Between two readings.
const STEP_MS: i64 = 10_000;

/// Configuration of the room: `hot` above a limit.
#[must_use]
pub fn config(limit: u32) -> String {
    format!(
        "
        [sensors.'room/temp']
        quantity = 'temperature'
        input = 'line:gateway/temp'
        stamp = 'source'
        interval = '10s'

        [rules.hot]
        sensor = 'room/temp'
        above = {limit}
        cooldown = '0s'
        severity = 'warning'
        "
    )
}

/// The configuration of a room with a thermometer and the level of a tank: `hot` above 30 and `low` below 20, and no other rule.
pub const WITH_LEVEL: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'line:gateway/temp'
stamp = 'source'
interval = '10s'
max_rate = 1000
[sensors.'room/level']
quantity = 'water_level'
input = 'line:gateway/level'
stamp = 'source'
interval = '10s'
max_rate = 1000
[rules.hot]
sensor = 'room/temp'
above = 30
cooldown = '0s'
severity = 'warning'
message = 'hot {value}'
[rules.low]
sensor = 'room/level'
below = 20
cooldown = '0s'
severity = 'warning'
message = 'low {value}'
[rules.water-level-low]
enabled = false
[rules.temperature-high]
enabled = false
[rules.sensor-silent]
enabled = false
";

/// The room's farm, and how far its time has come.
#[derive(Debug)]
pub struct Room {
    /// With `hot` above 30 while no hub says otherwise.
    pub farm: Farm,
    now_ms: i64,
}

impl Room {
    /// Of a hub; the agent does not run yet.
    #[must_use]
    pub fn of_hub(name: &str, hub: &Hub) -> Room {
        Room { farm: Farm::of_hub(name, &config(30), hub), now_ms: BEGIN_MS }
    }

    /// Readings of so many minutes.
    ///
    /// # Panics
    /// When the line is broken.
    #[track_caller]
    pub fn minutes(&mut self, minutes: i64, value: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * MINUTE_MS / STEP_MS {
            let _ = writeln!(lines, "time={} temp={value}", self.now_ms);
            self.now_ms += STEP_MS;
        }
        self.farm.say(lines);
    }

    /// How many minutes are over by what was said.
    ///
    /// # Panics
    /// Never: time goes on.
    #[must_use]
    pub fn closed_minutes(&self) -> usize {
        usize::try_from((self.now_ms - STEP_MS - BEGIN_MS).max(0) / MINUTE_MS).expect("not below 0")
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When that takes too long, or the agent ends meanwhile.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        self.farm.until(what, |_| is_so());
    }

    /// How often people were told of `hot`, as the agent's log has it.
    #[must_use]
    pub fn pages(&self) -> usize {
        Room::pages_of(&self.farm.log())
    }

    /// As [`Room::pages`], of a log.
    #[must_use]
    pub fn pages_of(log: &str) -> usize {
        log.lines().filter(|line| line.starts_with("notify ") && line.contains("room")).count()
    }
}

/// The windows of its first hours at the hub: how many readings came in each, by its start.
///
/// # Panics
/// When one is there twice.
#[must_use]
#[track_caller]
pub fn windows(hub: &Hub) -> BTreeMap<String, u64> {
    let path = format!("/api/data?sensor=room/temp&from={}&to={}", BEGIN_MS - MINUTE_MS, BEGIN_MS + 600 * MINUTE_MS);
    let mut found = BTreeMap::new();
    for window in hub.list(&path, "windows") {
        let start = window["start"].as_str().expect("a start").to_owned();
        let count = |name: &str| window[name].as_u64().expect("a count");
        // A leap is doubted and counted apart.
        assert_eq!(found.insert(start, count("count") + count("bad")), None, "twice: {window}");
    }
    found
}

/// How many alerts of a limit fire.
#[must_use]
pub fn firing(alerts: &[Value], limit: f64) -> usize {
    alerts.iter().filter(|alert| alert["state"] == "firing" && alert["limit"].as_f64() == Some(limit)).count()
}
