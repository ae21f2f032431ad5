//! Agent and hub, the real programs: what a serial line says arrives at the hub, once, through an outage; what the hub
//! configures arrives at the agent, if the right key signed it.
//!
//! The agent runs on the input clock: its time is that of the readings. Sync's waits run on the machine's.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;

/// 2026-03-01T00:00:00Z.
const BEGIN_MS: i64 = 1_772_323_200_000;

const MINUTE_MS: i64 = 60_000;

/// Between two readings.
const STEP_MS: i64 = 10_000;

fn farm(limit: u32) -> String {
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
        severity = 'warning'
        "
    )
}

/// A farm on the input clock, and how far its time has come.
struct Story {
    farm: Farm,
    now_ms: i64,
}

impl Story {
    fn new(name: &str, hub: &Hub) -> Story {
        Story { farm: Farm::of_hub(name, &farm(30), hub), now_ms: BEGIN_MS }
    }

    /// Readings of so many minutes.
    fn minutes(&mut self, minutes: i64, value: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * MINUTE_MS / STEP_MS {
            writeln!(lines, "time={} temp={value}", self.now_ms).unwrap();
            self.now_ms += STEP_MS;
        }
        self.farm.say(lines);
    }

    fn closed_minutes(&self) -> usize {
        usize::try_from((self.now_ms - STEP_MS - BEGIN_MS) / MINUTE_MS).unwrap()
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        self.farm.until(what, |_| is_so());
    }

    fn log(&self) -> String {
        self.farm.log()
    }
}

/// The windows of the first hours: how many readings came in each, by its start.
fn windows(hub: &Hub) -> BTreeMap<String, u64> {
    let path = format!("/api/data?sensor=room/temp&from={}&to={}", BEGIN_MS - MINUTE_MS, BEGIN_MS + 600 * MINUTE_MS);
    let mut found = BTreeMap::new();
    for window in hub.list(&path, "windows") {
        let start = window["start"].as_str().unwrap().to_owned();
        // A leap is doubted and counted apart.
        let count = window["count"].as_u64().unwrap() + window["bad"].as_u64().unwrap();
        assert_eq!(found.insert(start, count), None, "twice: {window}");
    }
    found
}

fn firing(alerts: &[Value], limit: f64) -> usize {
    alerts.iter().filter(|alert| alert["state"] == "firing" && alert["limit"].as_f64() == Some(limit)).count()
}

#[test]
fn readings_and_alerts_reach_the_hub_once_through_an_outage_and_its_configuration_reaches_the_agent() {
    let folder = Folder::new("sync-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new("sync-farm", &hub);
    story.farm.start();
    story.minutes(10, 21.0);
    story.minutes(10, 31.5);
    let closed = story.closed_minutes();
    story.until("windows", || windows(&hub).len() >= closed);
    story.until("the alert", || firing(&hub.alerts(), 30.0) == 1);

    story.until("the newest value", || {
        let latest = hub.get("/api/data/latest");
        let mut readings = latest["readings"].as_array().unwrap().iter();
        readings.any(|reading| reading["sensor"] == "room/temp" && reading["value"].as_f64() == Some(31.5))
    });

    // The hub is away, and comes back.
    hub.stop();
    story.minutes(40, 22.0);
    std::thread::sleep(Duration::from_secs(3));
    hub.serve();
    story.minutes(1, 22.0);
    let closed = story.closed_minutes();
    story.until("what was made meanwhile", || windows(&hub).len() >= closed);
    let windows = windows(&hub);
    assert_eq!(windows.len(), closed);
    assert!(windows.values().all(|count| *count == 6), "{windows:?}");
    story.until("the alert is over", || firing(&hub.alerts(), 30.0) == 0);
    assert_eq!(hub.alerts().len(), 1, "{:?}", hub.alerts());

    // The hub's configuration takes the place of the one on site.
    let config = folder.write("put/farm.toml", farm(50));
    hub.configure(&config);
    story.until("the bundle", || hub.said_of_bundle()["outcome"] == "applied");
    assert_eq!(hub.said_of_bundle()["version"], 1);
    story.minutes(2, 45.0);
    story.minutes(2, 55.0);
    story.until("the alert of the new limit", || firing(&hub.alerts(), 50.0) == 1);
    assert_eq!(hub.alerts().len(), 2, "45 is no alert any more: {:?}", hub.alerts());
    assert!(story.log().contains("ignored: config.d/farm.toml"), "{}", story.log());
    let etc = story.farm.folder.path().join("etc");
    let check = story.farm.ask(&["check", "--config", etc.to_str().unwrap()]).out;
    assert!(
        check.contains("the hub's configuration rules this device") && check.contains("config.d/farm.toml"),
        "{check}"
    );

    // Killed at any moment, it goes on by the last good bundle.
    story.farm.kill();
    hub.stop();
    fs::remove_file(story.farm.folder.path().join("log")).unwrap();
    story.farm.start();
    story.minutes(2, 45.0);
    hub.serve();
    story.until("45 is below the hub's limit", || firing(&hub.alerts(), 50.0) == 0);
    let log = story.log();
    assert!(log.contains("the hub's bundle 1 is in force"), "{log}");
    assert!(log.contains("ignored: config.d/farm.toml"), "{log}");
    assert!(!log.contains(&hub.device_key), "the key is in the log");
    assert!(story.log().lines().count() < 60, "it says too much:\n{log}");
}

#[test]
fn a_bundle_of_another_hubs_key_is_refused_and_said() {
    let folder = Folder::new("sync-other-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let other = Hub::new(&folder.path().join("other"));
    hub.serve();
    hub.configure(&folder.write("put/farm.toml", farm(50)));
    let mut story = Story::new("sync-other-farm", &hub);
    story.farm.trust(&other.folder.join("hub.pub"));
    story.farm.start();
    story.minutes(3, 35.0);
    story.until("the refusal", || hub.said_of_bundle()["outcome"] == "refused");
    let reason = hub.said_of_bundle()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("is signed by the key"), "{reason}");
    story.until("the alert of the limit on site", || firing(&hub.alerts(), 30.0) == 1);
    assert!(!story.farm.folder.path().join("data/bundle.good").exists());
    assert_eq!(story.log().matches("is refused").count(), 1, "{}", story.log());
}

/// A refused key is an alert on the farm, like any other: it fires, and is over when the hub takes the device's word again.
#[test]
fn a_hub_that_refuses_the_key_is_an_alert_until_it_does_not() {
    let folder = Folder::new("sync-key-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new("sync-key", &hub);
    let wrong = hub.device_key.replace(|c: char| c.is_ascii_digit(), "7");
    story.farm.give_key(&wrong);
    story.farm.start();
    story.minutes(1, 21.0);
    story.farm.until("the refusal", |farm| {
        farm.status().is_some_and(|status| status["sync"]["alerts"]["key-refused"].is_string())
    });
    story.minutes(2, 21.0);
    story.farm.until("the page", |farm| farm.log().contains("the hub refuses this device"));
    let alerts = story.farm.ask(&["alerts", "--json"]).out;
    assert!(alerts.contains("\"rule\":\"hub-refuses\""), "{alerts}");
    assert!(!story.farm.log().contains(&wrong), "the key is in the log");

    story.farm.give_key(&hub.device_key.clone());
    story.farm.kill();
    story.farm.start();
    story.minutes(2, 21.0);
    story.farm.until("it is over", |farm| farm.ask(&["alerts"]).out.contains("no alert is open"));
    story.until("the hub heard of it", || {
        hub.alerts().iter().any(|alert| alert["rule"] == "hub-refuses" && alert["state"] == "resolved")
    });
}

/// A data folder that is put back from a copy has said other things under the same sequences: it goes on under a new stream,
/// in which what is open is stated again, and no window is there twice.
#[test]
fn a_restored_copy_begins_a_new_stream_and_states_what_is_open() {
    let folder = Folder::new("sync-copy-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new("sync-copy", &hub);
    story.farm.start();
    story.minutes(10, 35.0);
    let closed = story.closed_minutes();
    story.until("windows", || windows(&hub).len() >= closed);
    story.until("the alert", || firing(&hub.alerts(), 30.0) == 1);
    let (data, copy) = (story.farm.folder.path().join("data"), story.farm.folder.path().join("copy"));
    story.farm.kill();
    copy_files(&data, &copy);
    story.farm.start();
    story.minutes(5, 36.0);
    let closed = story.closed_minutes();
    story.until("more windows", || windows(&hub).len() >= closed);
    let stream = |hub: &Hub| hub.get("/api/health")["devices"][0]["stream"].clone();
    let before = stream(&hub);

    story.farm.kill();
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    story.farm.start();
    story.minutes(10, 37.0);
    story.until("another stream", || stream(&hub) != before);
    let last = story.closed_minutes();
    // What the copy did not have is at the hub from before; `windows` looks for what is there twice.
    // The minute in which the agent was killed never closed, and its readings are not in the copy.
    story.until("windows of the new stream", || windows(&hub).len() >= last - 1);
    assert!(!windows(&hub).contains_key("2026-03-01T00:14:00Z"));
    story.until("the alert, open in the new stream", || firing(&hub.alerts(), 30.0) == 1);
    story.until("the open alert, stated again", || {
        let events = hub.get("/api/events?kind=alert&limit=1000");
        let again = events["events"].as_array().unwrap().iter().filter(|event| event["body"]["stated_again"] == true);
        again.count() == 1
    });
    assert_eq!(firing(&hub.alerts(), 30.0), 1);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A hub that takes every connection and never answers: nobody waits for it.
#[test]
fn a_hub_that_never_answers_delays_no_alert() {
    let folder = Folder::new("sync-mute-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    hub.port = mute.local_addr().unwrap().port();
    let mut story = Story::new("sync-mute", &hub);
    story.farm.start();
    let (_held, _) = mute.accept().unwrap();
    story.minutes(5, 21.0);
    story.minutes(3, 31.5);
    let began = Instant::now();
    let log = story.farm.folder.path().join("log");
    story.until("the page", || fs::read_to_string(&log).unwrap().contains("hot"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
