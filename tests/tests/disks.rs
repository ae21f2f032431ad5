//! Disks that are full, read-only or of no use at all: the farm is watched and people are told, `status` and the log say so,
//! and recording resumes by itself.
//!
//! The disks are real ones and need the right to mount; where there is none each test says that it is skipped. The agent runs
//! on the event-time clock unless said otherwise.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::{Farm, PATIENCE};
use tilth_tests::live::hub::Hub;
use tilth_tests::live::room::{BEGIN_MS, MINUTE_MS, WITH_LEVEL};

/// Between two readings.
const STEP_MS: i64 = 10_000;

/// A farm, and how far its time has come.
struct Story {
    farm: Farm,
    now_ms: i64,
}

impl Story {
    fn new(farm: Farm) -> Story {
        Story { farm, now_ms: BEGIN_MS }
    }

    /// Readings of so many minutes.
    fn minutes(&mut self, minutes: i64, temp: f64, level: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * MINUTE_MS / STEP_MS {
            writeln!(lines, "time={} temp={temp} level={level}", self.now_ms).unwrap();
            self.now_ms += STEP_MS;
        }
        self.farm.say(lines);
    }

    /// Time goes on, a minute after the other, until something is so.
    #[track_caller]
    fn minutes_until(&mut self, what: &str, temp: f64, level: f64, is_so: impl Fn(&Farm) -> bool) {
        for _ in 0..600 {
            if is_so(&self.farm) {
                return;
            }
            self.minutes(1, temp, level);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("never: {what}\n{:#}\n{}", self.farm.status().unwrap_or_default(), self.farm.log());
    }

    #[track_caller]
    fn until_told(&mut self, what: &str, count: usize) {
        self.farm.until(what, |farm| told(farm, what) >= count);
    }
}

/// How often people were told of something.
fn told(farm: &Farm, what: &str) -> usize {
    farm.log().lines().filter(|line| line.starts_with("notify ") && line.contains(what)).count()
}

fn trouble(farm: &Farm) -> Option<String> {
    farm.status()?["store"]["trouble"].as_str().map(str::to_owned)
}

fn is_well(farm: &Farm) -> bool {
    farm.status().is_some_and(|status| status["store"]["trouble"].is_null())
}

fn committed(farm: &Farm, lane: &str) -> u64 {
    farm.status().and_then(|status| status["store"]["lanes"][lane]["committed"].as_u64()).unwrap_or(0)
}

/// How many readings came in each minute that the hub knows, by its start.
fn windows(hub: &Hub, sensor: &str) -> BTreeMap<String, u64> {
    let path = format!("/api/data?sensor={sensor}&from={BEGIN_MS}&to={}&grain=minute", BEGIN_MS + 6000 * MINUTE_MS);
    let mut found = BTreeMap::new();
    for window in hub.list(&path, "windows") {
        let count = window["count"].as_u64().unwrap() + window["bad"].as_u64().unwrap();
        assert_eq!(found.insert(window["start"].as_str().unwrap().to_owned(), count), None, "twice: {window}");
    }
    found
}

fn alerts(hub: &Hub, state: &str) -> Vec<Value> {
    hub.alerts().into_iter().filter(|alert| alert["state"] == state).collect()
}

#[test]
fn a_disk_that_fills_up_delays_no_page_and_costs_nothing_once_there_is_room() {
    let folder = Folder::new("full-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new(Farm::of_hub("full", WITH_LEVEL, &hub));
    let Some(disk) = Disk::in_memory(&story.farm.data(), "3m", "full") else { return };
    story.farm.start();
    story.minutes(10, 21.0, 50.0);
    story.farm.until("something is kept", |farm| committed(farm, "windows") >= 18);

    disk.fill();
    story.minutes_until("the disk is full", 21.0, 50.0, |farm| trouble(farm).is_some());
    assert_eq!(trouble(&story.farm).as_deref(), Some("the disk is full"));
    let shown = story.farm.shown();
    assert!(shown.contains("nothing can be written: the disk is full; pages go out all the same"), "{shown}");
    let noted = story.farm.ask(&["note", "looked at the disk", "--by", "anna"]);
    let ends = "this ends with a restart as long as nothing can be written: the disk is full";
    assert!(noted.code == Some(0) && noted.err.contains(ends), "{noted:?}");
    let said = "tilth-agent: store: the disk is full; alerts and pages go on, recording resumes by itself";
    assert_eq!(story.farm.log().matches(said).count(), 1, "{}", story.farm.log());
    let before = committed(&story.farm, "events");
    story.minutes(5, 31.5, 50.0);
    story.until_told("hot 31.5", 1);
    story.minutes(5, 22.0, 50.0);
    story.farm.until("the good news", |farm| farm.log().contains("-resolved-"));
    story.minutes(60, 22.0, 10.0);
    story.until_told("low 10", 1);
    assert_eq!(committed(&story.farm, "events"), before, "there was no room for them");
    assert_eq!(story.farm.log().matches(said).count(), 1, "said once: {}", story.farm.log());

    // So much that nothing is deleted which the hub does not have yet.
    disk.remount("size=400m");
    disk.free();
    story.farm.until("recording resumes by itself", is_well);
    assert!(story.farm.log().contains("tilth-agent: store: recording works again"), "{}", story.farm.log());
    story.minutes(2, 22.0, 10.0);
    let closed = usize::try_from((story.now_ms - STEP_MS - BEGIN_MS) / MINUTE_MS).unwrap();
    for sensor in ["room/temp", "room/level"] {
        story.farm.until("every minute reaches the hub", |_| windows(&hub, sensor).len() >= closed);
        let found = windows(&hub, sensor);
        assert_eq!(found.len(), closed);
        assert!(found.values().all(|count| *count == 6), "{found:?}");
    }
    story.farm.until("both alerts reach the hub", |_| hub.alerts().len() == 2);
    assert_eq!((alerts(&hub, "resolved").len(), alerts(&hub, "firing").len()), (1, 1), "{:#?}", hub.alerts());
    let lost = &hub.get("/api/health")["devices"][0]["lanes"];
    assert!(lost.as_object().is_some_and(|lanes| lanes.values().all(|lane| lane["lost"] == 0)), "{lost:#}");
}

#[test]
fn beyond_the_limits_of_hours_on_a_full_disk_what_is_lost_is_counted_and_memory_is_bounded() {
    let folder = Folder::new("hours-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new(Farm::of_hub("hours", WITH_LEVEL, &hub));
    let Some(disk) = Disk::in_memory(&story.farm.data(), "12m", "hours") else { return };
    story.farm.start();
    story.minutes(10, 21.0, 50.0);
    story.farm.until("something is kept", |farm| committed(farm, "windows") >= 18);
    disk.fill();
    story.minutes_until("the disk is full", 21.0, 50.0, |farm| trouble(farm).is_some());
    // An alert comes and goes in every two minutes of forty hours: thrice the events that may wait.
    for _ in 0..1200 {
        story.minutes(1, 31.0, 50.0);
        story.minutes(1, 21.0, 50.0);
    }
    let last = story.now_ms;
    story.farm.until("all of it is decided", |farm| {
        let decided = farm.status().and_then(|status| status["readings"]["decided"].as_u64());
        decided.is_some_and(|decided| decided >= u64::try_from((last - BEGIN_MS) / STEP_MS).unwrap() * 2)
    });
    // Beyond the rate at which people can be told there are digests.
    assert!(told(&story.farm, "hot 31") > 10, "{}", story.farm.log());
    assert!(story.farm.memory() < 48 << 20, "{} bytes", story.farm.memory());
    // So much that nothing is deleted which the hub does not have yet.
    disk.remount("size=400m");
    disk.free();
    story.farm.until("recording resumes", is_well);
    story.minutes(2, 21.0, 50.0);
    let lanes = |hub: &Hub| hub.get("/api/health")["devices"][0]["lanes"].clone();
    story.farm.until("the hub hears what is lost", |_| lanes(&hub)["events"]["lost"].as_u64() > Some(0));
    let rest = |lane: &Value| lane["confirmed"].as_u64().unwrap() - lane["lost"].as_u64().unwrap();
    story.farm.until("and gets the rest", |farm| {
        let status = farm.status().unwrap_or_default();
        ["events", "windows", "diagnostics"].iter().all(|lane| status["store"]["lanes"][lane]["waiting"] == 0)
    });
    assert!(rest(&lanes(&hub)["events"]) >= 2000, "what may wait has waited: {:#}", lanes(&hub));
    assert_eq!(lanes(&hub)["windows"]["lost"], 0, "there was room for these: {:#}", lanes(&hub));
}

#[test]
fn killed_and_started_on_a_full_disk_it_remembers_and_pages() {
    let mut story = Story::new(Farm::alone("full-kill", WITH_LEVEL));
    let Some(disk) = Disk::in_memory(&story.farm.data(), "3m", "full-kill") else { return };
    story.farm.start();
    story.minutes(5, 31.5, 50.0);
    story.until_told("hot 31.5", 1);
    let alert = serde_json::from_str::<Value>(&story.farm.ask(&["alerts", "--json"]).out).unwrap()["alert"].to_string();
    let acknowledged = story.farm.ask(&["ack", &alert, "--for", "8h", "--by", "anna"]);
    assert_eq!(acknowledged.code, Some(0), "{acknowledged:?}");
    let events = |farm: &Farm| committed(farm, "events");
    story.minutes(2, 31.5, 50.0);
    story.farm.until("it is kept", |farm| events(farm) >= 4 && committed(farm, "diagnostics") >= 1);
    let boot = story.farm.status().unwrap()["boot"].clone();
    disk.fill();
    story.minutes_until("the disk is full", 31.5, 50.0, |farm| trouble(farm).is_some());
    let before = events(&story.farm);

    story.farm.kill();
    story.farm.start();
    story.minutes(5, 31.5, 10.0);
    story.until_told("low 10", 1);
    story.farm.until("it says so", |farm| trouble(farm).as_deref() == Some("the disk is full"));
    assert_eq!(told(&story.farm, "hot 31.5"), 1, "it knows who took it on: {}", story.farm.log());
    let rows = story.farm.ask(&["alerts"]).out;
    assert!(rows.contains("acknowledged by anna until"), "{rows}");
    assert_eq!(story.farm.status().unwrap()["boot"], boot);

    disk.free();
    story.farm.until("recording resumes by itself", is_well);
    assert!(events(&story.farm) > before);
    story.farm.kill();
    story.farm.start();
    story.minutes(2, 31.5, 10.0);
    story.farm.until("both alerts are remembered", |farm| farm.ask(&["alerts", "--json"]).out.lines().count() == 2);
    assert_eq!((told(&story.farm, "hot 31.5"), told(&story.farm, "low 10")), (1, 1), "{}", story.farm.log());
}

/// A card that has failed refuses every write from then on, also to files that are open.
#[test]
fn a_card_that_fails_under_the_running_agent_keeps_nobody_from_being_told() {
    let mut story = Story::new(Farm::alone("card", WITH_LEVEL));
    let Some(disk) = Disk::ext4(&story.farm.data(), "card") else { return };
    story.farm.start();
    story.minutes(5, 21.0, 50.0);
    story.farm.until("something is kept", |farm| committed(farm, "windows") >= 8);
    let kept = committed(&story.farm, "events");
    disk.fail();
    story.minutes(5, 31.5, 50.0);
    story.until_told("hot 31.5", 1);
    story.minutes_until("it says so", 31.5, 50.0, |farm| trouble(farm).is_some());
    let (said, shown) = (trouble(&story.farm).unwrap(), story.farm.shown());
    assert!(said.contains("disk"), "{said}");
    assert!(shown.contains("nothing can be written: ") && shown.contains("pages go out all the same"), "{shown}");
    assert!(story.farm.log().contains("store: ") && story.farm.log().contains("recording resumes by itself"));

    // Killed and started on it, it remembers what is there, and pages.
    story.farm.kill();
    story.farm.start();
    story.minutes(5, 21.0, 10.0);
    story.until_told("low 10", 1);
    story.farm.until("it says so", |farm| trouble(farm).is_some());

    // As after a reboot with a check of the file system.
    story.farm.kill();
    disk.reboot();
    story.farm.start();
    story.minutes(5, 21.0, 50.0);
    story.farm.until("it records", |farm| is_well(farm) && committed(farm, "events") > kept);
}

/// Read-only at the start, as a system mounts a card that it does not trust; writable again later.
#[test]
fn started_on_a_read_only_disk_it_remembers_pages_and_records_once_it_can() {
    for (name, is_clean) in [("ro-clean", true), ("ro-killed", false)] {
        let mut story = Story::new(Farm::alone(name, WITH_LEVEL));
        let Some(disk) = Disk::in_memory(&story.farm.data(), "3m", name) else { return };
        story.farm.start();
        story.minutes(5, 31.5, 50.0);
        story.until_told("hot 31.5", 1);
        story.farm.until("it is kept", |farm| committed(farm, "diagnostics") >= 2);
        let status = story.farm.status().unwrap();
        let before = committed(&story.farm, "events");
        if is_clean {
            story.farm.stop();
        } else {
            story.farm.kill();
        }
        disk.remount("ro");
        story.farm.start();
        story.minutes(5, 31.5, 10.0);
        story.until_told("low 10", 1);
        story.farm.until("it says so", |farm| trouble(farm).is_some_and(|said| said.contains("read-only")));
        assert_eq!(told(&story.farm, "hot 31.5"), 1, "{name}: it was told before: {}", story.farm.log());
        assert_eq!(story.farm.status().unwrap()["boot"], status["boot"]);
        disk.remount("rw");
        story.farm.until("it records by itself", is_well);
        assert!(committed(&story.farm, "events") > before, "{name}");
        assert_eq!(story.farm.log().matches("a new stream begins").count(), 0, "{}", story.farm.log());
    }
}

/// No database at the start, for any reason: watched, told, and kept in memory until there is one.
#[test]
fn without_a_database_at_the_start_the_farm_is_watched_and_what_came_is_kept_once_there_is_one() {
    shows_that_it_watches(Story::new(a_folder("no-db-folder")), "Is a directory", |farm| {
        fs::remove_dir(farm.data().join("tilth.db")).unwrap();
    });
    let farm = Farm::alone("no-db-data", WITH_LEVEL);
    fs::write(farm.data(), "no folder").unwrap();
    shows_that_it_watches(Story::new(farm), "File exists", |farm| fs::remove_file(farm.data()).unwrap());
    let mut farm = Farm::alone("no-db-newer", WITH_LEVEL);
    farm.start();
    farm.stop();
    set_layout(&farm, 99);
    let said = "the database has layout 99; this version knows up to 5";
    shows_that_it_watches(Story::new(farm), said, |farm| set_layout(farm, 5));
}

/// A farm with a folder where its database should be.
fn a_folder(name: &str) -> Farm {
    let farm = Farm::alone(name, WITH_LEVEL);
    fs::create_dir_all(farm.data().join("tilth.db")).unwrap();
    farm
}

/// Writes the layout into a database that is not open: SQLite's `user_version`.
fn set_layout(farm: &Farm, layout: u32) {
    let path = farm.data().join("tilth.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&layout.to_be_bytes());
    fs::write(&path, bytes).unwrap();
}

#[test]
fn on_a_read_only_or_full_disk_with_no_database_the_farm_is_watched_too() {
    for (name, said) in [("no-db-ro", "Read-only file system"), ("no-db-full", "full")] {
        let farm = Farm::alone(name, WITH_LEVEL);
        let Some(disk) = Disk::in_memory(&farm.data(), "1m", name) else { return };
        let story = Story::new(farm);
        if name == "no-db-ro" {
            disk.remount("ro");
        } else {
            disk.fill();
        }
        shows_that_it_watches(story, said, |_| if name == "no-db-ro" { disk.remount("rw") } else { disk.free() });
    }
}

/// The service manager's end of `$NOTIFY_SOCKET`.
struct Systemd(UnixDatagram);

impl Systemd {
    fn of(farm: &mut Farm) -> Systemd {
        let path = farm.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        farm.environment.push(("NOTIFY_SOCKET", path.display().to_string()));
        farm.environment.push(("WATCHDOG_USEC", "600000".to_owned()));
        Systemd(socket)
    }

    /// The next messages, up to one that begins with this. After each other one `meanwhile` is done.
    #[track_caller]
    fn until(&self, beginning: &str, mut meanwhile: impl FnMut()) -> Vec<String> {
        let (mut said, mut bytes) = (Vec::new(), [0; 1000]);
        let end = Instant::now() + PATIENCE;
        while !said.last().is_some_and(|last: &String| last.starts_with(beginning)) {
            assert!(Instant::now() < end, "never: {beginning}: {said:?}");
            if !said.is_empty() {
                meanwhile();
            }
            let length = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("{beginning}: {error}: {said:?}"));
            said.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        said
    }

    /// Messages that wait are of before.
    fn forget(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 1000]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}

/// Guards against: a farm that is not monitored, since the agent is killed for a disk that hangs, or never counts as started.
#[test]
fn a_disk_that_hangs_and_a_hub_that_is_away_leave_the_watchdog_alone() {
    let folder = Folder::new("hangs-hub");
    let mut hub = Hub::new(folder.path());
    hub.serve();
    let mut farm = Farm::of_hub("hangs", WITH_LEVEL, &hub);
    hub.stop();
    let Some(disk) = Disk::ext4(&farm.data(), "hangs") else { return };
    let systemd = Systemd::of(&mut farm);
    let mut story = Story::new(farm);
    story.farm.start();
    systemd.until("READY=1", || ());
    story.minutes(2, 20.0, 50.0);
    systemd.until("STATUS=monitoring; sync: hub unreachable ", || ());
    {
        let _frozen = disk.freeze();
        let said = systemd.until("STATUS=monitoring; store: nothing written ", || story.minutes(1, 31.5, 50.0));
        assert!(said.last().unwrap().contains(" (the disk hangs); sync: "), "{said:?}");
        // However soon it was said.
        story.minutes(3, 31.5, 50.0);
        systemd.forget();
        for _ in 0..5 {
            systemd.until("WATCHDOG=1", || ());
        }
        story.until_told("hot 31.5", 1);
    }
    story.farm.until("what waited is written", |farm| committed(farm, "windows") >= 8);
    story.farm.kill();
    systemd.forget();
    {
        let _frozen = disk.freeze();
        story.farm.launch();
        assert_eq!(systemd.until("READY=1", || ()), ["READY=1\nSTATUS=starting: reading the configuration"]);
        let said = systemd.until("WATCHDOG=1", || ());
        assert_eq!(said.len(), 1, "not before decide answers: {said:?}");
    }
    story.farm.until("there is a database", is_well);
}

#[track_caller]
fn shows_that_it_watches(mut story: Story, said: &str, mend: impl Fn(&Farm)) {
    story.farm.start();
    let why = trouble(&story.farm).expect("it says so");
    assert!(why.contains(said), "{why}");
    let log = story.farm.log();
    assert!(
        log.contains(&format!(
            "tilth-agent: store: {why}; starting with empty alert and rule state, monitoring and paging run"
        )),
        "{log}"
    );
    story.minutes(5, 31.5, 50.0);
    story.until_told("hot 31.5", 1);
    let shown = story.farm.shown();
    assert!(shown.contains("a boot not counted yet") && shown.contains("nothing can be written: "), "{shown}");
    mend(&story.farm);
    story.farm.until("there is a database", is_well);
    story.farm.until("the boot is counted", |farm| farm.status().is_some_and(|status| status["boot"] == 1));
    // The start, the clock, the alert and its page.
    story.farm.until("what came before is kept", |farm| committed(farm, "events") >= 4);
    story.farm.until("windows too", |farm| committed(farm, "windows") >= 8);
    story.farm.kill();
    story.farm.start();
    story.minutes(2, 31.5, 10.0);
    story.until_told("low 10", 1);
    assert_eq!(told(&story.farm, "hot 31.5"), 1, "it is remembered: {}", story.farm.log());
    story.farm.until("the boot goes on", |farm| farm.status().is_some_and(|status| status["boot"] == 1));
}

/// The database of before is away at the start and comes back: nothing in it is taken for something else.
#[test]
fn a_database_that_is_found_later_goes_on_with_a_boot_and_alerts_of_other_numbers() {
    let folder = Folder::new("late-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut story = Story::new(Farm::of_hub("late", WITH_LEVEL, &hub));
    // Another clock counts as another boot of the system.
    story.farm.clock = "x60";
    story.farm.start();
    story.farm.say("temp=31.5 level=50\n");
    story.until_told("hot 31.5", 1);
    story.farm.until("the hub knows", |_| alerts(&hub, "firing").len() == 1);
    story.farm.stop();
    let (data, away) = (story.farm.data(), story.farm.folder.path().join("away"));
    fs::rename(&data, &away).unwrap();
    fs::write(&data, "no folder").unwrap();

    story.farm.clock = "input";
    story.farm.start();
    story.minutes(5, 21.0, 10.0);
    story.until_told("low 10", 1);
    assert!(trouble(&story.farm).is_some());
    fs::remove_file(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    story.farm.until("there is a database", is_well);
    story.farm.until("the next boot", |farm| farm.status().is_some_and(|status| status["boot"] == 2));
    let log = story.farm.log();
    assert!(log.contains("store: database available again; continuing as boot 2, under a new stream"), "{log}");
    story.minutes(2, 21.0, 10.0);
    story.farm.until("the hub knows of both, by their own numbers", |_| hub.alerts().len() == 2);
    let of = |rule: &str| hub.alerts().into_iter().find(|alert| alert["rule"] == rule).unwrap();
    assert_eq!((of("hot")["alert"].as_u64(), of("low")["state"].as_str()), (Some(1), Some("firing")));
    assert!(of("low")["alert"].as_u64() > Some(1000), "{:#?}", hub.alerts());
    story.farm.until("windows of before there was a database", |_| windows(&hub, "room/level").len() >= 6);
    story.farm.kill();
    story.farm.start();
    story.minutes(2, 21.0, 10.0);
    story.farm.until("the boot goes on", |farm| farm.status().is_some_and(|status| status["boot"] == 2));
    assert_eq!(told(&story.farm, "low 10"), 1, "{}", story.farm.log());
}

/// What a load balancer is told, without a key.
fn is_well_without_a_key(hub: &Hub) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", hub.port)).unwrap();
    write!(stream, "GET /api/health HTTP/1.0\r\nHost: hub\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    match answer.split(' ').nth(1) {
        Some("200") => true,
        Some("503") => false,
        _ => panic!("{answer}"),
    }
}

#[test]
fn a_hub_on_a_full_disk_says_so_and_can_be_read_also_after_a_power_cut() {
    let folder = Folder::new("full-disk-of-hub");
    let place = folder.path().join("hub");
    let Some(disk) = Disk::in_memory(&place, "6m", "full-disk-of-hub") else { return };
    let mut hub = Hub::new(&place);
    hub.serve();
    assert!(is_well_without_a_key(&hub));
    disk.fill();
    assert!(!is_well_without_a_key(&hub));
    // The first use of the key.
    assert_eq!(hub.get("/api/health")["status"], "ok");
    hub.stop();
    hub.serve();
    assert!(!is_well_without_a_key(&hub));
    assert_eq!(hub.get("/api/health")["devices"][0]["device"], "pi-1");
    disk.free();
    assert!(is_well_without_a_key(&hub));
}
