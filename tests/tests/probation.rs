//! Probation of configurations: a bundle of the hub under which sensors fall silent is reverted and reported; one that removes a
//! sensor on purpose is kept; files on site under which sensors fall silent stay in use, with a warning.
//!
//! The agent runs on the machine's clock, so that a line that no sensor is read from takes time all the same.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::board::serial_line;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::{CLIENT, DEVICE, Hub};

/// Two sensors on one line, which speak every half second.
const FARM: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'line:gateway/temp'
interval = '1s'
range = [-20, 60]
[sensors.'room/hum']
quantity = 'humidity'
input = 'line:gateway/hum'
interval = '1s'
";

/// No sensor is where the board has it.
fn silencing() -> String {
    FARM.replace("gateway/temp", "gateway/t").replace("gateway/hum", "gateway/h")
}

fn without_humidity() -> String {
    FARM.split("[sensors.'room/hum']").next().unwrap().to_owned()
}

/// A board that speaks for as long as this lives.
struct Speaking {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    port: PathBuf,
}

impl Speaking {
    fn new() -> Speaking {
        let (mut end, kept_open, port) = serial_line().unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let _kept_open = kept_open;
            while !seen.load(Ordering::Relaxed) {
                let _ = end.write_all(b"temp=21.5 hum=60\n");
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Speaking { ends, thread: Some(thread), port }
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

struct Story {
    farm: Farm,
    hub: Hub,
    folder: Folder,
    _board: Speaking,
}

impl Story {
    /// A farm whose two sensors are good under the hub's first bundle.
    #[track_caller]
    fn new(name: &str) -> Story {
        let folder = Folder::new(&format!("{name}-hub"));
        let mut hub = Hub::new(&folder.path().join("hub"));
        hub.serve();
        let board = Speaking::new();
        let mut farm = Farm::of_hub(name, FARM, &hub);
        farm.board = None;
        farm.clock = "system";
        let site = fs::read_to_string(farm.folder.path().join("etc/agent.toml")).unwrap();
        let link = farm.folder.path().join("usb-board");
        let site = site.replace(link.to_str().unwrap(), board.port.to_str().unwrap());
        farm.folder.write("etc/agent.toml", site);
        let story = Story { farm, hub, folder, _board: board };
        story.configure(FARM);
        story
    }

    fn configure(&self, config: &str) {
        let config = self.folder.write("put/farm.toml", config);
        // What is gone is meant to be.
        let put = ["config", "put", config.to_str().unwrap(), "--client", CLIENT, "--device", DEVICE, "--force"];
        self.hub.call(&put);
    }

    /// The agent begins, both sensors are good, and the bundle of this version is in force.
    #[track_caller]
    fn begin(&mut self) {
        self.farm.launch();
        self.until_version(1);
        self.until_good();
    }

    #[track_caller]
    fn until_good(&mut self) {
        self.farm.until("both sensors are good", |farm| {
            let said = farm.ask(&["sensors", "--json"]).out;
            let rows: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let room = rows.iter().filter(|row| row["sensor"].as_str().is_some_and(|id| id.starts_with("room/")));
            room.filter(|row| row["quality"] == "good").count() == 2
        });
    }

    #[track_caller]
    fn until_version(&mut self, version: u64) {
        self.farm.until(&format!("bundle {version} is running"), |farm| running(farm) == Some(version));
    }

    /// The hub has another configuration, and it is in force.
    #[track_caller]
    fn puts(&mut self, version: u64, config: &str) {
        self.configure(config);
        self.until_version(version);
    }

    /// The hub was told that a bundle was reverted, and shows it to its operator.
    #[track_caller]
    fn until_reverted(&mut self, version: u64, running: &Value, reason: &str) {
        let hub = &self.hub;
        self.farm.until("the hub is told", |_| hub.said_of_bundle()["outcome"] == "refused");
        let said = hub.said_of_bundle();
        let why = said["reason"].as_str().unwrap();
        assert_eq!((said["version"].as_u64(), why.starts_with("reverted: ")), (Some(version), true), "{said}");
        assert!(why.contains(reason), "{why}");
        let device: Value = serde_json::from_str(&hub.call(&["device", "list", "--json"])).unwrap();
        assert_eq!((&device["running_version"], &device["waiting_version"]), (running, &Value::Null), "{device}");
        let shown = hub.call(&["device", "list"]);
        assert!(shown.contains("reverted: "), "{shown}");
        let (log, shown) = (self.farm.log(), self.farm.shown());
        assert!(log.contains(&format!("bundle {version} reverted, ")) && log.contains(reason), "{log}");
        assert!(shown.contains(&format!("bundle {version} was reverted: ")) && shown.contains(reason), "{shown}");
    }
}

fn sync(farm: &Farm) -> Value {
    farm.status().map(|status| status["sync"].clone()).unwrap_or_default()
}

fn running(farm: &Farm) -> Option<u64> {
    sync(farm)["bundle"]["version"].as_u64()
}

/// Then follows since when, or where the time of day is not known for how long.
const SILENT: &str = "room/temp has had no value ";

/// Guards against: a farm that is not watched because somebody changed a name at the hub, far away.
#[test]
fn a_bundle_that_silences_every_sensor_is_reverted_and_reported_and_not_tried_again() {
    let mut story = Story::new("prob-silent");
    story.begin();
    story.puts(2, &silencing());
    story.until_reverted(2, &Value::from(1), SILENT);
    assert!(story.hub.said_of_bundle()["reason"].as_str().unwrap().contains("room/hum has had no value "));
    assert_eq!(running(&story.farm), Some(1));
    story.until_good();

    // Nor after a restart, until another version comes.
    story.farm.stop();
    story.farm.launch();
    story.until_good();
    assert_eq!(running(&story.farm), Some(1));
    assert!(story.farm.shown().contains("bundle 2 was reverted: "), "{}", story.farm.shown());
    // A person may say so: it is tried, and reverted once more.
    assert_eq!(story.farm.ask(&["retry"]).out, "bundle 2 is running, on probation\n");
    story.farm.until("reverted once more", |farm| farm.log().matches("bundle 2 reverted, ").count() == 2);
    story.puts(3, &FARM.replace("60]", "61]"));
    story.until_good();
    assert!(story.farm.ask(&["retry"]).err.contains("no bundle is rejected"));
    assert!(!story.farm.shown().contains("reverted"), "{}", story.farm.shown());
}

#[test]
fn a_bundle_that_removes_a_sensor_or_moves_its_range_on_purpose_is_not_reverted() {
    let mut story = Story::new("prob-meant");
    story.begin();
    story.puts(2, &without_humidity());
    story.farm.until("it passed", |farm| farm.log().contains("bundle 2 passed its probation"));
    assert_eq!((running(&story.farm), sync(&story.farm)["probation"].clone()), (Some(2), Value::Null));
    story.puts(3, &without_humidity().replace("[-20, 60]", "[-20, 0]"));
    story.farm.until("it passed", |farm| farm.log().contains("bundle 3 passed its probation"));
    assert_eq!((running(&story.farm), story.hub.said_of_bundle()["outcome"].clone()), (Some(3), "applied".into()));
}

/// A link that is dead, and a power cut, are no reason to return; and what was silenced is found out after them as well.
#[test]
fn a_dead_link_reverts_nothing_and_a_power_cut_within_the_probation_ends_it_for_nobody() {
    let mut story = Story::new("prob-cut");
    story.begin();
    story.puts(2, &FARM.replace("60]", "61]"));
    story.hub.stop();
    story.farm.kill();
    story.farm.launch();
    story.farm.until("it is on probation still", |farm| sync(farm)["probation"].is_array() && running(farm) == Some(2));
    story.farm.until("it passed", |farm| farm.log().contains("bundle 2 passed its probation"));
    assert_eq!(running(&story.farm), Some(2));

    story.hub.serve();
    story.puts(3, &silencing());
    story.farm.kill();
    story.hub.stop();
    story.farm.launch();
    story.farm.until("the one before is running", |farm| running(farm) == Some(2));
    story.until_good();
    story.hub.serve();
    story.until_reverted(3, &Value::from(2), SILENT);
}

/// The files on site were in force before the hub's first bundle.
#[test]
fn the_first_bundle_returns_to_the_files_on_site() {
    let mut story = Story::new("prob-first");
    story.hub.stop();
    story.farm.launch();
    story.until_good();
    story.configure(&silencing());
    story.hub.serve();
    story.until_version(2);
    story.until_reverted(2, &Value::Null, SILENT);
    assert_eq!(running(&story.farm), None);
    story.until_good();
    story.farm.kill();
    story.farm.launch();
    story.until_good();
}

/// A person at the farm decides; but is told.
#[test]
fn files_on_site_are_not_reverted_and_people_are_told() {
    let mut story = Story::new("prob-files");
    story.farm.write_site("");
    let board = story.farm.folder.path().join("usb-board");
    std::os::unix::fs::symlink(&story._board.port, board).unwrap();
    story.farm.launch();
    story.until_good();
    story.farm.folder.write("etc/config.d/farm.toml", silencing());
    story.farm.until("a warning", |farm| farm.shown().contains("since the configuration changed, "));
    let shown = story.farm.shown();
    assert!(shown.contains(SILENT), "{shown}");
    let said = ["since the configuration changed, ", "the changed files keep running"];
    story.farm.until("the log has it", |farm| said.iter().all(|said| farm.log().contains(said)));
}
